"""All orders of an account on a symbol share what a bar's volume carries, by hand."""

from __future__ import annotations

import pytest

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.result import AccountResult
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.market.instruments import Market
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import FEE_IN_QUOTE, CostModel
from tests.backtest.account.markets import KEEP, panel
from tests.backtest.scripted import guarded, scripted

CALM = (100, 100, 100, 100, KEEP)


def run(  # type: ignore[no-untyped-def]
    rows, *seats: Seat, participation: float, market: Market = Market.UM
) -> AccountResult:
    # The script is the volume column: a bar in which nothing is said (`KEEP`) has a volume of 999.
    costs = CostModel(0.0, 0.0, 0.0, FEE_IN_QUOTE, participation=participation)
    return run_account(seats, panel(rows, market), Conditions(10_000.0, costs=costs))


def seat(units: float, strategy=scripted, *, share: float = 0.5, **params: float) -> Seat:  # type: ignore[no-untyped-def]
    return Seat(strategy, params, share=share, sizing=Sizing(SIZE_BY_UNITS, units))


def fills(result: AccountResult) -> list[tuple[int, int, str, float, float, float]]:
    """(bar it was decided after, strategy, cause, lots asked, lots filled, price) of every order."""
    cause, rows = result.orders["cause"], result.order_rows
    return [
        (int(row["bar"]), int(row["leg"]), why, row["lots"], row["filled_lots"], row["fill_price"])
        for row, why in zip(rows, cause, strict=True)
    ]


def test_a_stop_in_the_bar_of_the_entries_finds_what_they_left_of_it() -> None:
    # 0.0025 of 999 carries 2,497 lots. The entries take 2,000 of them, so the stop at 95 closes 497 lots and
    # the other 503 leave at the next open.
    rows = {"AUSDT": [(100, 100, 1), (100, 100, 94, 97, KEEP), (96, 97, 96, 97, KEEP), CALM]}
    result = run(rows, seat(1.0, guarded, stop=5.0), seat(1.0), participation=0.0025)
    assert fills(result) == [
        (0, 0, "target", 1_000.0, 1_000.0, 100.0),
        (0, 1, "target", 1_000.0, 1_000.0, 100.0),
        (0, 0, "stop", -1_000.0, -497.0, 95.0),
        (1, 0, "stop", -503.0, -503.0, 96.0),
    ]
    assert result.legs["qty"].tolist() == [0.0, 1.0]
    assert result.purses[0, 1] == pytest.approx(5_000.0 - 100.0 + 0.497 * 95.0 + 0.503 * 96.0, abs=1e-9)


def test_two_stops_in_one_bar_are_served_in_the_order_in_which_the_price_meets_them() -> None:
    # 0.002 of 999 carries 1,998 lots: the entries of 1,200 each need two bars. The stop at 96 is met before
    # the one at 95, although its strategy sits behind the other: 1,200 and then the 798 that are left.
    rows = {"AUSDT": [(100, 100, 1), CALM, CALM, (100, 100, 94, 97, KEEP), (97, 97, 97, 97, KEEP), CALM]}
    result = run(
        rows, seat(1.2, guarded, stop=5.0), seat(1.2, guarded, stop=4.0), participation=0.002
    )  # fmt: skip
    assert [row[4] for row in fills(result)[:4]] == [999.0, 999.0, 201.0, 201.0]
    assert fills(result)[4:] == [
        (2, 1, "stop", -1_200.0, -1_200.0, 96.0),
        (2, 0, "stop", -1_200.0, -798.0, 95.0),
        (3, 0, "stop", -402.0, -402.0, 97.0),
    ]


def test_take_profits_of_one_bar_share_it_on_spot_in_the_order_of_the_strategies() -> None:
    # Both targets are traded through; 1,998 lots fill the first's 1,200 and 798 of the second's, whose rest
    # fills in the next bar that trades through.
    over = (100, 106, 100, 104, KEEP)
    rows = {"AUSDT": [(100, 100, 1), CALM, CALM, over, CALM, over, CALM]}
    result = run(
        rows, seat(1.2, guarded, take_profit=4.0), seat(1.2, guarded, take_profit=3.0),
        participation=0.002, market=Market.SPOT,
    )  # fmt: skip
    assert fills(result)[4:] == [
        (2, 0, "take-profit", -1_200.0, -1_200.0, 104.0),
        (2, 1, "take-profit", -1_200.0, -798.0, 103.0),
        (4, 1, "take-profit", -402.0, -402.0, 103.0),
    ]
    assert result.equity[-1] == pytest.approx(10_000.0 + 1.2 * 4.0 + 1.2 * 3.0, abs=1e-9)


def test_lots_that_strategies_trade_with_each_other_leave_the_bar_untouched() -> None:
    # 100 lots go to the venue and 1,900 cross; 0.0012 of 999 carries 1,198 lots, so 1,098 are left for the
    # stop of the buyer's 2,000.
    rows = {"AUSDT": [(100, 100, 1), (100, 100, 94, 97, KEEP), CALM]}
    result = run(rows, seat(2.0, guarded, stop=5.0), seat(1.9, scale=-1.0), participation=0.0012)
    assert result.order_rows["crossed_lots"].tolist()[:2] == [1_900.0, 1_900.0]
    assert fills(result)[2] == (0, 0, "stop", -2_000.0, -1_098.0, 95.0)


def test_each_symbol_has_a_volume_of_its_own_and_so_has_each_bar() -> None:
    # 999 lots for A and 999 for B in every bar, however much the other one takes.
    rows = {name: [(100, 100, 1), CALM, CALM] for name in ("AUSDT", "BUSDT")}
    result = run(rows, seat(1.5, share=1.0), participation=0.001)
    assert [row[:2] + row[3:5] for row in fills(result)] == [
        (0, 0, 1_500.0, 999.0), (0, 1, 1_500.0, 999.0), (1, 0, 501.0, 501.0), (1, 1, 501.0, 501.0),
    ]  # fmt: skip
