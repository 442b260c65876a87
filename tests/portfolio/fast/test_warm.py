"""Re-solving from a known vertex: the same optimum, proven again, from good starts and bad ones."""

from dataclasses import replace

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.portfolio.fast.frontier import efficient_frontier
from qtm.portfolio.fast.shape import programme_of
from qtm.portfolio.fast.solve import solve_fast
from qtm.portfolio.fast.tail import TailShape
from qtm.portfolio.fast.warm import can_resolve, resolve
from qtm.portfolio.problem import Distribution, Objective, TailCap
from qtm.portfolio.reference import objective_value
from tests.portfolio.problems import heavy_tailed_returns, problem


def mandate(returns, kind):
    """A mandate over `returns` whose optimum is a vertex."""
    changes = {
        "least": {
            "objective": Objective.MIN_CVAR,
            "return_floor": float(np.sort(returns.mean(axis=0))[-4:].mean()),
        },
        "capped": {"tail_caps": (TailCap(0.95, 0.024),), "invested": (0.0, 1.0)},
        "utility": {"objective": Objective.MAX_UTILITY, "risk_aversion": 0.04},
        "short": {"objective": Objective.MIN_CVAR, "lower": np.full(returns.shape[1], -0.05)},
        "weighted": {
            "objective": Objective.MIN_CVAR,
            "probabilities": np.exp2(np.linspace(-3, 0, returns.shape[0]))
            / np.exp2(np.linspace(-3, 0, returns.shape[0])).sum(),
        },
    }[kind]
    return problem(returns, upper=0.3, **changes)


@pytest.mark.parametrize("newest", ["ordinary", "crash"])
@pytest.mark.parametrize("kind", ["least", "capped", "utility", "short", "weighted"])
def test_a_rolled_window_is_re_solved_to_the_same_value(kind, newest):
    returns = heavy_tailed_returns(20, 2500, 71)
    yesterday = solve_fast(mandate(returns, kind))
    day = returns[1000] if newest == "ordinary" else returns.min(axis=0)
    tomorrow = mandate(np.vstack((returns[1:], day)), kind)
    warm, cold = solve_fast(tomorrow, start=yesterday.weights), solve_fast(tomorrow)
    assert warm.gap <= 1e-7
    values = [objective_value(tomorrow, answer.weights) for answer in (warm, cold)]
    assert values[0] == pytest.approx(values[1], rel=2e-7)


@pytest.mark.parametrize("seed", range(20))
def test_pivots_reach_the_optimum_and_prove_it(seed):
    """By pivots alone, without the interior method behind them."""
    rng = np.random.default_rng(seed)
    returns = heavy_tailed_returns(int(rng.integers(5, 40)), int(rng.integers(300, 3000)), 200 + seed)
    posed = problem(
        returns, upper=0.4, objective=Objective.MIN_CVAR, alpha=float(rng.choice([0.9, 0.95, 0.99]))
    )
    near = solve_fast(posed)
    moved = replace(posed, scenarios=np.vstack((returns[1:], -returns[:1])))
    answer = resolve(programme_of(moved), near.weights, 1e-7)
    if answer is None:
        pytest.skip("left to the interior method")
    assert answer.value - answer.bound <= 1e-7 * abs(answer.value)
    assert answer.value == pytest.approx(solve_fast(moved).cvar, rel=2e-7)


def test_pivots_seldom_give_up():
    reached = 0
    for seed in range(20):
        returns = heavy_tailed_returns(15, 1000, 300 + seed)
        posed = problem(returns, upper=0.4, objective=Objective.MIN_CVAR)
        moved = replace(posed, scenarios=np.vstack((returns[1:], returns[500:501])))
        reached += resolve(programme_of(moved), solve_fast(posed).weights, 1e-7) is not None
    assert reached >= 19


@pytest.mark.parametrize("start", ["corner", "middle", "outside", "opposite"])
def test_a_start_that_is_no_optimum_costs_time_and_no_accuracy(start):
    returns = heavy_tailed_returns(12, 1500, 72)
    posed = mandate(returns, "capped")
    best = solve_fast(posed)
    starts = {
        "corner": np.eye(12)[0],
        "middle": np.full(12, 1 / 12),
        "outside": np.full(12, 5.0),
        "opposite": np.where(best.weights > 0.0, 0.0, 0.2),
    }
    answer = solve_fast(posed, start=starts[start])
    assert answer.gap <= 1e-7
    assert answer.expected_return == pytest.approx(best.expected_return, rel=2e-7)


def test_what_has_distances_or_several_tails_is_not_pivoted():
    returns = heavy_tailed_returns(5, 500, 73)
    assert can_resolve(programme_of(mandate(returns, "least")))
    assert not can_resolve(programme_of(problem(returns, cost_rate=0.001, tail_caps=(TailCap(0.95, 0.03),))))
    rivals = (Distribution(returns[:200]),)
    assert not can_resolve(programme_of(problem(returns, objective=Objective.MIN_CVAR, rivals=rivals)))


def test_each_point_of_a_frontier_is_the_least_cvar_at_its_return():
    returns = heavy_tailed_returns(15, 1200, 74)
    posed = problem(returns, upper=0.4, objective=Objective.MIN_CVAR)
    for point in efficient_frontier(posed, 8)[1:]:
        alone = solve_fast(replace(posed, return_floor=float(posed.mean @ point.weights) - 1e-12))
        assert point.value == pytest.approx(alone.cvar, rel=2e-6)


def test_a_frontier_of_another_objective_or_of_one_point_is_refused():
    returns = heavy_tailed_returns(5, 300, 75)
    with pytest.raises(RiskError, match="minimum-CVaR"):
        efficient_frontier(problem(returns, tail_caps=(TailCap(0.95, 0.05),)), 5)
    with pytest.raises(RiskError, match="two points"):
        efficient_frontier(problem(returns, objective=Objective.MIN_CVAR), 1)


def test_scenario_weights_that_cannot_fill_the_tail_prove_nothing():
    """Their sum would be less than one and the plane would lie above the true CVaR."""
    chances = np.append(np.full(99, 1e-6), 1.0 - 99e-6)
    tail = TailShape.of(Distribution(heavy_tailed_returns(3, 100, 76), chances), 0.95)
    assert tail.filled(np.zeros(50), np.arange(50), 1.0) is None
    whole = tail.filled(np.zeros(100), np.arange(100), 1.0)
    assert whole.sum() == pytest.approx(1.0) and (whole <= tail.density + 1e-12).all()


def test_a_crash_far_beyond_the_band_is_reached_by_pivots():
    """Scenarios that were summed join by paying back, and the plane they prove is still one below CVaR."""
    returns = heavy_tailed_returns(20, 4000, 77)
    posed = mandate(returns, "least")
    near = solve_fast(posed).weights
    crash = 3.0 * returns[np.argmin(returns @ near)]
    programme = programme_of(mandate(np.vstack((returns[1:], crash)), "least"))
    answer = resolve(programme, near, 1e-7)
    assert answer is not None and answer.rounds > 1
    assert 0.0 <= answer.value - answer.bound <= 1e-7 * answer.value
    for weights in np.random.default_rng(0).dirichlet(np.ones(20), 500):
        if programme.polytope.violation(weights) <= 0.0:
            assert programme.distributions[0].cvar(weights, 0.95) >= answer.bound
