"""The named constraints of a problem, evaluated on weights outside any solver.

Whatever produced the weights, this is what decides whether they may be used: solvers answer within their own
tolerances, and a constraint is met when it is met here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qtm.portfolio.problem import PortfolioProblem
from qtm.risk.measures import Floats, cdar, uncompounded_drawdowns

FEASIBILITY = 1e-7
"""Largest violation, in units of weight or return, that still counts as met."""

RETURN_FLOOR = "return floor"
FULLY_INVESTED = "fully invested"
LEAST_INVESTED = "least invested"
MOST_INVESTED = "most invested"
GROSS_CAP = "gross cap"
TURNOVER_CAP = "turnover cap"
UPPER_BOUNDS = "upper weight bounds"
LOWER_BOUNDS = "lower weight bounds"


@dataclass(frozen=True, slots=True)
class Row:
    """One constraint: `value <= bound`, `value >= bound` when `at_most` is false, or equality."""

    name: str
    value: float
    bound: float
    at_most: bool = True
    exactly: bool = False

    @property
    def excess(self) -> float:
        """How far the constraint is violated (negative: room left)."""
        if self.exactly:
            return abs(self.value - self.bound)
        return self.value - self.bound if self.at_most else self.bound - self.value


def upper_bound_name(symbol: str) -> str:
    """Name of a symbol's upper weight bound."""
    return f"{symbol} most weight"


def lower_bound_name(symbol: str) -> str:
    """Name of a symbol's lower weight bound."""
    return f"{symbol} least weight"


def group_name(group: str, *, at_most: bool) -> str:
    """Name of one side of a group's bounds."""
    return f"group {group} {'most' if at_most else 'least'} weight"


def portfolio_rows(problem: PortfolioProblem, weights: Floats) -> tuple[Row, ...]:
    """Every finite constraint on the portfolio as a whole (not the per-symbol bounds)."""
    total = float(weights.sum())
    rows = [Row(cap.name, problem.tail_risk(weights, cap.alpha), cap.cap) for cap in problem.tail_caps]
    if problem.drawdown_cap is not None:
        falls = uncompounded_drawdowns(problem.scenarios @ weights)
        rows.append(
            Row(problem.drawdown_cap.name, cdar(falls, problem.drawdown_cap.alpha), problem.drawdown_cap.cap)
        )
    if problem.return_floor is not None:
        rows.append(Row(RETURN_FLOOR, problem.expected_return(weights), problem.return_floor, at_most=False))
    if problem.invested[0] == problem.invested[1]:
        rows.append(Row(FULLY_INVESTED, total, problem.invested[0], exactly=True))
    else:
        rows.append(Row(LEAST_INVESTED, total, problem.invested[0], at_most=False))
        rows.append(Row(MOST_INVESTED, total, problem.invested[1]))
    if problem.gross_cap is not None:
        rows.append(Row(GROSS_CAP, float(np.abs(weights).sum()), problem.gross_cap))
    if problem.turnover_cap is not None:
        turnover = float(np.abs(weights - problem.held_weights).sum())
        rows.append(Row(TURNOVER_CAP, turnover, problem.turnover_cap))
    for group in problem.groups:
        share = float(problem.group_mask(group) @ weights)
        rows.append(Row(group_name(group.name, at_most=True), share, group.upper))
        rows.append(Row(group_name(group.name, at_most=False), share, group.lower, at_most=False))
    return tuple(row for row in rows if np.isfinite(row.bound))


def violated(problem: PortfolioProblem, weights: Floats, tolerance: float = FEASIBILITY) -> tuple[Row, ...]:
    """The constraints, weight bounds included, that `weights` break by more than `tolerance`."""
    over, under = weights - problem.upper, problem.lower - weights
    bounds = [
        Row(upper_bound_name(problem.symbols[i]), float(weights[i]), float(problem.upper[i]))
        for i in np.flatnonzero(~(over <= tolerance))
    ] + [
        Row(lower_bound_name(problem.symbols[i]), float(weights[i]), float(problem.lower[i]), at_most=False)
        for i in np.flatnonzero(~(under <= tolerance))
    ]
    broken = (row for row in portfolio_rows(problem, weights) if not row.excess <= tolerance)
    return (*bounds, *broken)


def polished(problem: PortfolioProblem, weights: Floats, dust: float = 1e-7) -> Floats:
    """`weights` inside their bounds, dust removed, and their sum inside the invested range.

    The correction of the sum is spread over the room that the bounds leave, in proportion to it; it is of the
    order of a solver's tolerance.
    """
    clean = np.where(np.abs(weights) < dust, 0.0, weights)
    clean = np.clip(clean, problem.lower, problem.upper)
    total = float(clean.sum())
    shortfall = min(max(total, problem.invested[0]), problem.invested[1]) - total
    if shortfall == 0.0:
        return clean
    room = problem.upper - clean if shortfall > 0 else clean - problem.lower
    room = np.where(clean != 0.0, np.minimum(room, 1.0), 0.0)
    if room.sum() <= 0.0:
        return clean
    moved: Floats = np.clip(clean + shortfall * room / room.sum(), problem.lower, problem.upper)
    return moved
