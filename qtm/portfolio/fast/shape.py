"""The shape of problem the fast path solves: linear rows and finite bounds around one CVaR."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qtm.portfolio import constraints as named
from qtm.portfolio.problem import Objective, PortfolioProblem
from qtm.risk.measures import Floats

NARROWEST = 1e-8
"""A weight that may move less than this has no interior; such problems go to the reference."""


@dataclass(frozen=True, slots=True)
class Polytope:
    """Weights with `lower <= w <= upper` (N,) and `row_lower <= rows @ w <= row_upper` (K,), rows (K, N)."""

    lower: Floats
    upper: Floats
    rows: Floats
    row_lower: Floats
    row_upper: Floats
    names: tuple[tuple[str, str], ...]
    """Names of each row's lower and upper side, as the problem's constraints are named."""

    def with_row(self, row: Floats, least: float, name: str) -> Polytope:
        """The polytope with one more row `row @ w >= least`."""
        return Polytope(
            self.lower,
            self.upper,
            np.vstack((self.rows, row)),
            np.append(self.row_lower, least),
            np.append(self.row_upper, np.inf),
            (*self.names, (name, "")),
        )

    def violation(self, weights: Floats) -> float:
        """Largest violation of a row or bound."""
        values = self.rows @ weights
        over = np.concatenate(
            (values - self.row_upper, self.row_lower - values, weights - self.upper, self.lower - weights)
        )
        return float(over.max())


def polytope_of(problem: PortfolioProblem) -> Polytope | None:
    """The polytope of `problem` without its tail demands; None if the fast path does not take its shape.

    It takes finite bounds, the invested range, groups and a return floor, one confidence level, and (to
    maximise return) exactly one CVaR cap. Costs, turnover, leverage that binds, drawdown caps and several
    levels go to the reference formulation.
    """
    levels = {problem.alpha, *(cap.alpha for cap in problem.tail_caps)}
    maximise = problem.objective is Objective.MAX_RETURN
    plain = (
        problem.objective is not Objective.MAX_UTILITY
        and not problem.has_trading_terms
        and problem.drawdown_cap is None
        and problem.probabilities is None
        and not problem.rivals
        and problem.radius == 0.0
        and len(levels) == 1
        and len(problem.tail_caps) == (1 if maximise else 0)
        and bool(np.isfinite(problem.lower).all() and np.isfinite(problem.upper).all())
        and bool((problem.upper - problem.lower > NARROWEST).all())
        and not _leverage_could_bind(problem)
    )
    if not plain:
        return None
    ones = np.ones(len(problem.symbols))
    rows, lower, upper = [ones], [problem.invested[0]], [problem.invested[1]]
    exact = problem.invested[0] == problem.invested[1]
    invested = (named.LEAST_INVESTED, named.MOST_INVESTED)
    names = [(named.FULLY_INVESTED, named.FULLY_INVESTED) if exact else invested]
    for group in problem.groups:
        rows.append(problem.group_mask(group))
        lower.append(group.lower)
        upper.append(group.upper)
        sides = (named.group_name(group.name, at_most=False), named.group_name(group.name, at_most=True))
        names.append(sides)
    polytope = Polytope(
        problem.lower, problem.upper, np.array(rows), np.array(lower), np.array(upper), tuple(names)
    )
    if problem.return_floor is not None:
        polytope = polytope.with_row(problem.mean, problem.return_floor, named.RETURN_FLOOR)
    return polytope


def _leverage_could_bind(problem: PortfolioProblem) -> bool:
    if problem.gross_cap is None:
        return False
    long_only = bool((problem.lower >= 0.0).all())
    return not (long_only and problem.invested[1] <= problem.gross_cap)
