"""Stops, take-profits and trailing stops against hand-made ledgers, on the pessimistic path inside a bar."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtm.backtest.engine import BacktestResult, run_backtest
from qtm.backtest.intrabar import NOTHING, arm, live_through, only_trails, rest_calm, trail_calm
from qtm.backtest.session import SESSION
from qtm.market.instruments import Market
from qtm.trading.book import SIZE_BY_UNITS, SUB_BOOK, Sizing, grid_of
from qtm.trading.costs import FEE_IN_QUOTE, CostModel
from qtm.trading.exits import trail_behind
from qtm.trading.margin import Margin
from qtm.trading.plan import Plan
from tests.backtest.scripted import NO_CHANGE, guarded, instrument, ranges

KEEP = NO_CHANGE
ENTRY = (100.0, 100.0, 100.0, 100.0, 1.0)


def run(rows, *, costs=CostModel(0.0, 0.0, 0.0, FEE_IN_QUOTE), market=Market.UM, **exits) -> BacktestResult:  # type: ignore[no-untyped-def]
    return run_backtest(
        guarded,
        exits,
        ranges(rows),
        instrument(market),
        cash=1_000.0,
        costs=costs,
        sizing=Sizing(SIZE_BY_UNITS, 1.0),
    )


def exits_of(result: BacktestResult) -> list[tuple[str, float]]:
    return result.orders.filter(result.orders["cause"] != "target").select("cause", "fill_price").rows()


@pytest.mark.parametrize(
    ("bar", "exits", "expected"),
    [
        # touched inside the bar
        ((100, 101, 95, 99), {"stop": 5}, [("stop", 95.0)]),
        # a tick short of it
        ((100, 101, 95.01, 99), {"stop": 5}, []),
        # the open has jumped past the stop
        ((93, 94, 92, 94), {"stop": 5}, [("stop", 93.0)]),
        # a resting limit needs a price beyond it
        ((100, 103, 99, 102), {"take_profit": 3}, []),
        ((100, 103.01, 99, 102), {"take_profit": 3}, [("take-profit", 103.0)]),
        # an open above the limit still fills at the limit: the order was there first
        ((104, 105, 103, 104), {"take_profit": 3}, [("take-profit", 103.0)]),
        # both inside one bar: what hurts comes first
        ((100, 110, 90, 105), {"stop": 5, "take_profit": 3}, [("stop", 95.0)]),
        # trailing from the entry at 100
        ((100, 100, 97, 98), {"trail": 2}, [("trailing stop", 98.0)]),
        # the nearer of two stops
        ((100, 100, 90, 98), {"stop": 5, "trail": 2}, [("trailing stop", 98.0)]),
        ((100, 100, 90, 98), {"stop": 1, "trail": 2}, [("stop", 99.0)]),
        # the venue takes 94.995 as 94.99 and 103.005 as 103.01
        ((100, 101, 95, 99), {"stop": 5.005}, []),
        ((100, 101, 94.99, 99), {"stop": 5.005}, [("stop", 94.99)]),
        ((100, 103.01, 99, 102), {"take_profit": 3.005}, []),
        ((100, 103.02, 99, 102), {"take_profit": 3.005}, [("take-profit", 103.01)]),
    ],
)  # fmt: skip
def test_a_long_is_closed(
    bar: tuple[float, ...], exits: dict[str, float], expected: list[tuple[str, float]]
) -> None:
    rows = [ENTRY, (100, 100, 100, 100, KEEP), (*bar, KEEP), (100, 100, 100, 100, KEEP)]
    assert exits_of(run(rows, **exits)) == expected


@pytest.mark.parametrize(
    ("bar", "exits", "expected"),
    [
        ((100, 105, 99, 101), {"stop": 5}, [("stop", 105.0)]),
        ((107, 108, 106, 107), {"stop": 5}, [("stop", 107.0)]),
        ((100, 101, 96.99, 98), {"take_profit": 3}, [("take-profit", 97.0)]),
        ((100, 102, 100, 101), {"trail": 2}, [("trailing stop", 102.0)]),
        ((100, 106, 90, 95), {"stop": 5, "take_profit": 3}, [("stop", 105.0)]),
    ],
)
def test_a_short_is_closed(
    bar: tuple[float, ...], exits: dict[str, float], expected: list[tuple[str, float]]
) -> None:
    rows = [(100, 100, 100, 100, -1), (100, 100, 100, 100, KEEP), (*bar, KEEP), (100, 100, 100, 100, KEEP)]
    assert exits_of(run(rows, **exits)) == expected


def test_a_trailing_stop_follows_closed_bars_only() -> None:
    """The bar that makes the high cannot be stopped by a level its own high has set."""
    rows = [ENTRY, (100, 100, 100, 100, KEEP), (100, 110, 99, 109, KEEP), (109, 109, 107.5, 108, KEEP)]
    assert exits_of(run(rows, trail=2)) == [("trailing stop", 108.0)]


def test_a_stop_is_live_in_the_bar_that_fills_the_entry() -> None:
    rows = [ENTRY, (100, 100, 94, 96, KEEP), (96, 96, 96, 96, KEEP)]
    assert exits_of(run(rows, stop=5)) == [("stop", 95.0)]


def test_after_a_stop_the_position_stays_closed_until_another_target() -> None:
    rows = [
        ENTRY,
        (100, 100, 94, 96, 1),
        (96, 96, 96, 96, 1),
        (96, 96, 96, 96, 0),
        (96, 96, 96, 96, 1),
        (96.5, 97, 96, 97, KEEP),
    ]
    filled = run(rows, stop=5).orders
    assert filled.select("side", "cause", "fill_price").rows() == [
        ("BUY", "target", 100.0), ("SELL", "stop", 95.0), ("BUY", "target", 96.5),
    ]  # fmt: skip


def test_a_stop_pays_slippage_and_taker_fee_a_take_profit_the_maker_fee() -> None:
    costs = CostModel(0.001, 0.002, 10.0, FEE_IN_QUOTE)
    stopped = run([ENTRY, (100, 100, 94, 96, KEEP)], costs=costs, stop=5)
    # bought at 100.10, sold at 95 less 0.095 slippage: 94.90
    assert stopped.orders["fill_price"].to_list() == [100.1, 94.9]
    assert stopped.orders["fee"].to_list() == pytest.approx([0.2002, 0.1898])
    taken = run([ENTRY, (100, 104, 100, 104, KEEP)], costs=costs, take_profit=3)
    assert taken.orders["fill_price"].to_list() == [100.1, 103.0]
    assert taken.orders["fee"].to_list()[1] == pytest.approx(0.103)


def test_exits_go_with_the_position_they_protect() -> None:
    """A stop of a closed long must not touch the next position, which set none of its own."""
    rows = [
        ENTRY,
        (100, 100, 100, 100, KEEP),
        (100, 100, 94, 96, 0),
        (96, 96, 96, 96, KEEP),
        (96, 96, 60, 96, KEEP),
    ]
    assert exits_of(run(rows, stop=5)) == [("stop", 95.0)]


def test_a_round_trip_closed_by_a_stop_counts_as_one_trade() -> None:
    result = run([ENTRY, (100, 100, 94, 96, KEEP), (96, 96, 96, 96, KEEP)], stop=5)
    assert result.statistics.trades == 1
    assert result.trades[0]["profit"] == -5.0 and result.trades[0]["exit_bar"] == 1
    assert result.equity[-1] == 995.0


prices = st.integers(384, 416).map(lambda quarters: quarters / 4.0)
LEVELS = ["stop", "trail", "trail_level", "calm_above", "calm_below"]


@settings(max_examples=500, deadline=None)
@given(
    side=st.sampled_from([1.0, -1.0]),
    stop=st.sampled_from([0.0, 1.0, 7.3]),
    trail=st.sampled_from([0.05, 0.75, 1.1, 2.5]) | st.floats(0.05, 5.0),
    cash=st.sampled_from([-97.0, -90.0, 50.0]),
    live_at_entry=st.booleans(),
    bars=st.lists(st.tuples(prices, prices), min_size=1, max_size=12),
)
def test_a_bar_that_only_trails_leaves_what_the_whole_path_leaves(
    side: float, stop: float, trail: float, cash: float, live_at_entry: bool, bars: list[tuple[float, float]]
) -> None:
    """The short way through such a bar is one of speed: levels and calm edges are the same to the bit."""
    grid, margin = grid_of(instrument(Market.UM)), Margin(20.0, 0.01, 0.0125)
    rules = SimpleNamespace(grid=grid, margin=margin, costs=CostModel())
    session, book = np.zeros(1, SESSION).view(np.recarray)[0], np.zeros(1, SUB_BOOK).view(np.recarray)[0]
    book.qty, book.cash = side, cash if side > 0.0 else 200.0 + cash
    arm(session, book, Plan(side, 100.0 - side * stop if stop else 0.0, 0.0, trail), margin)
    if live_at_entry:
        trail_behind(session, side, 100.0)
    rest_calm(session, book, margin)
    for high, low in ((max(bar), min(bar)) for bar in bars):
        short_way, whole = only_trails(session, side, high, low), session.copy()
        cause, *_ = live_through(whole, book, (high + low) / 2.0, high, low, 1.0, 0.0, rules)
        if cause != NOTHING:
            assert not short_way
            return
        trail_behind(whole, side, high if side > 0.0 else low)
        rest_calm(whole, book, margin)
        if short_way:
            trail_calm(session, side, high, low)
            assert session[LEVELS].item() == whole[LEVELS].item()
        session = whole
