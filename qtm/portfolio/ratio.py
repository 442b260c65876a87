"""The portfolio of most expected return per unit of CVaR, by Dinkelbach's method (1967).

The ratio is maximal at theta exactly when the best utility `return - theta * CVaR` is zero; each utility
programme gives the next theta, and convergence is superlinear.
"""

from __future__ import annotations

from dataclasses import replace

from qtm.errors import RiskError
from qtm.portfolio.allocation import Allocation
from qtm.portfolio.problem import Objective, PortfolioProblem
from qtm.portfolio.reference import solve_reference

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
    least = solve_reference(replace(problem, objective=Objective.MIN_CVAR))
    if least.cvar <= 0.0 and least.weights.any():
        raise RiskError(
            "a portfolio without tail loss exists, so the ratio has no maximum", where="CVaR <= 0"
        )
    theta = 0.0
    for _ in range(MOST_STEPS):
        best = solve_reference(replace(problem, objective=Objective.MAX_UTILITY, risk_aversion=theta))
        utility = best.expected_return - theta * best.cvar
        if best.expected_return <= 0.0 or best.cvar <= 0.0:
            break
        if utility <= PRECISION * best.expected_return:
            return best
        theta = best.expected_return / best.cvar
    raise RiskError(
        "no portfolio has a positive return per unit of CVaR",
        where=f"best expected return {best.expected_return:.2e}",
        remedy="check the expected returns, or minimise CVaR",
    )
