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
from qtm.portfolio.problem import Objective, PortfolioProblem
from qtm.portfolio.programme import Tail, conditional_tail, constraint_rows, net_return, run, tail_levels
from qtm.risk.measures import Floats, historical_cvar, tail_weights

SOLVERS = ("CLARABEL", "HIGHS", "SCS")
"""Tried in this order; SCS is the last resort and held to the same feasibility check."""

SMALLEST_SCALE = 1e-6
"""Values nearer to zero than this are compared absolutely: one hundredth of a basis point."""


@dataclass(frozen=True, slots=True)
class Solution:
    """Weights of one solve, the value of its objective, and the dual of every named constraint."""

    weights: Floats
    value: float
    duals: Mapping[str, float]
    tails: Mapping[float, Floats]
    solver: str


def solve_reference(problem: PortfolioProblem, solvers: tuple[str, ...] = SOLVERS) -> Allocation:
    """Solve `problem` as posed.

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
    for solver in solvers:
        started = time.perf_counter()
        try:
            solution = _solve(problem, solver)
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
                gap=proven_gap(problem, weights, solution.tails, solver),
                binding=binding_constraints(problem, weights, solution.duals),
                attempts=tuple(attempts),
            )
    trail = "; ".join(f"{attempt.step} {attempt.outcome}" for attempt in attempts)
    raise RiskError(
        "no solver found usable weights", where=trail, remedy="check the scale of scenarios and bounds"
    )


def proven_gap(
    problem: PortfolioProblem, weights: Floats, tails: Mapping[float, Floats], solver: str
) -> float:
    """Relative distance between the objective of `weights` and a bound that no portfolio can pass.

    Parameters
    ----------
    problem
        The problem as posed.
    weights
        A feasible portfolio, shape (N,).
    tails
        Scenario weights of shape (T,) per confidence level, as the solver's duals give them. Any such weights
        in [0, 1 / ((1 - alpha) T)] that sum to one make `-weights @ R w` a lower bound of CVaR.
    solver
        Solves the bounding programme, which has no scenario variables.
    """
    value = _objective_value(problem, weights)
    bound = _solve(problem, solver, linear_tails=tails).value
    worse = value - bound if problem.objective is Objective.MIN_CVAR else bound - value
    return max(worse, 0.0) / max(abs(value), SMALLEST_SCALE)


def _solve(
    problem: PortfolioProblem, solver: str, linear_tails: Mapping[float, Floats] | None = None
) -> Solution:
    unit = 1.0 / max(float(problem.scenarios.std()), SMALLEST_SCALE)
    problem = _in_units(problem, unit)
    weights = cp.Variable(len(problem.symbols))
    levels = tail_levels(problem)
    if linear_tails is None:
        tails = {alpha: conditional_tail(problem.scenarios, weights, alpha) for alpha in levels}
    else:
        tails = {
            alpha: Tail(-(linear_tails[alpha] @ problem.scenarios) @ weights, None, ()) for alpha in levels
        }
    rows, side = constraint_rows(problem, weights, tails, {})
    objective = _objective(problem, weights, tails)
    programme = cp.Problem(objective, [*rows.values(), *side])
    status = run(programme, solver)
    if status in ("infeasible", "infeasible_inaccurate"):
        raise Infeasible(solver)
    if status in ("unbounded", "unbounded_inaccurate"):
        raise RiskError(
            "the objective can improve without limit",
            where=problem.objective.value,
            remedy="add a tail cap, a gross cap or finite weight bounds",
        )
    if status not in ("optimal", "optimal_inaccurate"):
        raise cp.SolverError(f"{solver} answered {status}")
    return Solution(
        weights=np.asarray(weights.value, dtype=np.float64),
        value=float(programme.value) / unit,
        duals=_duals(problem, rows, unit),
        tails={}
        if linear_tails
        else {
            alpha: _dual_tail(problem, tail, np.asarray(weights.value), alpha)
            for alpha, tail in tails.items()
        },
        solver=solver,
    )


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


def _dual_tail(problem: PortfolioProblem, tail: Tail, weights: Floats, alpha: float) -> Floats:
    """The scenario weights behind the optimum: nonnegative, at most 1 / ((1 - alpha) T), summing to one."""
    count = problem.scenarios.shape[0]
    most = 1.0 / ((1.0 - alpha) * count)
    raw = np.maximum(np.asarray(tail.scenario_rows.dual_value, dtype=np.float64), 0.0)
    if raw.sum() < 1e-12:
        return tail_weights(problem.scenarios @ weights, alpha)
    capped: Floats = np.minimum(raw / raw.sum(), most)
    room = most - capped
    full: Floats = capped + (1.0 - capped.sum()) * room / max(float(room.sum()), 1e-300)
    return full


def _objective_value(problem: PortfolioProblem, weights: Floats) -> float:
    if problem.objective is Objective.MAX_RETURN:
        return problem.expected_return(weights)
    cvar = historical_cvar(problem.scenarios @ weights, problem.alpha)
    if problem.objective is Objective.MIN_CVAR:
        return cvar
    return problem.expected_return(weights) - problem.risk_aversion * cvar
