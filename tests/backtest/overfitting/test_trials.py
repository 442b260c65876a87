"""Trials: what is run, what is kept, and the book carried through the bars."""

import dataclasses

import numpy as np
import pytest

from qtm.backtest.conditions.contract import doubled
from qtm.backtest.holdings import Holdings
from qtm.backtest.overfitting.trials import run_trials, sharpe_ratios
from qtm.backtest.registry import DAILY_SHARPE, returns_to_ruin
from qtm.errors import RiskError
from qtm.market.instruments import Market
from qtm.strategies.registry import load_strategy
from qtm.trading.book import Sizing
from qtm.trading.costs import SPOT_COSTS, UM_COSTS
from tests.backtest.overfitting.market import bars_from, conditions, instrument, noise_steps, trending_steps

TREND = load_strategy("trend")
GRID = [TREND.params({"fast": fast, "slow": slow}) for fast in (3, 8) for slow in (20, 40)]


def test_a_column_compounds_to_the_run_it_came_from():
    market = conditions(bars_from(trending_steps(90, 1)))
    trials = run_trials(TREND, GRID, market)
    assert trials.returns.shape == (90, 4)
    for number, params in enumerate(GRID):
        total = market.run(TREND, params).equity[-1] / 100_000 - 1
        assert np.prod(1 + trials.returns[:, number]) - 1 == pytest.approx(total, abs=1e-12)
        assert trials.records[number].statistics[DAILY_SHARPE] == sharpe_ratios(trials.returns)[number]


def test_best_is_the_highest_sharpe_ratio():
    trials = run_trials(TREND, GRID, conditions(bars_from(trending_steps(90, 1))))
    ratios = sharpe_ratios(trials.returns)
    assert ratios[trials.best] == ratios.max() > 0


def test_a_combination_named_twice_is_run_once():
    seen = []
    trials = run_trials(
        TREND, [*GRID, GRID[0]], conditions(bars_from(noise_steps(60, 2))), on_progress=seen.append
    )
    assert len(trials) == 4 and seen == [1, 2, 3, 4]
    assert trials.index_of(GRID[2]) == 2
    with pytest.raises(RiskError, match="not one of the 4 trials"):
        trials.index_of(TREND.params({"fast": 4}))


def test_nothing_to_try_is_refused():
    with pytest.raises(RiskError, match="no combination"):
        run_trials(TREND, [], conditions(bars_from(noise_steps(60, 2))))


def test_a_strategy_too_slow_for_the_window_is_a_column_of_zeros():
    trials = run_trials(TREND, [TREND.params({"slow": 400})], conditions(bars_from(noise_steps(60, 2))))
    assert not trials.returns.any() and sharpe_ratios(trials.returns).tolist() == [0.0]


def test_doubled_costs_double_every_rate_and_cost_more():
    market = conditions(bars_from(trending_steps(90, 1)))
    dearer = market.with_costs(doubled)
    assert dearer.costs == SPOT_COSTS._replace(maker_rate=0.002, taker_rate=0.002, slippage_bps=2.0)
    assert dearer.run(TREND, GRID[0]).equity[-1] < market.run(TREND, GRID[0]).equity[-1]


def test_holdings_mark_to_the_equity_of_the_run():
    result = conditions(bars_from(trending_steps(60, 3))).run(TREND, GRID[0])
    held = Holdings.of(result)
    np.testing.assert_allclose(held.cash + held.qty * result.bars.close, result.equity, rtol=1e-12)
    assert (held.qty > 0).any() and (held.qty < 1e-9).any()
    worst = held.worst_equity(result.bars.low, result.bars.high)
    assert (worst <= result.equity + 1e-9).all()


def test_short_positions_are_worst_at_the_high():
    held = Holdings(np.array([-2.0, 1.0]), np.array([100.0, 0.0]))
    assert held.worst_equity(np.array([9.0, 9.0]), np.array([11.0, 11.0])).tolist() == [78.0, 9.0]


def test_a_trial_that_loses_everything_counts_as_minus_one_hundred_percent():
    rising = bars_from(np.full(60 * 6, 0.01), "BTCUSDT")
    market = dataclasses.replace(conditions(rising), instrument=instrument(market=Market.UM), costs=UM_COSTS)
    wiped_out = dataclasses.replace(market, sizing=Sizing(amount=5.0))
    down = TREND.params({"fast": 20, "slow": 3, "below": -1.0})
    trials = run_trials(TREND, [down, GRID[0]], wiped_out)
    day = int(np.argmin(trials.returns[:, 0]))
    assert trials.returns[day, 0] < -0.5 and not trials.returns[day + 1 :, 0].any()
    assert np.isfinite(trials.returns).all()
    assert trials.records[0].statistics[DAILY_SHARPE] < 0


def test_returns_stop_at_ruin():
    result = conditions(bars_from(noise_steps(10, 1))).run(TREND, GRID[0])
    equity = np.full(60, 100_000.0)
    equity[30:] = -5.0
    equity[40:] = 50_000.0
    ruined = dataclasses.replace(result, equity=equity)
    assert returns_to_ruin(ruined).tolist() == [0, 0, 0, 0, 0, -1, 0, 0, 0, 0]
