"""Weighted, filtered and stressed days: what changes and what must not."""

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.portfolio.scenarios.reshaped import exponentially_weighted, garch_filtered, with_stressed_window
from qtm.portfolio.scenarios.scenario_set import ScenarioSet
from qtm.risk.garch import garch_filtered_returns
from qtm.risk.measures import historical_cvar
from tests.portfolio.problems import heavy_tailed_returns
from tests.portfolio.scenarios.sets import scenario_set


def test_a_half_life_back_a_day_counts_half():
    weighted = exponentially_weighted(scenario_set(heavy_tailed_returns(3, 400, 1)), half_life=50)
    chances = weighted.probabilities
    assert chances.sum() == pytest.approx(1.0)
    assert chances[-1] / chances[-51] == pytest.approx(2.0)
    assert weighted.effective_rows == pytest.approx(50 * 2 / np.log(2), rel=0.01)


def test_an_endless_half_life_is_plain_history():
    plain = scenario_set(heavy_tailed_returns(3, 400, 2))
    weighted = exponentially_weighted(plain, half_life=1e9)
    weights = np.full(3, 1 / 3)
    assert weighted.cvar(weights, 0.95) == pytest.approx(plain.cvar(weights, 0.95), rel=1e-6)


def test_recent_turmoil_weighs_more_than_old_turmoil():
    calm, wild = heavy_tailed_returns(3, 300, 3), 3 * heavy_tailed_returns(3, 100, 4)
    weights = np.full(3, 1 / 3)
    late = exponentially_weighted(scenario_set(np.vstack((calm, wild))), half_life=60)
    early = exponentially_weighted(scenario_set(np.vstack((wild, calm))), half_life=60)
    assert late.cvar(weights, 0.95) > 1.5 * early.cvar(weights, 0.95)


def test_garch_scenarios_are_those_of_the_risk_engine():
    returns = heavy_tailed_returns(2, 500, 5)
    made = garch_filtered(scenario_set(returns))
    assert made.returns == pytest.approx(garch_filtered_returns(returns))
    assert "GARCH" in made.model


def test_the_worst_window_is_found_and_joins_with_its_share():
    returns = heavy_tailed_returns(3, 1000, 6) * 0.2
    returns[120:150] -= 0.05
    whole, recent = scenario_set(returns), scenario_set(returns[500:], first=500)
    stressed = with_stressed_window(recent, whole, rows=30)
    assert stressed.returns[-30:] == pytest.approx(returns[120:150])
    assert stressed.open_time_ms[-30] == whole.open_time_ms[120]
    assert stressed.provenance.parameters["stressed_from_ms"] == whole.open_time_ms[120]
    joined = np.vstack((returns[500:], returns[120:150])).mean(axis=1)
    assert stressed.cvar(np.full(3, 1 / 3), 0.95) == pytest.approx(historical_cvar(joined, 0.95))


def test_a_stressed_window_keeps_its_share_among_weighted_days():
    whole = scenario_set(heavy_tailed_returns(3, 600, 7))
    weighted = exponentially_weighted(whole, half_life=100)
    stressed = with_stressed_window(weighted, whole, rows=60)
    assert stressed.probabilities[-60:].sum() == pytest.approx(60 / 660)
    assert stressed.probabilities.sum() == pytest.approx(1.0)


def test_a_window_longer_than_history_or_of_other_symbols_is_refused():
    whole = scenario_set(heavy_tailed_returns(3, 100, 8))
    with pytest.raises(RiskError, match="fit the history"):
        with_stressed_window(whole, whole, rows=101)
    other = ScenarioSet(("X",), whole.open_time_ms, whole.returns[:, :1])
    with pytest.raises(RiskError, match="X"):
        with_stressed_window(other, whole, rows=10)


def test_equal_rows_for_an_evaluator_keep_the_tail():
    weighted = exponentially_weighted(scenario_set(heavy_tailed_returns(4, 730, 9)), half_life=180)
    weights = np.full(4, 0.25)
    equal = weighted.equally_likely(20_000)
    assert equal.probabilities is None and equal.returns.shape == (20_000, 4)
    assert equal.cvar(weights, 0.95) == pytest.approx(weighted.cvar(weights, 0.95), rel=5e-3)


def test_probabilities_that_are_no_distribution_are_refused():
    plain = scenario_set(heavy_tailed_returns(2, 50, 10))
    for chances in (np.full(50, 1.0), np.full(49, 1 / 49), np.append(np.full(49, 2 / 49), -1.0)):
        with pytest.raises(RiskError, match="probabilities"):
            ScenarioSet(plain.symbols, plain.open_time_ms, plain.returns, probabilities=chances)
