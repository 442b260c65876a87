"""Orders on bars: the pessimistic path inside a bar, gaps, volume, all against hand-made ledgers."""

from __future__ import annotations

import numpy as np
import pytest

from qtm.backtest.tape.events import tape_of_bars
from qtm.backtest.tape.result import OrdersResult
from qtm.market.bars import BarSeries
from qtm.market.intervals import Interval
from qtm.trading.costs import FEE_IN_QUOTE, CostModel
from qtm.trading.desk import IOC, MARKET, STOP, TRAILING
from tests.backtest.scripted import instrument
from tests.backtest.tape.scripted import FREE, START_NS, Line, buy, ended, filled, run, sell

MINUTE = 60


def bars_of(rows: list[tuple[float, ...]]) -> BarSeries:
    """Bars of a minute from (open, high, low, close[, volume])."""
    table = np.array([(*row, 100.0)[:5] if len(row) == 4 else row for row in rows], float)
    times = START_NS // 1_000_000 + np.arange(len(rows), dtype=np.int64) * 60_000
    return BarSeries("BTCUSDT", Interval.M1, times, *(table[:, column].copy() for column in range(5)))


def on_bars(rows: list[tuple[float, ...]], script: list[Line], **options) -> OrdersResult:  # type: ignore[no-untyped-def]
    return run(tape_of_bars(bars_of(rows), instrument()), script, **options)


FLAT = (100.0, 100.0, 100.0, 100.0)


def entry(lots: int = 10):  # type: ignore[no-untyped-def]
    """Decided at the close of the first bar."""
    return buy(0, 1, lots, kind=MARKET, time_in_force=IOC)


def exits(target: int = 10_300, stop: int = 9_500):  # type: ignore[no-untyped-def]
    return [
        sell(0, 2, 10, target, group=5, parent=1),
        sell(0, 3, 10, kind=STOP, trigger_ticks=stop, time_in_force=IOC, group=5, parent=1),
    ]


def test_a_market_order_meets_the_next_open_and_never_its_own_close() -> None:
    result = on_bars([(100, 105, 99, 104), (103, 104, 102, 103), FLAT], [entry()])
    assert filled(result) == [(1, "BUY", 10, 10_300)]
    assert result.bars.open_time_ms[1] * 1_000_000 == result.fills["ts_ns"][0]


@pytest.mark.parametrize(
    ("bar", "expected"),
    [
        ((100, 101, 95, 99), (3, "SELL", 10, 9_500)),  # touched: the stop trades at its trigger
        ((100, 101, 95.01, 99), None),  # a tick short of it
        ((93, 94, 92, 94), (3, "SELL", 10, 9_300)),  # the open has jumped past it
        ((100, 103, 99, 102), None),  # a resting limit needs a price beyond it
        ((100, 103.01, 99, 102), (2, "SELL", 10, 10_300)),
        ((104, 105, 103, 104), (2, "SELL", 10, 10_300)),  # it was there before the gap
        ((100, 110, 90, 105), (3, "SELL", 10, 9_500)),  # both in one bar: what hurts comes first
        ((100, 110, 90, 91), (3, "SELL", 10, 9_500)),
    ],
)  # fmt: skip
def test_a_long_with_stop_and_target(bar: tuple[float, ...], expected: tuple[object, ...] | None) -> None:
    result = on_bars([FLAT, FLAT, bar, (100, 100, 100, 100)], [entry(), *exits()])
    assert filled(result)[1:] == ([] if expected is None else [expected])


@pytest.mark.parametrize(
    ("bar", "expected"),
    [
        ((100, 105, 99, 101), (3, 10_500)),
        ((107, 108, 106, 107), (3, 10_700)),
        ((100, 101, 96.99, 98), (2, 9_700)),
        ((100, 106, 90, 95), (3, 10_500)),
    ],
)
def test_a_short_with_stop_and_target(bar: tuple[float, ...], expected: tuple[int, int]) -> None:
    script = [
        sell(0, 1, 10, kind=MARKET, time_in_force=IOC), buy(0, 2, 10, 9_700, group=5, parent=1),
        buy(0, 3, 10, kind=STOP, trigger_ticks=10_500, time_in_force=IOC, group=5, parent=1),
    ]  # fmt: skip
    result = on_bars([FLAT, FLAT, bar, FLAT], script)
    assert [(one[0], one[3]) for one in filled(result)[1:]] == [expected]


def test_an_entry_inside_a_bar_sees_the_adverse_side_after_it() -> None:
    """A breakout bought on the way up is stopped by the low of the same bar, even where the bar rose."""
    script = [
        buy(0, 1, 10, kind=STOP, trigger_ticks=10_100, time_in_force=IOC),
        sell(0, 2, 10, 10_400, group=5, parent=1),
        sell(0, 3, 10, kind=STOP, trigger_ticks=9_700, time_in_force=IOC, group=5, parent=1),
    ]
    result = on_bars([FLAT, (100, 103, 96, 102.5), FLAT], script)
    assert filled(result) == [(1, "BUY", 10, 10_100), (3, "SELL", 10, 9_700)]


def test_a_limit_entry_does_not_reach_a_target_that_came_before_it() -> None:
    """High first, then the entry, then the low: the target above is not reached in that bar."""
    script = [
        buy(0, 1, 10, 9_900), sell(0, 2, 10, 10_200, group=5, parent=1),
        sell(0, 3, 10, kind=STOP, trigger_ticks=9_000, time_in_force=IOC, group=5, parent=1),
    ]  # fmt: skip
    result = on_bars([FLAT, (100, 103, 98, 101), FLAT], script)
    assert filled(result) == [(1, "BUY", 10, 9_900)]


def test_orders_on_the_way_are_met_in_order_of_price() -> None:
    script = [buy(0, 1, 10, 9_800), buy(0, 2, 10, 9_900), buy(0, 3, 10, 9_900)]
    result = on_bars([FLAT, (100, 100, 97, 98), FLAT], script)
    assert filled(result) == [(2, "BUY", 10, 9_900), (3, "BUY", 10, 9_900), (1, "BUY", 10, 9_800)]


def test_a_trailing_stop_is_not_hit_by_the_high_of_its_own_bar_unless_the_close_comes_back() -> None:
    script = [entry(), sell(0, 2, 10, kind=TRAILING, trail_ticks=200, time_in_force=IOC, parent=1)]
    still = on_bars([FLAT, FLAT, (100, 110, 99, 109), FLAT], script)
    # low 99 first (98 is the level), high 110 then lifts it to 108, the next bar opens at 100
    assert filled(still)[1] == (2, "SELL", 10, 10_000)
    back = on_bars([FLAT, FLAT, (100, 110, 99, 107), FLAT], script)
    assert filled(back)[1] == (2, "SELL", 10, 10_800)


def test_slippage_is_against_the_taker_and_impact_grows_with_the_root_of_the_share() -> None:
    slipped = on_bars([FLAT, FLAT], [entry()], costs=CostModel(0.0, 0.0, 10.0, FEE_IN_QUOTE))
    assert filled(slipped) == [(1, "BUY", 10, 10_010)]
    rows = [FLAT, (100, 101, 100, 101, 100.0), (101, 101, 101, 101, 0.04), FLAT]
    costs = CostModel(0.0, 0.0, 0.0, FEE_IN_QUOTE, impact=1.0)
    late = buy(MINUTE, 1, 10, kind=MARKET, time_in_force=IOC)
    # sigma is 1 % after one move of 1 %; 0.01 of 0.04 is a quarter: half of 1 % is 50.5 ticks of 10,100
    assert filled(on_bars(rows, [late], costs=costs)) == [(1, "BUY", 10, 10_151)]


def test_participation_bounds_what_a_bar_can_fill() -> None:
    costs = CostModel(0.0, 0.0, 0.0, FEE_IN_QUOTE, participation=0.1)
    rows = [FLAT, (100, 100, 98, 99, 0.04), (99, 99, 98, 98, 0.03), (98, 98, 98, 98, 100.0)]
    result = on_bars(rows, [buy(0, 1, 10, 9_900)], costs=costs)
    # a tenth of 40 lots, then of 30 lots, and the rest while the market stands below its price
    assert filled(result) == [(1, "BUY", 4, 9_900), (1, "BUY", 3, 9_900), (1, "BUY", 3, 9_900)]
    taker = on_bars(rows, [entry()], costs=costs)
    assert filled(taker) == [(1, "BUY", 4, 10_000)]
    assert ended(taker) == [(1, "EXPIRED", "no liquidity")]


def test_a_stop_larger_than_a_bars_share_goes_on_in_the_next_bars() -> None:
    costs = CostModel(0.0, 0.0, 0.0, FEE_IN_QUOTE, participation=0.1)
    rows = [FLAT, (100, 100, 100, 100, 100.0), (96, 96, 94, 94, 0.06), (93, 93, 93, 93, 100.0), FLAT]
    script = [entry(), sell(0, 2, 10, kind=STOP, trigger_ticks=9_500, time_in_force=IOC, parent=1)]
    result = on_bars(rows, script, costs=costs)
    assert filled(result) == [(1, "BUY", 10, 10_000), (2, "SELL", 6, 9_500), (2, "SELL", 4, 9_300)]


def test_post_only_and_queue_do_not_apply_where_only_bars_are_known_but_a_touch_is_no_fill() -> None:
    result = on_bars([FLAT, (100, 100, 99, 99.5), FLAT], [buy(0, 1, 10, 9_900)])
    assert filled(result) == []


def test_free_is_free() -> None:
    assert FREE.maker_rate == FREE.taker_rate == FREE.slippage_bps == 0.0
