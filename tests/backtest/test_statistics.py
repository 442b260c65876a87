"""Performance figures against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qtm.backtest.engine import run_backtest
from qtm.backtest.statistics import daily_returns, drawdown_of, sharpe_ratio, sortino_ratio
from qtm.market.intervals import Interval
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import FEE_IN_QUOTE, CostModel
from tests.backtest.scripted import NO_CHANGE, START_MS, bars, instrument, scripted

HOUR_MS = 3_600_000


def test_drawdown_is_the_deepest_fall_and_the_longest_time_until_a_peak_is_reached_again() -> None:
    equity = np.array([100.0, 110, 99, 104.5, 88, 96, 120, 108])
    deepest, longest = drawdown_of(START_MS + np.arange(8) * HOUR_MS, HOUR_MS, equity, 100.0)
    assert deepest == pytest.approx(0.2) and longest == 5 * HOUR_MS


def test_hours_without_a_bar_are_part_of_a_drawdown() -> None:
    opened = START_MS + np.array([0, 1, 2, 50, 51]) * HOUR_MS
    _, longest = drawdown_of(opened, HOUR_MS, np.array([100.0, 90, 95, 101, 102]), 100.0)
    assert longest == 50 * HOUR_MS, "from the peak at the first close to the close after the gap"


def test_a_loss_from_the_first_bar_counts_against_the_starting_cash() -> None:
    deepest, longest = drawdown_of(START_MS + np.arange(2) * HOUR_MS, HOUR_MS, np.array([90.0, 95.0]), 100.0)
    assert deepest == pytest.approx(0.1) and longest == 2 * HOUR_MS, "it never came back"


def test_standing_still_is_no_drawdown() -> None:
    assert drawdown_of(START_MS + np.arange(9) * HOUR_MS, HOUR_MS, np.full(9, 100.0), 100.0) == (0.0, 0)


def test_daily_returns_sample_the_last_close_of_each_utc_day() -> None:
    times = START_MS + np.arange(6) * 8 * 3_600_000  # three bars a day
    equity = np.array([101.0, 102, 110, 50, 60, 99])
    np.testing.assert_allclose(daily_returns(times, equity, 100.0), [0.10, -0.10])


def test_sharpe_and_sortino_by_hand() -> None:
    returns = np.array([0.01, -0.02, 0.03, 0.00])
    mean, deviation = 0.005, math.sqrt((0.005**2 + 0.025**2 + 0.025**2 + 0.005**2) / 3)
    assert sharpe_ratio(returns) == pytest.approx(mean / deviation * math.sqrt(365))
    assert sortino_ratio(returns) == pytest.approx(mean / math.sqrt(0.02**2 / 4) * math.sqrt(365))


def test_a_curve_that_never_moves_has_no_sharpe() -> None:
    assert math.isnan(sharpe_ratio(np.zeros(5))) and math.isnan(sharpe_ratio(np.array([0.1])))


def test_a_whole_run_by_hand() -> None:
    rows = [
        (100, 100, 1),
        (100, 110, 0),
        (120, 120, 1),
        (120, 90, 0),
        (90, 90, NO_CHANGE),
        (90, 90, NO_CHANGE),
    ]
    result = run_backtest(
        scripted, {}, bars(rows, Interval.D1), instrument(), cash=1_000.0,
        costs=CostModel(0.01, 0.01, 0.0, FEE_IN_QUOTE), sizing=Sizing(SIZE_BY_UNITS, 1.0),
    )  # fmt: skip
    s = result.statistics
    # buy 100, sell 120 (fees 1.0 + 1.2), buy 120, sell 90 (fees 1.2 + 0.9)
    assert s.final_equity == pytest.approx(1_000 + 20 - 2.2 - 30 - 2.1)
    assert s.fees == pytest.approx(4.3)
    assert (s.orders, s.fills, s.trades) == (4, 4, 2)
    assert s.win_rate == 0.5
    assert s.profit_factor == pytest.approx(17.8 / 32.1)
    assert s.average_trade == pytest.approx((17.8 - 32.1) / 2)
    assert s.exposure == pytest.approx(2 / 6)
    assert s.days == 6.0
    assert s.annual_return == pytest.approx((s.final_equity / 1_000) ** (365 / 6) - 1)
    assert s.turnover == pytest.approx(430 / result.equity.mean() * 365 / 6)
    assert s.max_drawdown == pytest.approx(1 - (1_017.8 - 31.2 - 0.9) / 1_017.8)
