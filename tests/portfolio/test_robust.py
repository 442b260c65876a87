"""Robust CVaR against what is known in closed form: worst distributions, dominated rivals, the 1/N limit."""

from dataclasses import replace

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.portfolio.constraints import violated
from qtm.portfolio.optimise import optimise
from qtm.portfolio.problem import Distribution, GroundNorm, Objective, TailCap
from qtm.portfolio.reduced import solve_reduced
from qtm.portfolio.reference import solve_reference
from qtm.risk.measures import historical_cvar
from tests.portfolio.problems import heavy_tailed_returns, problem

ORDER = {GroundNorm.SUM: 1, GroundNorm.EUCLIDEAN: 2, GroundNorm.LARGEST: np.inf}


def steepest(weights: np.ndarray, ground: GroundNorm) -> np.ndarray:
    """The unit move of a scenario, in the ground norm, that costs the portfolio most."""
    if ground is GroundNorm.EUCLIDEAN:
        return -weights / np.linalg.norm(weights)
    if ground is GroundNorm.LARGEST:
        return -np.sign(weights)
    move = np.zeros_like(weights)
    heaviest = np.argmax(np.abs(weights))
    move[heaviest] = -np.sign(weights[heaviest])
    return move


@pytest.mark.parametrize("ground", list(GroundNorm))
def test_the_margin_is_attained_inside_the_radius_and_never_exceeded(ground):
    """Esfahani and Kuhn (2018): nothing is worse than moving the tail by radius / (1 - alpha)."""
    returns, alpha, radius = heavy_tailed_returns(5, 400, 1), 0.95, 0.002
    weights = np.array([0.5, -0.2, 0.3, 0.1, 0.3])
    posed = problem(returns, alpha=alpha, radius=radius, ground=ground)
    tail = np.argsort(returns @ weights)[:20]
    moved = returns.copy()
    moved[tail] += radius / (1 - alpha) * steepest(weights, ground)
    assert np.linalg.norm(moved - returns, ORDER[ground], axis=1).mean() == pytest.approx(radius)
    assert historical_cvar(moved @ weights, alpha) == pytest.approx(posed.tail_risk(weights, alpha))
    rng = np.random.default_rng(2)
    for _ in range(300):
        noise = rng.standard_normal(returns.shape) * rng.exponential(size=(400, 1)) ** 3
        noise *= radius / np.linalg.norm(noise, ORDER[ground], axis=1).mean()
        assert historical_cvar((returns + noise) @ weights, alpha) <= posed.tail_risk(weights, alpha) + 1e-12


def test_high_ambiguity_ends_in_equal_weights():
    """Pflug, Pichler and Wozabal (2012): 1/N is optimal when nothing is known."""
    returns = heavy_tailed_returns(6, 300, 3)
    posed = problem(returns, objective=Objective.MIN_CVAR)
    free, unsure = optimise(posed).weights, optimise(replace(posed, radius=1.0)).weights
    assert np.abs(free - 1 / 6).max() > 0.1
    assert unsure == pytest.approx(np.full(6, 1 / 6), abs=1e-3)


def test_a_margin_that_is_the_same_for_every_portfolio_changes_none_and_stays_on_the_fast_path():
    returns = heavy_tailed_returns(6, 300, 4)
    posed = problem(returns, objective=Objective.MIN_CVAR)
    shifted = replace(posed, radius=0.001, ground=GroundNorm.LARGEST)
    free, unsure = optimise(posed), optimise(shifted)
    assert unsure.solver == "fast"
    assert unsure.weights == pytest.approx(free.weights, abs=1e-5)
    assert unsure.tail_risk == pytest.approx(free.cvar + 0.001 / 0.05)


def test_the_cap_holds_with_its_margin():
    returns = heavy_tailed_returns(8, 500, 5)
    cap = 1.2 * historical_cvar(returns.mean(axis=1), 0.95)
    posed = problem(returns, tail_caps=(TailCap(0.95, cap),), radius=0.0003)
    answer = optimise(posed)
    assert not violated(posed, answer.weights)
    assert answer.tail_risk == pytest.approx(cap, rel=1e-5)
    assert answer.cvar == pytest.approx(cap - 0.0003 * np.linalg.norm(answer.weights) / 0.05, rel=1e-5)
    assert answer.expected_return < optimise(replace(posed, radius=0.0)).expected_return


def test_a_rival_that_is_worse_everywhere_decides_alone():
    returns = heavy_tailed_returns(6, 400, 6)
    worse = 1.3 * returns - 0.001
    both = optimise(problem(returns, objective=Objective.MIN_CVAR, rivals=(Distribution(worse),)))
    alone = optimise(problem(worse, objective=Objective.MIN_CVAR))
    assert both.tail_risk == pytest.approx(alone.cvar, rel=1e-6)
    assert both.tail_risk > both.cvar


def test_the_worst_of_two_is_no_better_than_either_and_no_worse_than_a_compromise():
    calm, wild = heavy_tailed_returns(6, 400, 7), heavy_tailed_returns(6, 300, 8)
    one, two = (optimise(problem(table, objective=Objective.MIN_CVAR)) for table in (calm, wild))
    both = optimise(problem(calm, objective=Objective.MIN_CVAR, rivals=(Distribution(wild),)))
    assert both.solver == "fast" and both.gap <= 1e-6
    assert both.tail_risk >= max(one.cvar, two.cvar) - 1e-9
    for compromise in (one.weights, two.weights, 0.5 * (one.weights + two.weights)):
        assert both.tail_risk <= both.problem.tail_risk(compromise, 0.95) + 1e-9


@pytest.mark.parametrize(
    "changes", [{"radius": 0.0004}, {"impact": 0.0005}, {"radius": 0.0002, "cost_rate": 2e-4}]
)
def test_bands_of_scenarios_give_the_optimum_of_all_of_them(changes):
    returns = heavy_tailed_returns(12, 6000, 9)
    held = np.full(12, 1 / 12)
    cap = 1.1 * historical_cvar(returns @ held, 0.95) + changes.get("radius", 0.0) * 12**-0.5 / 0.05
    posed = problem(returns, upper=0.4, tail_caps=(TailCap(0.95, cap),), held=held, **changes)
    reduced, reference = solve_reduced(posed), solve_reference(posed)
    assert reduced.gap <= 1e-6
    assert not violated(posed, reduced.weights)
    assert reduced.expected_return == pytest.approx(reference.expected_return, rel=1e-6)


def test_few_scenarios_and_paths_are_not_reduced():
    assert solve_reduced(problem(heavy_tailed_returns(3, 100, 10), radius=0.001)) is None


def test_rivals_and_radii_that_make_no_sense_are_refused():
    returns = heavy_tailed_returns(3, 100, 11)
    with pytest.raises(RiskError, match="rival"):
        problem(returns, rivals=(Distribution(returns[:, :2]),))
    with pytest.raises(RiskError, match="rival 1, scenario 4"):
        holed = returns.copy()
        holed[4, 1] = np.nan
        problem(returns, rivals=(Distribution(holed),))
    with pytest.raises(RiskError, match="radius"):
        problem(returns, radius=-0.1)
