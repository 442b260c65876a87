"""The efficient frontier: least CVaR at returns spread from the least risk to the most return.

Neighbouring points share most of their basis, so each is reached from the one before by a few simplex pivots
on the same scenarios (`warm`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from qtm.errors import RiskError
from qtm.portfolio import constraints as named
from qtm.portfolio.fast.hybrid import FastSolution, solve_programme
from qtm.portfolio.fast.master import best_point
from qtm.portfolio.fast.shape import programme_of, with_floor
from qtm.portfolio.problem import Objective, PortfolioProblem
from qtm.risk.measures import Floats


def efficient_frontier(
    problem: PortfolioProblem, points: int, *, tolerance: float = 1e-6
) -> list[FastSolution]:
    """`points` portfolios of least CVaR at evenly spread required returns, the least risky first.

    Parameters
    ----------
    problem
        A MIN_CVAR problem without trading costs; its return floor, if any, is where the frontier begins.
    points
        Number of portfolios, two or more.
    tolerance
        Proven relative gap of each.

    Raises
    ------
    NoVertex
        If no portfolio satisfies the problem's constraints.
    RiskError
        If the problem has another objective or a shape the fast path does not take, or a gap is not proven.
    """
    programme = programme_of(problem)
    if problem.objective is not Objective.MIN_CVAR or problem.has_trading_terms or programme is None:
        raise RiskError(
            "a frontier needs a minimum-CVaR problem that is linear and free of trading costs",
            where=problem.objective.value,
        )
    if points < 2:
        raise RiskError("a frontier needs two points or more", where=f"{points}")
    contiguous = tuple(
        replace(one, returns=np.ascontiguousarray(one.returns)) for one in programme.distributions
    )
    programme = replace(programme, distributions=contiguous)
    row = np.concatenate((problem.mean, np.zeros(programme.polytope.lower.shape[0] - problem.mean.shape[0])))
    solution = solve_programme(programme, tolerance=tolerance)
    frontier = [solution]
    low, high = float(problem.mean @ solution.weights), float(row @ best_point(programme.polytope, -row))
    before: Floats | None = None
    for required in np.linspace(low, high, points + 1)[1:-1]:
        floored = with_floor(programme, row, float(required), named.RETURN_FLOOR)
        last = solution.weights
        ahead = last if before is None else np.clip(2.0 * last - before, problem.lower, problem.upper)
        solution = solve_programme(floored, start=last, ahead=ahead, tolerance=tolerance)
        frontier.append(solution)
        before = last
    return frontier
