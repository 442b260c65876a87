"""The portfolio of most expected return per unit of CVaR, by Dinkelbach's method (1967).

The ratio is maximal at theta exactly when the best utility `return - theta * CVaR` is zero; each utility
programme gives the next theta, and convergence is superlinear.
"""

from __future__ import annotations

from dataclasses import replace

from qtm.errors import RiskError
from qtm.portfolio.allocation import Allocation
from qtm.portfolio.optimise import solve_as_posed
from qtm.portfolio.problem import Objective, PortfolioProblem

MOST_STEPS = 30
PRECISION = 1e-8


def maximise_ratio(problem: PortfolioProblem) -> Allocation:
    """Weights of most expected return per CVaR under the constraints of `problem`.

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
            return best
        theta = best.expected_return / best.tail_risk
    raise RiskError(
        "no portfolio has a positive return per unit of CVaR",
        where=f"best expected return {best.expected_return:.2e}",
        remedy="check the expected returns, or minimise CVaR",
    )
