"""Mark price, index, premium and funding rate against figures worked out by hand."""

from __future__ import annotations

import numpy as np

from qtm.market.bars import BarSeries
from qtm.market.intervals import Interval
from qtm.paper.klines import KlineHistory
from qtm.paper.replay import ReplayBars
from qtm.paper.um.funding import FundingEvent
from qtm.paper.um.index_price import SpotBars, SyntheticPremium
from qtm.paper.um.mark_price import impact_price
from qtm.paper.um.venue import UmVenue
from qtm.paper.wire import E8, units_of
from qtm.trading.costs import UM_COSTS
from tests.paper.um.um_worlds import Desk, contract
from tests.paper.worlds import START_MS

HOUR = 3_600_000


class FixedIndex:
    """An index that stands where the test puts it."""

    constituent = "test"

    def __init__(self, price: str) -> None:
        self.now = units_of(price)

    def price(self, symbol: str, ts_ms: int, middle: int) -> int:
        """The set price."""
        return self.now

    def informs(self, symbol: str) -> bool:
        """Always."""
        return True


def market(index: FixedIndex) -> UmVenue:
    venue = UmVenue(UM_COSTS, index=index)
    venue.add_market(contract(), KlineHistory.empty("1m"))
    venue.move_clock(START_MS)
    return venue


def stand(venue: UmVenue, middle: str, last: str, depth: int = 100_000) -> int:
    venue.markets["BTCUSDT"].last_price = units_of(last)
    around = units_of(middle)
    tick = units_of("0.1")
    venue.set_depth("BTCUSDT", [(around - tick, depth * E8)], [(around + tick, depth * E8)])
    return venue.mark("BTCUSDT")


def test_the_mark_price_is_the_median_of_index_with_funding_index_with_basis_and_last() -> None:
    venue = market(FixedIndex("100"))
    # basis 2: the first sample is the whole mean; price 2 = 102, whatever the last price does
    assert stand(venue, "102", "108") == units_of("102")
    # premium 1.9 % (impact bid 101.9); the rate is 1.9 % - 0.05 %, capped at 0.3 %: price 1 = 100.3
    assert venue.funding_rate("BTCUSDT") == 300_000
    assert stand(venue, "102", "101") == units_of("101")
    assert stand(venue, "102", "90") == units_of("100.3")
    venue.move_clock(START_MS + 4 * HOUR)  # half the interval is left
    assert stand(venue, "102", "90") == units_of("100.15")


def test_the_basis_is_the_mean_of_samples_five_seconds_apart_over_two_and_a_half_minutes() -> None:
    index = FixedIndex("100")
    venue = market(index)
    stand(venue, "101", "150")
    venue.move_clock(START_MS + 3_000)
    stand(venue, "109", "150")  # too soon for a sample
    assert venue.mark("BTCUSDT") == units_of("101")
    venue.move_clock(START_MS + 5_000)
    assert stand(venue, "103", "150") == units_of("102")
    venue.move_clock(START_MS + 151_000)  # the first sample has left
    assert stand(venue, "105", "150") == units_of("104")


def test_the_impact_price_is_what_the_impact_notional_obtains() -> None:
    desk = Desk()
    book = desk.venue.markets["BTCUSDT"].book
    book.bids.replace_external([(100 * E8, 100 * E8), (90 * E8, 1000 * E8)])
    # 10,000 at 100 and 15,000 at 90: 100 + 166.666... units for 25,000
    assert abs(impact_price(book.bids, 25_000 * E8) - units_of("93.75")) <= 10
    assert impact_price(book.bids, 10**9 * E8) == 90 * E8


def test_funding_settles_the_mean_premium_weighted_by_time_and_starts_again() -> None:
    venue = market(FixedIndex("100"))
    stand(venue, "100.2", "100.2")  # impact bid 100.1: premium 0.1 %
    for step in range(1, 4):
        venue.move_clock(START_MS + step * 5_000)
        stand(venue, "100", "100")  # impact bid 99.9, impact ask 100.1: premium 0
    # weights 1..4: mean premium 0.1 % * 1 / 10 = 0.01 %, equal to the interest: rate 0.01 %
    assert venue.funding_rate("BTCUSDT") == 10_000
    assert venue.prices.contracts["BTCUSDT"].mean_premium() == 10_000
    venue.move_clock(START_MS + 8 * HOUR)
    assert venue.funding.settled["BTCUSDT"][-1].event.rate == 10_000
    assert venue.prices.contracts["BTCUSDT"].samples == 1  # the first of the new period


def test_a_replay_announces_the_lakes_rates_only_after_they_settled() -> None:
    desk = Desk()
    desk.venue.funding.give("BTCUSDT", [FundingEvent("BTCUSDT", START_MS + HOUR, 1, 77_000)])
    assert desk.venue.funding_rate("BTCUSDT") == 0
    desk.venue.move_clock(START_MS + HOUR)
    assert desk.venue.funding_rate("BTCUSDT") == 77_000


def replayed(prices: list[float], offset: float) -> ReplayBars:
    close = np.array(prices) + offset
    opened = np.r_[close[0], close[:-1]]
    times = START_MS + 60_000 * np.arange(len(prices), dtype=np.int64)
    high, low = np.maximum(opened, close) + 1, np.minimum(opened, close) - 1
    series = BarSeries("BTCUSDT", Interval.M1, times, opened, high, low, close, np.ones(len(prices)))
    return ReplayBars.from_series(contract(), series)


def test_the_spot_index_walks_with_the_contract_and_knows_no_future() -> None:
    futures, spot = replayed([100, 104, 102], 0.5), replayed([100, 104, 102], 0.0)
    index = SpotBars({"BTCUSDT": futures}, {"BTCUSDT": spot})
    second = START_MS + 60_000  # rising: open, low, high, close
    walk = [index.price("BTCUSDT", second + quarter * 15_000, 0) / E8 for quarter in range(4)]
    assert walk == [100.0, 99.0, 105.0, 104.0]
    changed = replayed([100, 104, 9], 0.0)
    other = SpotBars({"BTCUSDT": futures}, {"BTCUSDT": changed})
    assert other.price("BTCUSDT", second + 59_999, 0) == index.price("BTCUSDT", second + 59_999, 0)
    assert index.price("ETHUSDT", second, 7) == 7
    assert not index.informs("ETHUSDT")


def test_the_synthetic_premium_is_seeded_and_stays_small() -> None:
    def path(seed: int) -> list[int]:
        source = SyntheticPremium(seed)
        return [source.price("BTCUSDT", START_MS + 5_000 * i, 60_000 * E8) for i in range(2_000)]

    assert path(1) == path(1) != path(2)
    premiums = np.array([60_000 * E8 / price - 1 for price in path(3)])
    assert abs(premiums).max() < 0.003
    assert premiums.std() > 5e-5


def test_candles_of_mark_index_and_premium_are_their_own() -> None:
    index = FixedIndex("100")
    venue = market(index)
    for step in range(30):
        venue.move_clock(START_MS + step * 5_000)
        index.now = units_of(f"{100 + step / 100:.2f}")
        stand(venue, "101", "101")
    prices = venue.prices.contracts["BTCUSDT"]
    first = prices.index_candles.history.rows("1m", 10)[0]
    assert (first.open, first.high, first.close, first.trades) == (100.0, 100.11, 100.11, 12)
    premium = prices.premium_candles.history.rows("1m", 10)[0]
    assert premium.open == 0.009  # (100.9 - 100) / 100
