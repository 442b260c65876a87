"""Utility, ratio and risk budgets: optimality conditions and agreement with the frontier."""

from dataclasses import replace

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.portfolio.constraints import violated
from qtm.portfolio.optimise import optimise
from qtm.portfolio.problem import Objective, TailCap
from qtm.portfolio.ratio import maximise_ratio
from qtm.portfolio.reference import solve_reference
from qtm.portfolio.risk_budget import risk_budget_weights
from qtm.risk.decomposition import component_cvar
from qtm.risk.measures import historical_cvar
from tests.portfolio.problems import heavy_tailed_returns, problem


def test_utility_walks_from_the_highest_return_to_the_least_risk():
    returns = heavy_tailed_returns(6, 400, 31)
    posed = problem(returns, upper=0.5, objective=Objective.MAX_UTILITY)
    greedy = solve_reference(replace(posed, risk_aversion=0.0))
    careful = solve_reference(replace(posed, risk_aversion=100.0))
    middle = optimise(replace(posed, risk_aversion=0.02))
    assert greedy.expected_return == pytest.approx(
        optimise(replace(posed, objective=Objective.MAX_RETURN)).expected_return
    )
    assert careful.cvar == pytest.approx(
        optimise(replace(posed, objective=Objective.MIN_CVAR)).cvar, rel=1e-5
    )
    assert careful.cvar < middle.cvar < greedy.cvar
    assert middle.gap < 1e-6


def test_a_second_solver_finds_the_same_utility():
    posed = problem(
        heavy_tailed_returns(8, 300, 32), upper=0.5, objective=Objective.MAX_UTILITY, risk_aversion=0.03
    )
    one, two = (solve_reference(posed, (solver,)) for solver in ("CLARABEL", "HIGHS"))
    assert one.expected_return - 0.03 * one.cvar == pytest.approx(
        two.expected_return - 0.03 * two.cvar, rel=1e-6
    )


def test_no_portfolio_beats_the_best_ratio():
    returns = heavy_tailed_returns(6, 400, 33)
    posed = problem(returns, upper=0.6)
    best = maximise_ratio(posed)
    ratio = best.expected_return / best.cvar
    for weights in np.random.default_rng(0).dirichlet(np.ones(6), 2000):
        if weights.max() <= 0.6:
            assert posed.mean @ weights / historical_cvar(returns @ weights, 0.95) <= ratio + 1e-9


def test_of_portfolios_of_one_ratio_the_largest_within_the_constraints_is_taken():
    returns = heavy_tailed_returns(6, 400, 33)
    whole = maximise_ratio(problem(returns, upper=0.6))
    cash = maximise_ratio(problem(returns, upper=0.6, invested=(0.0, 1.0)))
    assert cash.weights.sum() == pytest.approx(1.0) or cash.weights.max() == pytest.approx(0.6)
    assert cash.expected_return / cash.cvar >= whole.expected_return / whole.cvar * (1 - 1e-6)
    small = (TailCap(0.95, 0.5 * cash.cvar),)
    capped = maximise_ratio(problem(returns, upper=0.6, invested=(0.0, 1.0), tail_caps=small))
    assert capped.cvar == pytest.approx(0.5 * cash.cvar, rel=1e-6)
    assert not violated(capped.problem, capped.weights)


def test_a_ratio_without_a_maximum_or_without_gain_is_an_error():
    returns = heavy_tailed_returns(4, 200, 34)
    sure = np.column_stack([returns, np.full(200, 0.001)])
    with pytest.raises(RiskError, match="no maximum"):
        maximise_ratio(problem(sure))
    with pytest.raises(RiskError, match="positive return"):
        maximise_ratio(problem(returns - 0.02))


@pytest.mark.parametrize("budgets", [None, np.array([1.0, 2.0, 3.0, 4.0])])
def test_shares_of_cvar_are_the_budgets(budgets):
    returns = heavy_tailed_returns(4, 4000, 35)
    weights = risk_budget_weights(returns, 0.9, budgets)
    components = component_cvar(returns, weights, 0.9)
    expected = np.full(4, 0.25) if budgets is None else budgets / budgets.sum()
    assert weights.sum() == pytest.approx(1.0)
    assert components / components.sum() == pytest.approx(expected, abs=0.01)


def test_budgets_that_cannot_be_met_are_refused():
    returns = heavy_tailed_returns(3, 300, 36)
    with pytest.raises(RiskError, match="positive"):
        risk_budget_weights(returns, 0.95, np.array([1.0, 0.0, 1.0]))
    with pytest.raises(RiskError, match="no share"):
        risk_budget_weights(np.column_stack([returns, np.full(300, 0.001)]), 0.95)


def test_the_best_ratio_of_many_scenarios_is_that_of_the_reference(monkeypatch):
    posed = problem(heavy_tailed_returns(12, 3000, 37), upper=0.4, cost_rate=1e-4, held=np.full(12, 1 / 12))
    fast = maximise_ratio(posed)
    monkeypatch.setattr("qtm.portfolio.ratio.solve_as_posed", lambda p, start=None: solve_reference(p))
    slow = maximise_ratio(posed)
    assert fast.solver == "fast"
    assert fast.expected_return / fast.cvar == pytest.approx(slow.expected_return / slow.cvar, rel=1e-6)
