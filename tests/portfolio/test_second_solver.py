"""Two hundred random mandates: the product's path and an independent solver give the same answer."""

from collections import Counter

import pytest

from qtm.errors import RiskError
from qtm.portfolio.allocation import Allocation, Infeasible
from qtm.portfolio.constraints import violated
from qtm.portfolio.fast.solve import solve_fast
from qtm.portfolio.optimise import solve_as_posed
from qtm.portfolio.problem import GroundNorm, PortfolioProblem
from qtm.portfolio.reference import objective_value, solve_reference
from tests.portfolio.random_mandates import Kind, draw

AGREEMENT = 1e-6


def outcome(solve, posed: PortfolioProblem) -> Allocation | str:
    """The allocation, or `infeasible` or `unbounded`."""
    try:
        return solve(posed)
    except Infeasible:
        return "infeasible"
    except RiskError as error:
        assert "without limit" in str(error), error
        return "unbounded"


def second(posed: PortfolioProblem) -> Allocation | str:
    """HiGHS on the whole programme, or Clarabel where a norm makes it a cone programme."""
    conic = posed.radius > 0.0 and posed.ground is GroundNorm.EUCLIDEAN
    return outcome(lambda p: solve_reference(p, ("CLARABEL" if conic else "HIGHS",)), posed)


def difference(seed: int) -> tuple[Kind, float, str]:
    """Kind of the problem, the relative difference of both objectives, and who solved it first."""
    drawn = draw(seed)
    posed = drawn.problem
    one, two = outcome(solve_as_posed, posed), second(posed)
    if isinstance(one, str) or isinstance(two, str):
        assert one == two == drawn.kind.value, (seed, one, two)
        return drawn.kind, 0.0, "agreed"
    assert drawn.kind in (Kind.FEASIBLE, Kind.DEGENERATE)
    assert not violated(posed, one.weights, 1e-7), seed
    assert one.gap <= 1e-6, (seed, one.gap)
    values = [objective_value(posed, answer.weights) for answer in (one, two)]
    apart = abs(values[0] - values[1]) / max(abs(values[1]), 1e-4)
    assert apart <= AGREEMENT, (seed, values, one.solver)
    return drawn.kind, apart, one.solver.split("/")[0]


@pytest.mark.parametrize("seed", range(30))
def test_agrees_on_thirty(seed):
    difference(seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_agrees_on_two_hundred_and_the_fast_path_takes_nearly_all(record_property):
    results = [difference(seed) for seed in range(200)]
    kinds = Counter(kind for kind, _, _ in results)
    solvers = Counter(solver for _, _, solver in results)
    record_property("solvers", dict(solvers))
    record_property("largest relative difference", max(apart for _, apart, _ in results))
    assert kinds == {Kind.FEASIBLE: 120, Kind.DEGENERATE: 40, Kind.INFEASIBLE: 20, Kind.UNBOUNDED: 20}
    assert solvers["fast"] >= 140


def test_a_shape_the_fast_path_refuses_is_none_and_not_an_error():
    drawn = draw(9)
    assert drawn.kind is Kind.UNBOUNDED
    assert solve_fast(drawn.problem) is None
