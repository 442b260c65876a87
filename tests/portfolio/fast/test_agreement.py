"""The fast path against the reference formulation, on random and on awkward problems."""

import subprocess
import sys

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.portfolio.allocation import Infeasible, Outcome
from qtm.portfolio.constraints import violated
from qtm.portfolio.fast.frontier import efficient_frontier
from qtm.portfolio.fast.shape import programme_of
from qtm.portfolio.fast.solve import solve_fast
from qtm.portfolio.optimise import optimise
from qtm.portfolio.problem import DrawdownCap, Group, Objective, TailCap
from qtm.portfolio.reference import solve_reference
from qtm.risk.measures import historical_cvar
from tests.portfolio.problems import heavy_tailed_returns, problem

AGREEMENT = 1e-6
TAKEN = (Objective.MAX_RETURN, Objective.MIN_CVAR)


def random_problem(seed: int, objective: Objective):
    """Sizes, bounds, groups, shorts and confidence levels drawn at random; feasible by construction."""
    rng = np.random.default_rng(1000 + seed)
    count, days = int(rng.integers(3, 40)), int(rng.integers(80, 1500))
    returns = heavy_tailed_returns(count, days, seed)
    if seed % 5 == 0:
        returns = np.round(returns, 3)  # ties
    alpha = float(rng.choice([0.9, 0.95, 0.975, 0.99]))
    short = -0.1 if seed % 3 == 0 else 0.0
    upper = min(1.0, 4.0 / count) if seed % 2 else 1.0
    equal = np.full(count, 1 / count)
    fields = {
        "alpha": alpha,
        "objective": objective,
        "lower": np.full(count, short),
        "upper": np.full(count, upper),
    }
    if seed % 4 == 0:
        first = tuple(f"S{index:02d}" for index in range(count // 2))
        fields["groups"] = (Group("first", first, lower=0.1, upper=0.7),)
    if objective is Objective.MIN_CVAR:
        if seed % 2:
            fields["return_floor"] = float(returns.mean(axis=0) @ equal)
    else:
        risk = historical_cvar(returns @ equal, alpha)
        fields["tail_caps"] = (TailCap(alpha, 1.05 * risk),)
        if seed % 7 == 0:
            fields["invested"] = (0.0, 1.0)
    return problem(returns, **fields)


def value_of(answer, objective):
    return answer.cvar if objective is Objective.MIN_CVAR else answer.expected_return


def assert_agreement(seed, objective):
    posed = random_problem(seed, objective)
    fast = solve_fast(posed)
    reference = solve_reference(posed)
    assert fast.gap <= 1e-7
    assert not violated(posed, fast.weights, 1e-9)
    assert value_of(fast, objective) == pytest.approx(value_of(reference, objective), rel=AGREEMENT, abs=1e-9)


@pytest.mark.parametrize("objective", TAKEN)
@pytest.mark.parametrize("seed", range(16))
def test_agrees_with_the_reference(seed, objective):
    assert_agreement(seed, objective)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_agrees_on_two_hundred_more_and_gives_up_on_hardly_any():
    """What the fast path cannot prove must reach the reference; that may happen to one problem in fifty."""
    gave_up = 0
    for seed in range(16, 116):
        for objective in TAKEN:
            posed = random_problem(seed, objective)
            answer, reference = optimise(posed), solve_reference(posed)
            expected = pytest.approx(value_of(reference, objective), rel=AGREEMENT, abs=1e-9)
            assert value_of(answer, objective) == expected, (seed, objective)
            gave_up += answer.solver != "fast"
    assert gave_up <= 4


@pytest.mark.parametrize("objective", TAKEN)
def test_duals_tell_what_the_reference_tells(objective):
    posed = random_problem(5, objective)
    fast = {entry.name: entry.dual for entry in solve_fast(posed).binding}
    reference = {entry.name: entry.dual for entry in solve_reference(posed).binding}
    worth = {name: dual for name, dual in reference.items() if dual > 1e-4}
    assert {name: fast.get(name, 0.0) for name in worth} == pytest.approx(worth, rel=1e-3)


def test_a_warm_start_reaches_the_same_point_and_a_bad_one_does_no_harm():
    posed = random_problem(3, Objective.MIN_CVAR)
    cold = solve_fast(posed)
    vertex = np.zeros(len(posed.symbols))
    vertex[0] = 1.0
    for start in (cold.weights, vertex):
        assert solve_fast(posed, start=start).cvar == pytest.approx(cold.cvar, rel=1e-7)


def test_an_unreachable_floor_and_an_unreachable_cap_are_infeasible():
    returns = heavy_tailed_returns(5, 200, 1)
    floor = float(returns.mean(axis=0).max()) + 1e-5
    with pytest.raises(Infeasible):
        solve_fast(problem(returns, objective=Objective.MIN_CVAR, return_floor=floor))
    with pytest.raises(Infeasible):
        solve_fast(problem(returns, tail_caps=(TailCap(0.95, 1e-4),)))


def test_a_floor_at_the_highest_return_leaves_one_portfolio():
    returns = heavy_tailed_returns(5, 200, 2)
    best = float(returns.mean(axis=0).max())
    answer = optimise(problem(returns, objective=Objective.MIN_CVAR, return_floor=best))
    assert answer.weights.max() == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"impact": 0.001}, {"drawdown_cap": DrawdownCap(0.9, 0.5)}, {"radius": 0.001},
        {"upper": np.array([0.0, 1.0, 1.0, 1.0])},
    ],
)  # fmt: skip
def test_shapes_it_does_not_take_go_to_the_reference(changes):
    posed = problem(heavy_tailed_returns(4, 300, 3), **{"tail_caps": (TailCap(0.95, 0.05),), **changes})
    assert programme_of(posed) is None
    answer = optimise(posed)
    assert answer.outcome is Outcome.OPTIMAL and answer.solver.startswith("reference/")


def test_what_it_cannot_prove_is_recorded_and_left_to_the_reference(monkeypatch):
    def gives_up(*_, **__):
        raise RiskError("the fast path did not prove its gap")

    monkeypatch.setattr("qtm.portfolio.optimise.solve_fast", gives_up)
    answer = optimise(problem(heavy_tailed_returns(5, 200, 1), objective=Objective.MIN_CVAR))
    assert [attempt.step for attempt in answer.attempts] == ["fast", "reference/CLARABEL"]
    assert "did not prove" in answer.attempts[0].outcome


@pytest.mark.parametrize("copies", [1, 5])
def test_duplicated_assets_and_scenarios_change_no_value(copies):
    returns = heavy_tailed_returns(6, 300, 4)
    plain = solve_fast(problem(returns, objective=Objective.MIN_CVAR))
    wide = np.hstack([returns] + [returns[:, :1]] * copies)
    tall = np.vstack([returns] * (copies + 1))
    assert optimise(problem(wide, objective=Objective.MIN_CVAR)).cvar == pytest.approx(plain.cvar, rel=1e-6)
    assert optimise(problem(tall, objective=Objective.MIN_CVAR)).cvar == pytest.approx(plain.cvar, rel=1e-6)


def test_an_asset_that_never_loses_takes_the_book():
    returns = heavy_tailed_returns(5, 300, 5)
    returns[:, 2] = 0.001
    answer = optimise(problem(returns, objective=Objective.MIN_CVAR))
    assert answer.weights[2] == pytest.approx(1.0, abs=1e-6)
    assert answer.cvar == pytest.approx(-0.001, abs=1e-8)


def test_the_frontier_rises_in_return_and_risk():
    returns = heavy_tailed_returns(10, 600, 6)
    posed = problem(returns, upper=0.4, objective=Objective.MIN_CVAR)
    points = efficient_frontier(posed, 10)
    risks = [point.value for point in points]
    earned = [float(posed.mean @ point.weights) for point in points]
    assert len(points) == 10 and max(point.gap for point in points) <= 1e-6
    assert (np.diff(risks) >= -1e-9).all() and (np.diff(earned) > 0).all()
    slopes = np.diff(risks) / np.diff(earned)
    assert (np.diff(slopes) >= -1e-3).all()


def test_the_fast_path_needs_no_heavy_library():
    """SciPy alone would cost more time and memory than a small problem: numpy and HiGHS are enough."""
    script = (
        "import sys, numpy as np\n"
        "from qtm.portfolio.optimise import optimise\n"
        "from qtm.portfolio.problem import Objective, PortfolioProblem\n"
        "returns = np.random.default_rng(0).standard_t(4, (400, 5)) * 0.01\n"
        "zeros = np.zeros(5)\n"
        "least = Objective.MIN_CVAR\n"
        "posed = PortfolioProblem(tuple('ABCDE'), returns, zeros, zeros, zeros + 1, objective=least)\n"
        "assert optimise(posed).solver == 'fast'\n"
        "heavy = ('scipy', 'cvxpy', 'polars', 'pandas', 'numba', 'clarabel')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
