"""The reference optimiser: the Rockafellar-Uryasev programme solved as posed, with a proof of its gap.

It takes every constraint `PortfolioProblem` knows; the fast path takes the common shapes and must agree with
it. The proof: the dual weights of the scenarios turn CVaR into a linear lower bound, and the problem with it
in CVaR's place cannot be worse than the true optimum.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import cvxpy as cp
import numpy as np

from qtm.errors import RiskError
from qtm.portfolio import constraints as named
from qtm.portfolio.allocation import Allocation, Attempt, Infeasible, Outcome, binding_constraints
from qtm.portfolio.drawdown import DrawdownTail
from qtm.portfolio.problem import GroundNorm, Objective, PortfolioProblem
from qtm.portfolio.programme import (
    Bands,
    Tail,
    constraint_rows,
    linear_tails,
    net_return,
    run,
    tails_of,
)
from qtm.risk.measures import Floats, tail_weights

SOLVERS = ("CLARABEL", "HIGHS", "SCS")
"""Tried in this order; SCS is the last resort and held to the same feasibility check."""

PATH_SOLVERS = ("HIGHS", "CLARABEL", "SCS")
"""The order where drawdowns couple the days and all is linear: an interior method stops at a gap of 1e-5 to
1e-4 on such chains, the simplex method at none, and over a few thousand days it is the quicker too."""

LARGEST_WEIGHT = 1e5
"""A weight no mandate means."""

SMALLEST_SCALE = 1e-6
"""Values nearer to zero than this are compared absolutely: one hundredth of a basis point."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Weights of one solve, the value of its objective, and the dual of every named constraint.

    `gradients` (N,) per confidence level bound the tail risk from below: `gradient @ w`, plus the margin, is
    at most the tail risk of every portfolio w; `drawdown` (N,) bounds CDaR in the same way, None where it is
    not capped or does not bind. `thresholds` are the VaRs of the programme's parts.
    """

    weights: Floats
    value: float
    duals: Mapping[str, float]
    gradients: Mapping[float, Floats]
    drawdown: Floats | None
    thresholds: Mapping[tuple[float, int], float]
    solver: str


def solve_reference(problem: PortfolioProblem, solvers: tuple[str, ...] | None = None) -> Allocation:
    """Solve `problem` as posed, by the first of `solvers` that can (by default the order its shape suggests).

    Returns
    -------
    Allocation
        Optimal weights with the proven gap, binding constraints and the attempts made.

    Raises
    ------
    Infeasible
        If no weights satisfy the constraints (see `qtm.portfolio.optimise` for what follows).
    RiskError
        If the objective is unbounded or every solver failed.
    """
    attempts: list[Attempt] = []
    if solvers is None:
        solvers = PATH_SOLVERS if problem.drawdown_cap is not None and _is_linear(problem) else SOLVERS
    for solver in solvers:
        started = time.perf_counter()
        try:
            solution = solve_programme(problem, solver)
        except cp.SolverError as error:
            attempts.append(Attempt(f"reference/{solver}", f"failed: {error}", time.perf_counter() - started))
            continue
        weights = named.polished(problem, solution.weights)
        broken = named.violated(problem, weights)
        attempts.append(
            Attempt(
                f"reference/{solver}",
                f"broke {broken[0].name} by {broken[0].excess:.2g}" if broken else "optimal",
                time.perf_counter() - started,
            )
        )
        if not broken:
            return Allocation(
                problem=problem,
                weights=weights,
                outcome=Outcome.OPTIMAL,
                solver=f"reference/{solver}",
                gap=proven_gap(problem, weights, solution),
                binding=binding_constraints(problem, weights, solution.duals),
                attempts=tuple(attempts),
            )
    trail = "; ".join(f"{attempt.step} {attempt.outcome}" for attempt in attempts)
    raise RiskError(
        "no solver found usable weights", where=trail, remedy="check the scale of scenarios and bounds"
    )


def _is_linear(problem: PortfolioProblem) -> bool:
    return problem.impact == 0.0 and (problem.radius == 0.0 or problem.ground is not GroundNorm.EUCLIDEAN)


def proven_gap(problem: PortfolioProblem, weights: Floats, solution: Solution) -> float:
    """Relative distance between the objective of `weights` and a bound that no portfolio can pass.

    Parameters
    ----------
    problem
        The problem as posed.
    weights
        A feasible portfolio, shape (N,).
    solution
        Its planes replace the tails and the drawdown; the bounding programme has no scenario variables.
    """
    value = objective_value(problem, weights)
    bound = solve_programme(problem, solution.solver, planes=solution).value
    worse = value - bound if problem.objective is Objective.MIN_CVAR else bound - value
    return max(worse, 0.0) / max(abs(value), SMALLEST_SCALE)


def solve_programme(
    problem: PortfolioProblem,
    solver: str,
    *,
    bands: Bands | None = None,
    planes: Solution | None = None,
) -> Solution:
    """One solve of the programme: whole, on bands of its scenarios, or with the planes of another solution.

    Raises
    ------
    Infeasible
        If no weights satisfy the constraints.
    RiskError
        If the objective is unbounded.
    cvxpy.SolverError
        If the solver fails.
    """
    unit = 1.0 / max(float(problem.scenarios.std()), SMALLEST_SCALE)
    problem = _in_units(problem, unit)
    weights = cp.Variable(len(problem.symbols))
    path: DrawdownTail | None = None
    if planes is None:
        tails = tails_of(problem, weights, bands)
        if problem.drawdown_cap is not None:
            path = DrawdownTail.of(problem.scenarios, weights, problem.drawdown_cap)
        drawdown = None if path is None else path.expression
    else:
        tails = linear_tails(
            problem, weights, {alpha: gradient * unit for alpha, gradient in planes.gradients.items()}
        )
        drawdown = None if planes.drawdown is None else (planes.drawdown * unit) @ weights
    rows, side = constraint_rows(problem, weights, tails, {}, drawdown)
    side += () if path is None else path.side
    programme = cp.Problem(_objective(problem, weights, tails), [*rows.values(), *side])
    status = run(programme, solver)
    if status in ("infeasible", "infeasible_inaccurate"):
        raise Infeasible(solver)
    if status in ("unbounded", "unbounded_inaccurate") or _runs_away(weights.value):
        raise RiskError(
            "the objective can improve without limit",
            where=problem.objective.value,
            remedy="add a tail cap, a gross cap or finite weight bounds",
        )
    if status not in ("optimal", "optimal_inaccurate"):
        raise cp.SolverError(f"{solver} answered {status}")
    found = np.asarray(weights.value, dtype=np.float64)
    return Solution(
        weights=found,
        value=float(programme.value) / unit,
        duals=_duals(problem, rows, unit),
        gradients={}
        if planes is not None
        else {a: _gradient(problem, tail, found, a) / unit for a, tail in tails.items()},
        drawdown=_drawdown_plane(path, unit),
        thresholds={
            (alpha, rank): float(part.threshold.value) / unit
            for alpha, tail in tails.items()
            for rank, part in enumerate(tail.parts)
        },
        solver=solver,
    )


def _drawdown_plane(path: DrawdownTail | None, unit: float) -> Floats | None:
    plane = None if path is None else path.gradient()
    return None if plane is None else plane / unit


def _runs_away(weights: Floats | None) -> bool:
    """Whether the solver followed an unbounded ray until rounding stopped it, and called that optimal."""
    return weights is not None and float(np.abs(weights).max()) > LARGEST_WEIGHT


def objective_value(problem: PortfolioProblem, weights: Floats) -> float:
    """The objective of `weights`: tail risk for MIN_CVAR, else expected return less the price of risk."""
    if problem.objective is Objective.MAX_RETURN:
        return problem.expected_return(weights)
    risk = problem.tail_risk(weights, problem.alpha)
    if problem.objective is Objective.MIN_CVAR:
        return risk
    return problem.expected_return(weights) - problem.risk_aversion * risk


def _objective(problem: PortfolioProblem, weights: cp.Variable, tails: Mapping[float, Tail]) -> Any:
    if problem.objective is Objective.MIN_CVAR:
        return cp.Minimize(tails[problem.alpha].expression)
    if problem.objective is Objective.MAX_UTILITY:
        risk = problem.risk_aversion * tails[problem.alpha].expression
        return cp.Maximize(net_return(problem, weights) - risk)
    return cp.Maximize(net_return(problem, weights))


def _in_units(problem: PortfolioProblem, unit: float) -> PortfolioProblem:
    """The same problem with every return multiplied by `unit`.

    Daily returns are of the order of 1e-3 and solvers stop at absolute tolerances: unscaled, the fifth digit
    of the objective would already be noise.
    """
    drawdown = problem.drawdown_cap
    return replace(
        problem,
        scenarios=problem.scenarios * unit,
        rivals=tuple(replace(rival, returns=rival.returns * unit) for rival in problem.rivals),
        radius=problem.radius * unit,
        mean=problem.mean * unit,
        tail_caps=tuple(replace(cap, cap=cap.cap * unit) for cap in problem.tail_caps),
        return_floor=None if problem.return_floor is None else problem.return_floor * unit,
        cost_rate=problem.cost_rate * unit,
        impact=problem.impact * unit,
        drawdown_cap=None if drawdown is None else replace(drawdown, cap=drawdown.cap * unit),
    )


def _duals(problem: PortfolioProblem, rows: Mapping[str, Any], unit: float) -> dict[str, float]:
    """Dual of each named constraint: objective per unit of its bound, both in the units of the user."""
    in_returns = {*(cap.name for cap in problem.tail_caps), named.RETURN_FLOOR}
    if problem.drawdown_cap is not None:
        in_returns.add(problem.drawdown_cap.name)
    duals = {
        name: abs(float(row.dual_value)) / (1.0 if name in in_returns else unit)
        for name, row in rows.items()
        if row.dual_value is not None and np.ndim(row.dual_value) == 0
    }
    bounds = (
        (named.UPPER_BOUNDS, problem.upper, named.upper_bound_name),
        (named.LOWER_BOUNDS, problem.lower, named.lower_bound_name),
    )
    for name, vector, name_of in bounds:
        if name in rows and rows[name].dual_value is not None:
            symbols = [s for s, bound in zip(problem.symbols, vector, strict=True) if np.isfinite(bound)]
            values = np.atleast_1d(rows[name].dual_value)
            duals.update({name_of(s): float(d) / unit for s, d in zip(symbols, values, strict=True)})
    return duals


def _gradient(problem: PortfolioProblem, tail: Tail, weights: Floats, alpha: float) -> Floats:
    """A valid lower bound of the tail risk from the duals of its scenarios, in the programme's units.

    The scenario weights of each distribution are nonnegative, at most their density, and sum to one; the
    distributions are mixed in the proportion in which the optimum leans on them.
    """
    raw = [
        np.maximum(np.asarray(part.scenario_rows.dual_value, dtype=np.float64), 0.0) for part in tail.parts
    ]
    shares = [float(y.sum()) / max(part.room, 1e-12) for y, part in zip(raw, tail.parts, strict=True)]
    if sum(shares) < 1e-12:
        worst = max(problem.distributions, key=lambda distribution: distribution.cvar(weights, alpha))
        return -(tail_weights(worst.returns @ weights, alpha, worst.probabilities) @ worst.returns)
    gradient = np.zeros(weights.shape[0])
    for y, part, share in zip(raw, tail.parts, shares, strict=True):
        if share > 0.0:
            valid = _filled(y / share, part.most, part.room)
            gradient += share / sum(shares) * (part.linear - valid @ part.returns)
    return gradient


def _filled(raw: Floats, most: Floats, total: float) -> Floats:
    """`raw` between zero and `most` with sum `total`."""
    capped: Floats = np.minimum(raw, most)
    missing = total - float(capped.sum())
    room = most - capped if missing > 0.0 else capped
    return capped + missing * room / max(float(room.sum()), 1e-300)
