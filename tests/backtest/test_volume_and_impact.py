"""Fills bounded by a bar's volume and worsened by impact, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from qtm.backtest.engine import BacktestResult, run_backtest
from qtm.market.instruments import Market
from qtm.strategies.contract import step_strategy
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import FEE_IN_BNB, FEE_IN_QUOTE, CostModel
from qtm.trading.plan import KEEP, Plan
from tests.backtest.scripted import Exits, instrument, ranges

CAPPED = CostModel(0.0, 0.0, 0.0, FEE_IN_QUOTE, participation=0.1)


@step_strategy(name="once", summary="Buys at the first close.", params=Exits, bounds={}, state={"seen": "i8"})
def once(params, state, bar, account):  # type: ignore[no-untyped-def]
    state.seen += 1
    if state.seen > 1:
        return KEEP
    return Plan(
        1.0,
        bar.close - params.stop if params.stop > 0.0 else 0.0,
        bar.close + params.take_profit if params.take_profit > 0.0 else 0.0,
        params.trail,
    )


def run(rows, *, costs=CAPPED, units=1.0, **exits) -> BacktestResult:  # type: ignore[no-untyped-def]
    return run_backtest(
        once, exits, ranges(rows), instrument(Market.UM), cash=10_000.0, costs=costs,
        sizing=Sizing(SIZE_BY_UNITS, units),
    )  # fmt: skip


def calm(volume: float) -> tuple[float, float, float, float, float]:
    return (100.0, 100.0, 100.0, 100.0, volume)


def seen(result: BacktestResult) -> list[tuple[str, str, float, float]]:
    return result.orders.select("cause", "status", "qty", "filled_qty").rows()


def test_the_rest_of_an_order_expires_and_is_tried_again_until_the_target_is_met() -> None:
    result = run([calm(9), calm(6), calm(0), calm(3.019), calm(90), calm(90)])
    assert seen(result) == [
        ("target", "PARTIAL", 1.0, 0.6),
        ("target", "EXPIRED", 0.4, 0.0),
        ("target", "PARTIAL", 0.4, pytest.approx(0.301)),  # whole lots only
        ("target", "FILLED", pytest.approx(0.099), pytest.approx(0.099)),
    ]
    assert result.book["qty"][0] == 1.0 and result.statistics.fills == 3


def test_a_stop_larger_than_its_bar_leaves_the_rest_to_the_opens_that_follow() -> None:
    rows = [calm(90), calm(90), (100, 100, 94, 96, 3), (97, 99, 96, 98, 2), (98, 98, 98, 98, 90), calm(90)]
    result = run(rows, stop=5)
    exits = result.orders.filter(result.orders["cause"] == "stop")
    assert exits.select("status", "qty", "filled_qty", "fill_price").rows() == [
        ("PARTIAL", 1.0, pytest.approx(0.3), 95.0),
        ("PARTIAL", pytest.approx(0.7), pytest.approx(0.2), 97.0),
        ("FILLED", 0.5, 0.5, 98.0),
    ]
    assert result.book["qty"][0] == 0.0
    assert result.equity[-1] == pytest.approx(10_000 - 0.3 * 5 - 0.2 * 3 - 0.5 * 2)


def test_a_stop_in_the_bar_of_its_entry_finds_what_the_entry_left_of_it() -> None:
    # A volume of 15 carries 1.5: the entry takes 1, the stop 0.5, and the rest leaves at the next open.
    result = run([calm(15), (100, 100, 94, 96, 15), (97, 97, 97, 97, 15), calm(15)], stop=5)
    assert result.orders.select("cause", "status", "filled_qty", "fill_price").rows() == [
        ("target", "FILLED", 1.0, 100.0),
        ("stop", "PARTIAL", 0.5, 95.0),
        ("stop", "FILLED", 0.5, 97.0),
    ]


def test_a_take_profit_rests_until_enough_has_traded_through_it() -> None:
    rows = [calm(90), calm(90), (100, 104, 100, 101, 4), (101, 102, 100, 101, 90), (101, 104, 101, 101, 90)]
    result = run(rows, take_profit=3)
    exits = result.orders.filter(result.orders["cause"] == "take-profit")
    assert exits.select("status", "filled_qty", "fill_price").rows() == [
        ("PARTIAL", pytest.approx(0.4), 103.0),
        ("FILLED", pytest.approx(0.6), 103.0),
    ]


def test_a_round_trip_of_parts_is_one_trade() -> None:
    rows = [calm(90), calm(6), calm(90), (100, 104, 100, 101, 4), (101, 104, 101, 101, 90)]
    (trade,) = run(rows, take_profit=3).trades
    assert (trade["qty"], trade["entry_price"], trade["exit_price"]) == pytest.approx((1.0, 100.0, 103.0))
    assert trade["profit"] == pytest.approx(3.0)


def test_impact_grows_with_volatility_and_the_root_of_the_share() -> None:
    # Closes 100 and 102, a return of 2 %; then 1 unit of a bar of 4: 0.1 x 2 % x sqrt(1/4) = 10 bp
    rows = [(100, 100, 100, 100, 4), (100, 102, 100, 102, 4), (102, 102, 102, 102, 4)]

    @step_strategy(name="second", summary="Buys at the second close.", params=Exits, bounds={},
                   state={"seen": "i8"})  # fmt: skip
    def second(params, state, bar, account):  # type: ignore[no-untyped-def]
        state.seen += 1
        return 1.0 if state.seen == 2 else np.nan

    costs = CostModel(0.0, 0.0, 0.0, FEE_IN_QUOTE, impact=0.1)
    result = run_backtest(
        second, {}, ranges(rows), instrument(Market.UM), cash=10_000.0, costs=costs,
        sizing=Sizing(SIZE_BY_UNITS, 1.0),
    )  # fmt: skip
    assert result.orders["fill_price"].to_list() == [pytest.approx(102.11)]  # 102.102, up a tick


def test_a_stop_pays_the_impact_of_the_whole_position() -> None:
    costs = CostModel(0.0, 0.0, 0.0, FEE_IN_QUOTE, impact=1.0)
    rows = [calm(4), (100, 101, 100, 101, 4), (101, 101, 95, 95, 4)]
    result = run(rows, costs=costs, stop=5)
    # volatility is that of the closes before the bar: 1 %; half of it for a quarter of the volume
    assert result.orders["fill_price"].to_list() == [100.0, pytest.approx(95 * (1 - 0.005), abs=0.01)]


def test_fees_in_bnb_are_booked_at_the_price_of_bnb() -> None:
    costs = CostModel(0.0, 0.00045, 0.0, FEE_IN_BNB, bnb_price=600.0)
    result = run([calm(90), calm(90)], costs=costs)
    assert result.orders["fee"].to_list() == [pytest.approx(0.000075 * 600.0)]  # 0.045 is 0.000075 BNB
    assert result.equity[-1] == pytest.approx(10_000.0 - 0.045)
