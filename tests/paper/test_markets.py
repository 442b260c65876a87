"""Where the market comes from: bars, recordings, trades, and the synthetic one."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from qtm.errors import ConfigError, DataError
from qtm.paper.klines import Kline, KlineHistory
from qtm.paper.pacing import MAX, STEP, parse_moment, parse_speed
from qtm.paper.recorded import FrameReplay, TradeReplay, Trades
from qtm.paper.sources import synthetic_market
from qtm.paper.spot.orders import NewOrder
from qtm.paper.spot.venue import SpotVenue
from qtm.paper.synthetic import SyntheticFeed
from qtm.paper.wire import E8, units_of
from qtm.trading.costs import SPOT_COSTS, fillable_lots, numbers_of, taker_price_ticks
from tests.paper.worlds import START_MS, bars, instrument, replay


def test_the_book_stands_at_the_next_open_before_a_bar_is_closed_and_is_empty_after_the_last() -> None:
    venue, feed, series = SpotVenue(SPOT_COSTS), replay(count=12), bars("BTCUSDT", 12)
    feed.open(venue)
    book = venue.markets["BTCUSDT"].book
    for row in range(5, 12):
        assert feed.advance(venue, 1) == 1
        assert venue.clock.now_ms() == int(series.open_time_ms[row]) + 60_000
        if row == 11:
            assert book.asks.best() is None
            assert book.bids.best() is None
            break
        for side, level in ((+1, book.asks.best()), (-1, book.bids.best())):
            assert level is not None
            ticks = taker_price_ticks(side, float(series.open[row + 1]), 0.01, SPOT_COSTS.slippage_bps)
            assert level[0] == int(ticks) * units_of("0.01")
            assert level[1].quantity == 9000 * E8
    assert feed.done
    assert feed.advance(venue, 1) == 0
    closed = venue.markets["BTCUSDT"].klines.rows("1m", 100)
    assert [bar.close for bar in closed] == series.close.tolist()
    assert [bar.open_ms for bar in closed] == series.open_time_ms.tolist()


def test_symbols_with_holes_share_one_timeline() -> None:
    feed = replay(("BTCUSDT", "BTC", "USDT"), ("ETHUSDT", "ETH", "USDT"), count=8)
    eth = feed.bars["ETHUSDT"]
    keep = np.array([0, 1, 2, 3, 4, 5, 7])
    object.__setattr__(eth, "times", eth.times[keep])
    object.__setattr__(eth, "values", eth.values[keep])
    venue = SpotVenue(SPOT_COSTS)
    feed.open(venue)
    assert feed.advance(venue, 99) == 3
    assert feed.klines_published == 5


def test_longer_candles_are_folded_exactly() -> None:
    history = KlineHistory.empty("1m")
    base = START_MS // 3_600_000 * 3_600_000
    for i in range(130):
        history.append(
            Kline(base + 60_000 * i, 100 + i, 101 + i, 99 + i, 100.5 + i, 1.0, 100.0, 2, 0.5, 50.0)
        )
    hours = history.rows("1h", 10)
    assert hours[0] == Kline(base, 100, 160, 99, 159.5, 60.0, 6000.0, 120, 30.0, 3000.0)
    assert [bar.volume for bar in hours] == [60, 60, 10]
    assert history.rows("1h", 1)[0].open_ms == base + 7_200_000
    assert history.rows("1h", 5, start_ms=base + 1)[0].open_ms == base + 3_600_000
    assert history.rows("1m", 2, end_ms=base + 60_000)[-1].open_ms == base + 60_000
    assert history.rows("1s", 5) == []


def test_the_synthetic_market_repeats_by_seed_and_behaves_like_one() -> None:
    def play(seed: int) -> tuple[SpotVenue, SyntheticFeed]:
        venue = SpotVenue(SPOT_COSTS)
        feed = SyntheticFeed([instrument()], start_ms=START_MS, seed=seed, speed=STEP, history_minutes=30)
        feed.open(venue)
        feed.advance(venue, 3)
        return venue, feed

    first, _ = play(5)
    again, _ = play(5)
    other, _ = play(6)
    rows = first.markets["BTCUSDT"].klines.rows("1m", 40)
    assert rows == again.markets["BTCUSDT"].klines.rows("1m", 40)
    assert rows != other.markets["BTCUSDT"].klines.rows("1m", 40)
    assert np.all(np.diff([bar.open_ms for bar in rows]) == 60_000)
    for bar in rows:
        assert bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high
    book = first.markets["BTCUSDT"].book
    bid, ask = book.bids.best(), book.asks.best()
    assert bid is not None and ask is not None
    assert 0 < ask[0] - bid[0] < ask[0] // 1000
    assert len(book.asks.depth(50)) == 20
    assert all(price % units_of("0.01") == 0 for price in book.bids.prices())


def test_unknown_synthetic_symbols_and_impossible_words_are_refused() -> None:
    with pytest.raises(ConfigError, match="NOSUCH"):
        synthetic_market(("NOSUCH",), start="", end="", speed="1", history=10, seed=1)
    assert (parse_speed("max"), parse_speed("step"), parse_speed("60")) == (MAX, STEP, 60.0)
    for word in ("fast", "0", "-3", "inf", "nan"):
        with pytest.raises(ConfigError):
            parse_speed(word)
    assert parse_moment("2024-06-01", "x") == START_MS
    with pytest.raises(ConfigError, match="yesterday"):
        parse_moment("yesterday", "x")


def frames(path: Path, rows: list[dict[str, object]]) -> Path:
    with gzip.open(path, "wt") as file:
        for row in rows:
            file.write(f"{row['E']}000000 {json.dumps({'stream': 'btcusdt@x', 'data': row})}\n")
    return path


def test_recorded_frames_move_the_book_and_print_the_tape(tmp_path: Path) -> None:
    depth = {"e": "depthUpdate", "s": "BTCUSDT", "U": 1, "u": 2}
    file = frames(
        tmp_path / "rec.gz",
        [
            {**depth, "E": START_MS, "b": [["100.00", "2"]], "a": [["100.10", "3"]]},
            {
                "e": "trade",
                "E": START_MS + 5,
                "s": "BTCUSDT",
                "t": 1,
                "p": "100.10",
                "q": "1",
                "T": 1,
                "m": False,
            },
            {"e": "bookTicker", "E": START_MS + 6, "s": "BTCUSDT"},
            {**depth, "E": START_MS + 1500, "b": [["100.20", "1"]], "a": [["100.30", "4"]]},
        ],
    )
    venue = SpotVenue(SPOT_COSTS)
    feed = FrameReplay(file, [instrument()], speed=STEP)
    feed.open(venue)
    assert feed.advance(venue, 1) == 1
    market = venue.markets["BTCUSDT"]
    assert [(t.price, t.qty, t.buyer_is_maker) for t in market.tape] == [(units_of("100.1"), E8, False)]
    assert market.book.asks.depth(5) == [(units_of("100.1"), 3 * E8)]
    feed.advance(venue, 1)
    assert market.book.asks.depth(5) == [(units_of("100.3"), 4 * E8)]
    assert market.book.bids.depth(5) == [(units_of("100.2"), E8), (units_of("100"), 2 * E8)]
    assert feed.done


def test_a_missing_or_damaged_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere"):
        FrameReplay(tmp_path / "nowhere.gz", [instrument()], speed=MAX)
    bad = tmp_path / "bad.txt"
    bad.write_text("1 {broken\n")
    with pytest.raises(DataError, match=r"bad\.txt:1"):
        FrameReplay(bad, [instrument()], speed=MAX).open(SpotVenue(SPOT_COSTS))
    empty = tmp_path / "empty.txt"
    empty.write_text("")
    with pytest.raises(DataError, match="no usable event"):
        FrameReplay(empty, [instrument()], speed=MAX).open(SpotVenue(SPOT_COSTS))


def test_trades_are_replayed_in_time_order_over_symbols() -> None:
    def trades(symbol: str, offset: int) -> Trades:
        return Trades(
            instrument(symbol, symbol.removesuffix("USDT"), "USDT"),
            START_MS + offset + np.arange(3, dtype=np.int64) * 100,
            np.array([100, 101, 99], np.int64) * E8,
            np.full(3, E8, np.int64),
            np.array([True, False, True]),
        )

    venue = SpotVenue(SPOT_COSTS)
    feed = TradeReplay([trades("BTCUSDT", 0), trades("ETHUSDT", 50)], speed=STEP, depth=5 * E8)
    feed.open(venue)
    feed.advance(venue, 1)
    assert feed.events_done == 6
    assert venue.clock.now_ms() == START_MS + 250
    book = venue.markets["ETHUSDT"].book
    assert (book.bids.depth(1), book.asks.depth(1)) == (
        [(99 * E8, 5 * E8)],
        [(99 * E8 + units_of("0.01"), 5 * E8)],
    )


@pytest.mark.parametrize("participation", [0.1, 0.33])
def test_the_standing_book_gives_no_more_than_the_engine_s_participation(participation: float) -> None:
    costs = SPOT_COSTS._replace(participation=participation)
    venue, series = SpotVenue(costs), bars("BTCUSDT", 12)
    feed = replay(count=12, costs=costs)
    feed.open(venue)
    book = venue.markets["BTCUSDT"].book
    for row in range(5, 11):
        lots = fillable_lots(-1e9, float(series.volume[row]), 0.00001, numbers_of(costs))
        for side in (book.bids, book.asks):
            assert [level.external for level in side.levels.values()] == [int(-lots) * 1000]
        feed.advance(venue, 1)


def test_prints_give_resting_orders_their_participation_only() -> None:
    def bought(participation: float) -> int:
        costs = SPOT_COSTS._replace(participation=participation)
        venue, feed = SpotVenue(costs), replay(count=12, costs=costs)
        feed.open(venue)
        account = venue.open_account("desk")
        venue.deposit(account, "USDT", 10**7 * E8)
        price = units_of(round(float(bars("BTCUSDT", 12).low[5]) + 0.02, 2))
        order = venue.place(
            account,
            NewOrder(symbol="BTCUSDT", buy=True, type="LIMIT", qty=100 * E8, price=price, stp="NONE"),
        )
        feed.advance(venue, 1)
        return order.executed

    whole, tenth = bought(0.0), bought(0.1)
    volume = units_of(float(bars("BTCUSDT", 12).volume[5]))
    assert whole == 100 * E8, "without a bound the engine fills the whole order, and so does the replay"
    assert tenth == pytest.approx(volume / 40, rel=1e-3)


def test_candles_from_long_before_the_first_are_the_first_ones_and_holes_shorten_nothing() -> None:
    history = KlineHistory.empty("1m")
    minutes = [*range(3), *range(500, 510)]
    for minute in minutes:
        history.append(Kline(START_MS + minute * 60_000, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1, 0.0, 0.0))

    def opened(**bounds: int) -> list[int]:
        return [(bar.open_ms - START_MS) // 60_000 for bar in history.rows("1m", 5, **bounds)]

    assert opened(start_ms=0) == minutes[:5]
    assert opened(start_ms=0, end_ms=START_MS + 10**9) == minutes[:5]
    assert opened(end_ms=START_MS + 502 * 60_000) == [1, 2, 500, 501, 502]
    assert opened() == minutes[-5:]
    assert len(history.rows("5m", 3, 0)) == 3
