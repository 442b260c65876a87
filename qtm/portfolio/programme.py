"""The Rockafellar-Uryasev programme as cvxpy expressions: tails, costs and every named constraint.

CVaR at confidence alpha is the minimum over a of  a + sum(max(-R w - a, 0)) / ((1 - alpha) T)  (Rockafellar
and Uryasev 2000), so a cap on it or its minimisation is linear in the weights and one variable per scenario.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import cvxpy as cp
import numpy as np
import numpy.typing as npt

from qtm.portfolio import constraints as named
from qtm.portfolio.problem import Distribution, Objective, PortfolioProblem
from qtm.risk.measures import Floats

Indices = npt.NDArray[np.int64]

_PRECISION: dict[str, dict[str, Any]] = {
    "CLARABEL": {"tol_gap_abs": 1e-10, "tol_gap_rel": 1e-9, "tol_feas": 1e-9},
    "HIGHS": {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9},
    "SCS": {"eps": 1e-8, "max_iters": 50_000},
}


class Band(NamedTuple):
    """Which scenarios of a distribution keep their variable, and which are known to lie in the tail.

    `deep` ones are summed into one linear term, all others left out. Both can only lower the CVaR of the
    programme, so it stays a relaxation of the whole.
    """

    rows: Indices
    deep: Indices


Bands = Mapping[tuple[float, int], Band]
"""For each confidence level and distribution, which scenarios a programme keeps."""


@dataclass(frozen=True, slots=True)
class Part:
    """CVaR of one distribution inside a programme.

    `linear` (N,) holds the deep tail, `room` is the share of CVaR's measure the kept `returns` (M, N) fill,
    `most` (M,) the largest weight of each of them.
    """

    expression: Any
    threshold: cp.Variable
    scenario_rows: Any
    returns: Floats
    most: Floats
    linear: Floats
    room: float


@dataclass(frozen=True, slots=True)
class Tail:
    """The tail risk at one confidence level inside a programme: its expression and what defines it."""

    expression: Any
    parts: tuple[Part, ...]
    side: tuple[Any, ...]


def tail_levels(problem: PortfolioProblem) -> tuple[float, ...]:
    """Confidence levels whose CVaR the programme must hold: those capped, and the one minimised."""
    caps = {cap.alpha for cap in problem.tail_caps}
    return tuple(sorted(caps if problem.objective is Objective.MAX_RETURN else caps | {problem.alpha}))


def conditional_tail(
    distribution: Distribution, weights: cp.Variable, alpha: float, band: Band | None = None
) -> Part:
    """Rockafellar and Uryasev's expression for CVaR of the loss `-returns @ weights`."""
    returns, most = distribution.returns, distribution.density(alpha)
    linear, room = np.zeros(returns.shape[1]), 1.0
    if band is not None:
        linear = -(most[band.deep] @ returns[band.deep])
        room = 1.0 - float(most[band.deep].sum())
        returns, most = returns[band.rows], most[band.rows]
    threshold = cp.Variable()
    excess = cp.Variable(returns.shape[0], nonneg=True)
    scenario_rows = excess >= -(returns @ weights) - threshold
    expression = linear @ weights + room * threshold + most @ excess
    return Part(expression, threshold, scenario_rows, returns, most, linear, room)


def tails_of(
    problem: PortfolioProblem, weights: cp.Variable, bands: Mapping[tuple[float, int], Band] | None = None
) -> dict[float, Tail]:
    """The tail risk at every level of the programme: the worst of the distributions, with its margin."""
    tails = {}
    for alpha in tail_levels(problem):
        parts = tuple(
            conditional_tail(distribution, weights, alpha, None if bands is None else bands[alpha, rank])
            for rank, distribution in enumerate(problem.distributions)
        )
        side = [part.scenario_rows for part in parts]
        expression = parts[0].expression
        if len(parts) > 1:
            expression = cp.Variable()
            side += [part.expression <= expression for part in parts]
        tails[alpha] = Tail(expression + _margin(problem, weights, alpha), parts, tuple(side))
    return tails


def linear_tails(
    problem: PortfolioProblem, weights: cp.Variable, gradients: Mapping[float, Floats]
) -> dict[float, Tail]:
    """Lower bounds of the tail risk: valid scenario weights make CVaR linear, the margin stays."""
    return {
        alpha: Tail(gradients[alpha] @ weights + _margin(problem, weights, alpha), (), ())
        for alpha in tail_levels(problem)
    }


def _margin(problem: PortfolioProblem, weights: cp.Variable, alpha: float) -> Any:
    if problem.radius == 0.0:
        return 0.0
    order = problem.ground.dual_order
    return problem.radius / (1.0 - alpha) * cp.norm(weights, "inf" if np.isinf(order) else int(order))


def net_return(problem: PortfolioProblem, weights: cp.Variable) -> Any:
    """Expected return less proportional costs and square-root impact."""
    net = problem.mean @ weights
    trade = weights - problem.held_weights
    if problem.cost_rate > 0.0:
        net = net - problem.cost_rate * cp.norm1(trade)
    if problem.impact > 0.0:
        net = net - problem.impact * cp.sum(cp.power(cp.abs(trade), 1.5))
    return net


def constraint_rows(
    problem: PortfolioProblem,
    weights: cp.Variable,
    tails: Mapping[float, Tail],
    slack: Mapping[str, cp.Variable],
    drawdown: Any = None,
) -> tuple[dict[str, Any], list[Any]]:
    """Every named constraint as a cvxpy constraint, and the unnamed ones that define tails.

    `drawdown` is the expression that the drawdown cap bounds; None leaves the cap out.
    """
    rows: dict[str, Any] = {}
    side = [constraint for tail in tails.values() for constraint in tail.side]

    def at_most(name: str, expression: Any, bound: Any) -> None:
        rows[name] = expression <= bound + slack.get(name, 0.0)

    def at_least(name: str, expression: Any, bound: Any) -> None:
        rows[name] = expression >= bound - slack.get(name, 0.0)

    for cap in problem.tail_caps:
        at_most(cap.name, tails[cap.alpha].expression, cap.cap)
    if problem.drawdown_cap is not None and drawdown is not None:
        at_most(problem.drawdown_cap.name, drawdown, problem.drawdown_cap.cap)
    if problem.return_floor is not None:
        at_least(named.RETURN_FLOOR, net_return(problem, weights), problem.return_floor)
    total = cp.sum(weights)
    least, most = problem.invested
    if least == most and named.FULLY_INVESTED in slack:
        at_most(named.FULLY_INVESTED, cp.abs(total - most), 0.0)
    elif least == most:
        rows[named.FULLY_INVESTED] = total == most
    else:
        if np.isfinite(least):
            at_least(named.LEAST_INVESTED, total, least)
        if np.isfinite(most):
            at_most(named.MOST_INVESTED, total, most)
    if problem.gross_cap is not None:
        at_most(named.GROSS_CAP, cp.norm1(weights), problem.gross_cap)
    if problem.turnover_cap is not None:
        at_most(named.TURNOVER_CAP, cp.norm1(weights - problem.held_weights), problem.turnover_cap)
    for group in problem.groups:
        share = problem.group_mask(group) @ weights
        if np.isfinite(group.upper):
            at_most(named.group_name(group.name, at_most=True), share, group.upper)
        if np.isfinite(group.lower):
            at_least(named.group_name(group.name, at_most=False), share, group.lower)
    capped, floored = np.isfinite(problem.upper), np.isfinite(problem.lower)
    if capped.any():
        at_most(named.UPPER_BOUNDS, weights[capped], problem.upper[capped])
    if floored.any():
        at_least(named.LOWER_BOUNDS, weights[floored], problem.lower[floored])
    return rows, side


def run(programme: cp.Problem, solver: str) -> str:
    """Solve and return cvxpy's status; inaccurate answers are judged by the caller, not by a warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        programme.solve(solver=solver, **_PRECISION[solver])
    return str(programme.status)
