"""The portfolio of most expected return per unit of CVaR, by Dinkelbach's method (1967).

The ratio is maximal at theta exactly when the best utility `return - theta * CVaR` is zero; each utility
programme gives the next theta, and convergence is superlinear.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qtm.errors import RiskError
from qtm.portfolio.allocation import Allocation
from qtm.portfolio.constraints import portfolio_rows, violated
from qtm.portfolio.optimise import solve_as_posed
from qtm.portfolio.problem import Objective, PortfolioProblem

MOST_STEPS = 30
PRECISION = 1e-8


def maximise_ratio(problem: PortfolioProblem) -> Allocation:
    """Weights of most expected return per CVaR under the constraints of `problem`.

    Where cash is allowed a portfolio and half of it have the same ratio; the answer is then the largest that
    the constraints allow, unless trading costs make the size matter.

    Raises
    ------
    Infeasible
        If no weights satisfy the constraints.
    RiskError
        If some portfolio has a return and no tail loss, so that the ratio has no maximum, or if no portfolio
        has a positive return.
    """
    least = solve_as_posed(replace(problem, objective=Objective.MIN_CVAR))
    if least.tail_risk <= 0.0 and least.weights.any():
        raise RiskError(
            "a portfolio without tail loss exists, so the ratio has no maximum", where="CVaR <= 0"
        )
    theta, start = 0.0, None
    for _ in range(MOST_STEPS):
        posed = replace(problem, objective=Objective.MAX_UTILITY, risk_aversion=theta)
        best = solve_as_posed(posed, start=start)
        start = best.weights
        utility = best.expected_return - theta * best.tail_risk
        if best.expected_return <= 0.0 or best.tail_risk <= 0.0:
            break
        if utility <= PRECISION * best.expected_return:
            return best if problem.has_trading_terms else _scaled_up(problem, best)
        theta = best.expected_return / best.tail_risk
    raise RiskError(
        "no portfolio has a positive return per unit of CVaR",
        where=f"best expected return {best.expected_return:.2e}",
        remedy="check the expected returns, or minimise CVaR",
    )


def _scaled_up(problem: PortfolioProblem, best: Allocation) -> Allocation:
    """`best` times the largest number that keeps it inside the constraints.

    All of them grow in proportion to the portfolio, so the first upper bound to be reached decides.
    """
    rows = [row for row in portfolio_rows(problem, best.weights) if row.at_most and not row.exactly]
    limits = [(row.value, row.bound) for row in rows]
    limits += [(w, u) for w, u in zip(best.weights, problem.upper, strict=True) if w > 0.0]
    limits += [(-w, -b) for w, b in zip(best.weights, problem.lower, strict=True) if w < 0.0]
    factor = min((bound / value for value, bound in limits if value > 0.0), default=1.0)
    larger = best.weights * max(factor, 1.0)
    if not np.isfinite(factor) or violated(problem, larger):
        return best
    return replace(best, weights=larger, binding=())  # room for more of the same changes no ratio
