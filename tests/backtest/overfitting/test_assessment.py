"""The examination end to end: a followable market passes what noise fails, and nothing unknown passes."""

import json

import numpy as np
import pytest

from qtm.backtest.overfitting.assessment import assess, assessment_table
from qtm.backtest.overfitting.measurements import blocks_for
from qtm.backtest.overfitting.sharpe import deflated_sharpe_ratio, expected_maximum_sharpe
from qtm.backtest.overfitting.verdict import Control, verdict_of
from qtm.backtest.registry import TrialRegistry
from qtm.errors import RiskError
from qtm.store.database import open_database
from qtm.strategies.registry import load_strategy
from tests.backtest.overfitting.market import bars_from, conditions, noise_steps, trending_steps

TREND = load_strategy("trend")
GRID = [TREND.params({"fast": fast, "slow": slow}) for fast in (3, 5, 8) for slow in (15, 20, 30)]


@pytest.fixture
def registry(tmp_path):
    return TrialRegistry(open_database(f"sqlite:///{tmp_path / 'qtm.db'}"))


def gates(assessment):
    return {gate.control: gate for gate in assessment.verdict.gates}


def test_a_real_edge_passes_every_gate_its_history_can_show(registry):
    found = assess(TREND, GRID, conditions(bars_from(trending_steps(400, 1))), registry, resamples=300)
    assert {control for control, gate in gates(found).items() if gate.passed} >= set(Control) - {
        Control.STRESS,
        Control.OVERFITTING,
    }
    assert found.measured.signal.p_value < 0.05
    assert found.measured.resampled.probability_of_loss < 0.05


def test_the_best_of_noise_fails(registry):
    found = assess(TREND, GRID, conditions(bars_from(noise_steps(400, 2))), registry, resamples=300)
    failed = {gate.control for gate in found.verdict.failed}
    assert {Control.DEFLATED_SHARPE, Control.SUPERIOR_ABILITY} <= failed
    assert found.measured.signal.p_value > 0.05


def test_earlier_trials_deflate_later_ones(registry):
    market = conditions(bars_from(trending_steps(300, 3, 0.0018)))
    first = assess(TREND, GRID[:3], market, registry, resamples=300)
    more = [TREND.params({"fast": fast, "slow": slow}) for fast in (20, 40) for slow in (60, 90)]
    assess(TREND, more, market, registry, resamples=300)
    again = assess(TREND, GRID[:3], market, registry, resamples=300)
    assert (first.verdict.subject.trials, again.verdict.subject.trials) == (3, 7)
    counted = again.measured.counted
    expected = deflated_sharpe_ratio(again.measured.sample, counted.trials, counted.sharpe_variance)
    assert counted.best_by_luck == expected_maximum_sharpe(7, counted.sharpe_variance)
    assert gates(again)[Control.DEFLATED_SHARPE].measured == expected
    assert expected < gates(first)[Control.DEFLATED_SHARPE].measured


def test_the_chosen_parameters_are_the_ones_judged(registry):
    market = conditions(bars_from(trending_steps(300, 3)))
    found = assess(TREND, GRID, market, registry, chosen=GRID[8], resamples=300)
    assert found.verdict.subject.params == {"fast": 8.0, "slow": 30.0, "below": 0.0}
    np.testing.assert_array_equal(found.result.equity, market.run(TREND, GRID[8]).equity)
    with pytest.raises(RiskError, match="not one of"):
        assess(TREND, GRID, market, registry, chosen=TREND.params({"fast": 100}), resamples=300)


def test_one_trial_and_a_strategy_that_never_trades_pass_nothing(registry):
    never = [TREND.params({"fast": 700, "slow": 1000})]
    found = assess(TREND, never, conditions(bars_from(noise_steps(100, 2))), registry, resamples=300)
    assert found.measured.stress and not any(gate.passed for gate in found.verdict.gates)
    assert "two trials" in gates(found)[Control.OVERFITTING].explanation
    assert "never traded" in gates(found)[Control.DOUBLED_COSTS].explanation
    assert gates(found)[Control.STRESS].measured is None


def test_stress_events_are_held_against_the_drawdown_limit(registry):
    market = conditions(bars_from(trending_steps(100, 4)))
    loose = assess(TREND, GRID[:2], market, registry, max_drawdown=0.9, resamples=300)
    tight = assess(TREND, GRID[:2], market, registry, max_drawdown=1e-6, resamples=300)
    assert gates(loose)[Control.STRESS].passed and not gates(tight)[Control.STRESS].passed
    assert "COVID" in gates(loose)[Control.STRESS].explanation


def test_the_table_is_json_and_its_verdict_reads_back(registry):
    found = assess(TREND, GRID, conditions(bars_from(trending_steps(100, 1))), registry, resamples=300)
    body = json.loads(json.dumps(assessment_table(found), allow_nan=False))
    assert verdict_of(body) == found.verdict
    assert body["figures"]["overfitting"]["splits"] == found.measured.overfitting.splits
    assert body["figures"]["parameter_box"]["neighbours"] > 10


def test_progress_is_told(registry):
    told = []
    market = conditions(bars_from(trending_steps(60, 1)))
    assess(TREND, GRID[:2], market, registry, resamples=300, on_progress=lambda *what: told.append(what))
    assert told == [("trials", 1, 2), ("trials", 2, 2), ("tests", 0, 1), ("tests", 1, 1)]


@pytest.mark.parametrize(("days", "blocks"), [(32, 4), (60, 6), (127, 14), (128, 16), (5000, 16)])
def test_blocks_hold_at_least_eight_days(days, blocks):
    assert blocks_for(days) == blocks
    assert days // blocks >= 8


def test_too_few_days_for_four_blocks_is_said():
    with pytest.raises(RiskError, match="at least 32 days"):
        blocks_for(31)
