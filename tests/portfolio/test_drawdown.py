"""CDaR caps: the plane that proves an answer lies below CDaR everywhere, and the answer is exact."""

import cvxpy as cp
import numpy as np
import pytest

from qtm.portfolio.drawdown import DrawdownTail
from qtm.portfolio.problem import DrawdownCap, Objective
from qtm.portfolio.reference import solve_reference
from qtm.risk.measures import cdar, uncompounded_drawdowns
from tests.portfolio.problems import heavy_tailed_returns, problem


@pytest.mark.parametrize("alpha", [0.8, 0.95, 0.999])
def test_the_plane_of_the_duals_lies_below_cdar_everywhere_and_touches_it_at_the_optimum(alpha):
    returns = heavy_tailed_returns(6, 250, 81) - 2e-4
    weights = cp.Variable(6, nonneg=True)
    tail = DrawdownTail.of(returns, weights, DrawdownCap(alpha, 1.0))
    cp.Problem(cp.Minimize(tail.expression), [*tail.side, cp.sum(weights) == 1.0]).solve(solver="HIGHS")
    plane = tail.gradient()
    assert plane @ weights.value == pytest.approx(tail.expression.value, rel=1e-6)
    rng = np.random.default_rng(0)
    for other in (*rng.dirichlet(np.ones(6), 300), *rng.standard_normal((300, 6))):
        assert cdar(uncompounded_drawdowns(returns @ other), alpha) >= plane @ other - 1e-9


@pytest.mark.parametrize("objective", list(Objective))
def test_a_drawdown_cap_is_solved_exactly_and_proven(objective):
    returns = heavy_tailed_returns(8, 400, 82)
    posed = problem(
        returns, upper=0.5, objective=objective, risk_aversion=0.02, drawdown_cap=DrawdownCap(0.9, 0.12)
    )
    answer = solve_reference(posed)
    assert answer.solver == "reference/HIGHS" and answer.gap < 1e-9
    other = solve_reference(posed, ("CLARABEL",))
    assert other.gap < 1e-3
    assert cdar(uncompounded_drawdowns(returns @ answer.weights), 0.9) <= 0.12 + 1e-7
