"""Futures accounts by hand: funding, initial margin, liquidation."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pytest

from qtm.backtest.engine import BacktestResult, run_backtest
from qtm.backtest.funding import FundingRates, rates_per_bar
from qtm.errors import DataError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.trading.book import SIZE_BY_UNITS, SIZE_BY_WEIGHT, Sizing
from qtm.trading.brackets import BracketRow, bracket_array
from qtm.trading.costs import FEE_IN_QUOTE, CostModel
from qtm.trading.margin import (
    NO_MARGIN,
    Margin,
    is_covered,
    leverage_at,
    liquidation_price,
    maintenance_margin,
    margin_of,
)
from tests.backtest.scripted import NO_CHANGE, START_MS, bars, guarded, instrument, ranges, scripted

KEEP = NO_CHANGE
FREE = CostModel(0.0, 0.0, 0.0, FEE_IN_QUOTE)
HOUR = 3_600_000


def run(series, *, units=1.0, cash=1_000.0, strategy=scripted, params=None, **more) -> BacktestResult:  # type: ignore[no-untyped-def]
    return run_backtest(
        strategy,
        params,
        series,
        instrument(Market.UM),
        cash=cash,
        costs=FREE,
        sizing=Sizing(SIZE_BY_UNITS, units),
        **more,
    )


def every_eight_hours(count: int, rate: float, jitter: int = 0) -> FundingRates:
    times = START_MS + np.arange(count, dtype=np.int64) * 8 * HOUR + jitter
    return FundingRates(times, np.full(count, rate), np.full(count, 8))


def hourly(target: float, hours: int) -> list[tuple[float, float, float]]:
    return [(100.0, 100.0, target if i == 0 else KEEP) for i in range(hours)]


@pytest.mark.parametrize(("target", "expected"), [(1.0, 999.7), (-1.0, 1_000.3), (0.0, 1_000.0)])
def test_longs_pay_and_shorts_receive_at_each_funding_time(target: float, expected: float) -> None:
    # A day and an hour from midnight: the position exists at 08:00, 16:00 and 24:00.
    result = run(bars(hourly(target, 25), Interval.H1), funding=every_eight_hours(4, 0.001))
    assert result.equity[-1] == pytest.approx(expected, abs=1e-12)
    assert result.statistics.funding == pytest.approx(1_000.0 - expected, abs=1e-12)


def test_the_position_carried_into_the_funding_time_pays_not_the_one_opened_at_it() -> None:
    rows = [(100.0, 100.0, KEEP)] * 7 + [(100.0, 100.0, 1.0)] + [(100.0, 100.0, KEEP)] * 3
    result = run(bars(rows, Interval.H1), funding=every_eight_hours(2, 0.001))  # filled at 08:00's open
    assert result.equity[-1] == 1_000.0


@pytest.mark.parametrize("jitter", [0, 3, 900])
def test_venue_times_that_jitter_by_milliseconds_fall_into_the_right_bar(jitter: int) -> None:
    rates = rates_per_bar(bars(hourly(1.0, 24), Interval.H1), every_eight_hours(3, 0.001, jitter))
    assert np.flatnonzero(rates).tolist() == [0, 8, 16]


def test_a_daily_bar_collects_its_three_payments() -> None:
    rates = rates_per_bar(bars(hourly(1.0, 2), Interval.D1), every_eight_hours(6, 0.001))
    np.testing.assert_allclose(rates, [0.003, 0.003])


@pytest.mark.parametrize("missing", [1, 2])
def test_a_missing_payment_is_an_error_never_zero(missing: int) -> None:
    whole = every_eight_hours(3, 0.001)
    kept = np.arange(3) != missing
    holed = FundingRates(whole.time_ms[kept], whole.rate[kept], whole.interval_hours[kept])
    with pytest.raises(DataError, match="funding rates are missing"):
        run(bars(hourly(1.0, 24), Interval.H1), funding=holed)


def test_a_contract_that_moves_to_four_hours_is_held_to_four_hours() -> None:
    times = START_MS + np.array([0, 8, 12, 20], dtype=np.int64) * HOUR
    moved = FundingRates(times, np.full(4, 0.001), np.array([8, 8, 4, 4]))
    with pytest.raises(DataError, match="between 2024-01-01T12:00:00Z and 2024-01-01T20:00:00Z"):
        rates_per_bar(bars(hourly(1.0, 24), Interval.H1), moved)


def test_liquidation_prices_by_hand() -> None:
    margin = Margin(leverage=10.0, maintenance_rate=0.01, liquidation_fee=0.0)
    # long 10 at 100 with 100 of equity: cash -900; 10 p - 900 = 0.01 * 10 p -> p = 90.909
    assert liquidation_price(10.0, -900.0, margin) == pytest.approx(900 / 9.9)
    # short 10 at 100: cash 1100; 1100 - 10 p = 0.1 p -> p = 108.91
    assert liquidation_price(-10.0, 1_100.0, margin) == pytest.approx(1_100 / 10.1)
    assert liquidation_price(1.0, 50.0, margin) == 0.0  # paid for in cash
    assert liquidation_price(10.0, -900.0, NO_MARGIN) == 0.0


TABLE = bracket_array(
    (
        BracketRow(20, 1_000, Decimal("0.01")),
        BracketRow(10, 5_000, Decimal("0.02")),
        BracketRow(2, 10_000, Decimal("0.1")),
    )
)


def test_maintenance_joins_its_brackets_without_a_jump() -> None:
    margin = Margin(20.0, brackets=TABLE)
    # cum: 0; 1000 x (0.02 - 0.01) = 10; 10 + 5000 x (0.1 - 0.02) = 410
    assert TABLE[:, 2].tolist() == [0.0, 10.0, 410.0]
    by_hand = {500.0: 5.0, 1_000.0: 10.0, 2_000.0: 30.0, 5_000.0: 90.0, 8_000.0: 390.0}
    for notional, needed in by_hand.items():
        assert maintenance_margin(notional, margin) == pytest.approx(needed)


def test_a_larger_position_is_allowed_less_leverage() -> None:
    margin = Margin(15.0, brackets=TABLE)
    assert [leverage_at(n, margin) for n in (1_000.0, 1_000.01, 5_000.0, 6_000.0)] == [15.0, 10.0, 10.0, 2.0]
    assert is_covered(0.0, 50.0, 100.0, 500.0, margin)  # 5,000 at 10x
    assert not is_covered(0.0, 51.0, 100.0, 500.0, margin)  # 5,100 at 2x needs 2,550


@pytest.mark.parametrize(("qty", "cash"), [(10.0, -900.0), (60.0, -5_500.0), (-60.0, 6_500.0), (-5.0, 520.0)])
def test_at_the_liquidation_price_equity_is_the_maintenance_margin_of_its_bracket(
    qty: float, cash: float
) -> None:
    margin = Margin(20.0, brackets=TABLE)
    price = liquidation_price(qty, cash, margin)
    assert cash + qty * price == pytest.approx(maintenance_margin(abs(qty) * price, margin), abs=1e-9)
    alive = price * (1.001 if qty > 0 else 0.999)
    assert cash + qty * alive > maintenance_margin(abs(qty) * alive, margin)


def test_an_account_is_on_its_contract_s_brackets() -> None:
    assert margin_of(instrument(Market.SPOT)).leverage == 0.0
    bitcoin = margin_of(instrument(Market.UM))
    # 10 M notional lies in the bracket of 1 %: 300k x 0.1 % + 800k x 0.15 % + 3M x 0.35 % joined on
    assert maintenance_margin(10e6, bitcoin) == pytest.approx(10e6 * 0.01 - (300 + 1_200 + 10_500))


def test_a_liquidated_long_loses_its_margin_and_never_more_than_it_had() -> None:
    margin = Margin(10.0, 0.01, 0.005)
    rows = [
        (100, 100, 100, 100, 1),
        (100, 101, 99, 100, KEEP),
        (100, 100, 80, 95, KEEP),
        (95, 95, 95, 95, KEEP),
    ]
    result = run(ranges(rows), units=10.0, cash=100.0, strategy=guarded, margin=margin)
    causes = result.orders["cause"].to_list()
    assert causes == ["target", "liquidation"]
    price = 900 / 9.9
    assert result.orders["fill_price"].to_list()[1] == pytest.approx(price)
    # maintenance margin left, less the fee on the notional
    assert result.equity[-1] == pytest.approx(10 * price * (0.01 - 0.005))
    assert result.book["qty"][0] == 0.0


def test_a_gap_beyond_ruin_ends_at_zero_not_in_debt() -> None:
    rows = [(100, 100, 100, 100, 1), (100, 100, 100, 100, KEEP), (50, 50, 50, 50, KEEP)]
    result = run(ranges(rows), units=10.0, cash=120.0, strategy=guarded, margin=Margin(10.0, 0.01, 0.005))
    assert result.equity[-1] == 0.0 and result.orders["cause"].to_list()[-1] == "liquidation"


def test_a_stop_before_the_liquidation_price_saves_the_rest() -> None:
    rows = [(100, 100, 100, 100, 1), (100, 100, 100, 100, KEEP), (100, 100, 80, 85, KEEP)]
    result = run(
        ranges(rows),
        units=10.0,
        cash=120.0,
        strategy=guarded,
        params={"stop": 5.0},
        margin=Margin(10.0, 0.01, 0.005),
    )
    assert result.orders["cause"].to_list()[-1] == "stop" and result.equity[-1] == 70.0


def test_the_venue_rejects_what_the_margin_does_not_cover_and_the_target_is_dropped() -> None:
    rows = [(100, 100, 1), (100, 100, 1), (100, 100, KEEP)]
    refused = run(bars(rows), units=60.0, margin=Margin(5.0, 0.01, 0.01))
    assert refused.orders["status"].to_list() == ["REJECTED"]
    assert run(bars(rows), units=50.0, margin=Margin(5.0, 0.01, 0.01)).orders["status"].to_list() == [
        "FILLED"
    ]


def test_spot_has_no_margin_account() -> None:
    result = run_backtest(
        scripted, {}, bars([(100, 100, 1), (100, 100, KEEP)]), instrument(), cash=1_000.0, costs=FREE,
        sizing=Sizing(SIZE_BY_WEIGHT, 1.0),
    )  # fmt: skip
    assert result.lineage.margin is None and result.orders["status"].to_list() == ["FILLED"]
