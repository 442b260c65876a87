"""Stops and take-profits that rest while bars are replayed fill where the backtest engine fills them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from qtm.market.bars import BarSeries
from qtm.market.intervals import Interval
from qtm.paper.pacing import STEP
from qtm.paper.replay import BarReplay, ReplayBars
from qtm.paper.spot.orders import NewOrder
from qtm.paper.spot.venue import SpotVenue
from qtm.paper.wire import E8, units_of
from qtm.trading.costs import SPOT_COSTS
from tests.paper.worlds import START_MS, instrument

SLIPPED = SPOT_COSTS._replace(slippage_bps=10.0)
QTY = 3 * E8
"""More than a quarter of a bar's volume, which is what one print of the walk carries."""


def after(*bars: tuple[float, float, float, float]) -> tuple[SpotVenue, BarReplay]:
    """A venue whose market stands at the first bar's open, ten units a bar."""
    rows = np.array(bars)
    times = START_MS + 60_000 * np.arange(len(bars), dtype=np.int64)
    series = BarSeries("BTCUSDT", Interval.M1, times, *rows.T.copy(), np.full(len(bars), 10.0))
    cheap = replace(instrument(), max_price=Decimal(0))
    feed = BarReplay([ReplayBars.from_series(cheap, series)], costs=SLIPPED, speed=STEP)
    venue = SpotVenue(SLIPPED)
    feed.open(venue)
    account = venue.open_account("desk")
    venue.deposit(account, "BTC", 100 * E8)
    venue.deposit(account, "USDT", 100_000 * E8)
    return venue, feed


def leg(kind: str, price: str, stop: str | None = None, *, buy: bool = False) -> NewOrder:
    return NewOrder(
        symbol="BTCUSDT", buy=buy, type=kind, qty=QTY, price=units_of(price),
        stop_price=None if stop is None else units_of(stop), client_id=kind, stp="NONE",
    )  # fmt: skip


def fills(venue: SpotVenue) -> list[tuple[str, float]]:
    history = venue.accounts["desk"].history["BTCUSDT"]
    assert all(trade.qty == QTY for trade in history.trades), "one execution per order"
    return [(history.orders[trade.order_id].client_id, trade.price / E8) for trade in history.trades]


@pytest.mark.parametrize(
    ("bar", "expected"),
    [
        # at its own level, slippage and worse tick included, though the low is further away
        ((100, 101, 90, 99), [("STOP_LOSS_LIMIT", 94.9)]),
        ((100, 101, 95, 99), [("STOP_LOSS_LIMIT", 94.9)]),
        ((100, 101, 95.01, 99), []),
        # the open has jumped past it
        ((93, 94, 92, 94), [("STOP_LOSS_LIMIT", 92.9)]),
        # a falling bar walks to its high first, yet what hurts comes first
        ((100, 110, 90, 95), [("STOP_LOSS_LIMIT", 94.9)]),
        # a limit needs a trade beyond it, then takes all it asked for
        ((100, 103, 99, 102), []),
        ((100, 103.01, 99, 102), [("LIMIT_MAKER", 103.0)]),
        ((104, 105, 103.5, 104), [("LIMIT_MAKER", 103.0)]),
    ],
)  # fmt: skip
def test_an_oco_on_a_long_position(
    bar: tuple[float, float, float, float], expected: list[tuple[str, float]]
) -> None:
    venue, feed = after((100, 100, 100, 100), bar, (bar[3], bar[3], bar[3], bar[3]))
    venue.lists.place_oco(
        venue.accounts["desk"], leg("LIMIT_MAKER", "103"), leg("STOP_LOSS_LIMIT", "90", "95"), "pair"
    )
    feed.advance(venue, 2)
    assert fills(venue) == expected


def test_what_rests_waits_until_the_next_bar_has_opened() -> None:
    """At the close of a bar its owner still may cancel what the next open would fill."""
    venue, feed = after((100, 100, 100, 100), (110, 110, 110, 110))
    resting = venue.place(venue.accounts["desk"], leg("LIMIT_MAKER", "103"))
    feed.advance(venue, 1)
    assert resting.executed == 0
    venue.cancel(venue.accounts["desk"], resting, "gone")
    feed.advance(venue, 1)
    assert fills(venue) == []


def test_a_stop_is_judged_by_the_open_that_new_orders_meet() -> None:
    venue, feed = after((100, 100, 100, 100), (104, 104, 104, 104), (104, 104, 104, 104))
    feed.advance(venue, 1)
    stop = venue.place(venue.accounts["desk"], leg("STOP_LOSS_LIMIT", "90", "102"))
    feed.advance(venue, 1)
    assert (stop.status, fills(venue)) == ("NEW", [])


def test_a_buy_stop_fills_above_the_market() -> None:
    venue, feed = after((100, 100, 100, 100), (100, 108, 99, 107), (107, 107, 107, 107))
    venue.place(venue.accounts["desk"], leg("STOP_LOSS_LIMIT", "110", "105", buy=True))
    feed.advance(venue, 2)
    assert fills(venue) == [("STOP_LOSS_LIMIT", 105.11)]
