"""Return against CVaR: the most return under a cap, and points of the efficient frontier.

The least CVaR f(r) at a required return r is convex. Every solve at some r gives a tangent under it, which
bounds the attainable return from above, and a portfolio, whose chord to an earlier one is feasible and bounds
it from below; Newton's method on f(r) = cap closes the two in a few warm solves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qtm.errors import RiskError
from qtm.portfolio.fast.hybrid import FastSolution, minimise_cvar
from qtm.portfolio.fast.master import NoVertex, best_vertex
from qtm.portfolio.fast.shape import Polytope
from qtm.portfolio.fast.tail import TailCount
from qtm.risk.measures import Floats

MOST_SOLVES = 25
FLOOR = "required return"
FINEST = 2e-8
"""Relative gap in CVaR that the band programme reaches on any shape."""
ROUNDING = 1e-10
"""Relative excess over the cap that is the rounding of a sum, not risk."""


@dataclass(frozen=True, slots=True)
class CappedSolution:
    """The portfolio of most expected return whose CVaR respects a cap.

    `bound` is a return no such portfolio exceeds. `price` is the return that a unit of cap adds; `row_duals`
    and `weight_duals` are the return that a unit of room on a row or weight bound adds.
    """

    weights: Floats
    expected_return: float
    bound: float
    price: float
    row_duals: Floats
    weight_duals: Floats
    solves: int

    @property
    def gap(self) -> float:
        """Relative distance of the return from its bound."""
        return max(self.bound - self.expected_return, 0.0) / max(abs(self.expected_return), 1e-6)


def maximise_return(
    returns: Floats,
    alpha: float,
    polytope: Polytope,
    mean: Floats,
    cap: float,
    *,
    start: Floats | None = None,
    tolerance: float = 1e-7,
) -> CappedSolution:
    """Portfolio of most `mean @ w` over `polytope` with CVaR at most `cap`.

    Parameters
    ----------
    returns, alpha, polytope, start, tolerance
        As for `minimise_cvar`.
    mean
        Expected returns, shape (N,).
    cap
        Largest CVaR allowed.

    Raises
    ------
    NoVertex
        If no portfolio of the polytope respects the cap, proven by the lower bound of the least CVaR.
    RiskError
        If the gap is not closed.
    """
    tail = TailCount.of(returns.shape[0], alpha)
    top = best_vertex(polytope, -mean)
    if tail.at(returns, top.weights).value <= cap:
        most = -top.value
        return CappedSolution(
            top.weights, most, most, 0.0, np.abs(top.row_duals), np.abs(top.weight_duals), 0
        )
    least = minimise_cvar(returns, alpha, polytope, start=start, tolerance=min(tolerance * 1e3, 1e-4))
    if least.value > cap:
        least = minimise_cvar(returns, alpha, polytope, start=least.weights, tolerance=tolerance)
        if least.bound > cap:
            raise NoVertex
        if least.value > cap:
            raise RiskError("the cap lies within the gap of the least attainable CVaR", where=f"cap {cap}")
    return _close_in(returns, alpha, polytope, mean, cap, tolerance, least, -top.value)


def _close_in(
    returns: Floats,
    alpha: float,
    polytope: Polytope,
    mean: Floats,
    cap: float,
    tolerance: float,
    least: FastSolution,
    most: float,
) -> CappedSolution:
    """Newton on f(r) = cap between the least-CVaR portfolio and the highest return."""
    tail = TailCount.of(returns.shape[0], alpha)
    safe, safe_cvar = least.weights, least.value
    bound, required = most, float(mean @ safe) + 0.5 * (most - float(mean @ safe))
    solution, slope = least, 0.0
    for solves in range(1, MOST_SOLVES + 1):
        precision = 1e-4 if solves <= 2 else _precision(tolerance, float(mean @ safe), slope, cap)
        row = polytope.with_row(mean, required, FLOOR)
        try:
            solution = minimise_cvar(returns, alpha, row, start=solution.weights, tolerance=precision)
        except RiskError:  # rounding may stop a large programme just short; the tangent is still a proof
            solution = minimise_cvar(returns, alpha, row, start=solution.weights, tolerance=10.0 * precision)
        slope = float(solution.row_duals[-1])
        if slope > 0.0:
            bound = min(bound, required + (cap - solution.bound) / slope)
        reached = _blend(tail, returns, safe, safe_cvar, solution, cap)
        if float(mean @ reached[0]) > float(mean @ safe):
            safe, safe_cvar = reached
        earned = float(mean @ safe)
        if bound - earned <= tolerance * max(abs(earned), 1e-6):
            price = 1.0 / slope if slope > 0.0 else 0.0
            return CappedSolution(
                weights=safe,
                expected_return=earned,
                bound=max(bound, earned),
                price=price,
                row_duals=np.abs(solution.row_duals[:-1]) * price,
                weight_duals=np.abs(solution.weight_duals) * price,
                solves=solves,
            )
        required = bound if bound < required or solution.value <= cap else 0.5 * (bound + earned)
    raise RiskError("the fast path did not close the gap of the return", where=f"{MOST_SOLVES} solves")


def _precision(tolerance: float, earned: float, slope: float, cap: float) -> float:
    """The relative gap in CVaR that leaves a relative gap of `tolerance` in the return."""
    worth = abs(earned) * slope / max(abs(cap), 1e-12)
    return min(max(0.3 * tolerance * worth, FINEST), 1e-5)


def _blend(
    tail: TailCount, returns: Floats, safe: Floats, safe_cvar: float, solution: FastSolution, cap: float
) -> tuple[Floats, float]:
    """The point on the way from `safe` to the solution where CVaR meets the cap, from the safe side."""
    limit = cap + ROUNDING * abs(cap)
    if solution.value <= limit:
        return solution.weights, solution.value
    share = (cap - safe_cvar) / (solution.value - safe_cvar)
    best, best_cvar, best_share = safe, safe_cvar, 0.0
    for _ in range(4):
        weights = safe + share * (solution.weights - safe)
        value = tail.at(returns, weights).value
        if value <= limit and share > best_share:
            best, best_cvar, best_share = weights, value, share
        if value > cap or cap - value < 1e-12:
            break
        share += (1.0 - share) * (cap - value) / max(solution.value - value, 1e-300)
    return best, best_cvar


def efficient_frontier(
    returns: Floats,
    alpha: float,
    polytope: Polytope,
    mean: Floats,
    points: int,
    *,
    tolerance: float = 1e-6,
) -> list[FastSolution]:
    """`points` least-CVaR portfolios at returns spread evenly from the least risk to the most return.

    Each solve starts from the one before it.
    """
    solution = minimise_cvar(returns, alpha, polytope, tolerance=tolerance)
    frontier = [solution]
    low, high = float(mean @ solution.weights), -best_vertex(polytope, -mean).value
    for required in np.linspace(low, high, points + 1)[1:-1]:
        row = polytope.with_row(mean, float(required), FLOOR)
        solution = minimise_cvar(returns, alpha, row, start=solution.weights, tolerance=tolerance)
        frontier.append(solution)
    return frontier
