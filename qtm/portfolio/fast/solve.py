"""The fast path behind the same question and answer types as the reference."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from qtm.errors import RiskError
from qtm.portfolio import constraints as named
from qtm.portfolio.allocation import Allocation, Attempt, Infeasible, Outcome, binding_constraints
from qtm.portfolio.fast.frontier import maximise_return
from qtm.portfolio.fast.hybrid import minimise_cvar
from qtm.portfolio.fast.master import NoVertex
from qtm.portfolio.fast.shape import Polytope, polytope_of
from qtm.portfolio.problem import Objective, PortfolioProblem
from qtm.risk.measures import Floats, historical_cvar

NAME = "fast"
CLEAN = 1e-9
"""Largest violation that removing dust may cause."""


def solve_fast(
    problem: PortfolioProblem, *, start: Floats | None = None, tolerance: float = 1e-7
) -> Allocation | None:
    """Solve `problem` by the fast path; None if its shape needs the reference formulation.

    Parameters
    ----------
    problem
        The problem as posed.
    start
        Weights near the optimum, such as yesterday's, shape (N,).
    tolerance
        Proven relative gap to reach.

    Raises
    ------
    Infeasible
        If no weights satisfy the constraints.
    RiskError
        If the gap could not be proven, or the answer breaks a constraint outside the solver.
    """
    polytope = polytope_of(problem)
    if polytope is None:
        return None
    started = time.perf_counter()
    returns = np.ascontiguousarray(problem.scenarios)
    try:
        if problem.objective is Objective.MIN_CVAR:
            least = minimise_cvar(returns, problem.alpha, polytope, start=start, tolerance=tolerance)
            weights = _without_dust(problem, least.weights)
            value = historical_cvar(returns @ weights, problem.alpha)
            gap = _relative(value - least.bound, value)
            duals = _duals(problem, polytope, least.row_duals, least.weight_duals)
        else:
            cap = problem.tail_caps[0]
            most = maximise_return(
                returns, problem.alpha, polytope, problem.mean, cap.cap, start=start, tolerance=tolerance
            )
            weights = _without_dust(problem, most.weights)
            earned = problem.expected_return(weights)
            gap = _relative(most.bound - earned, earned)
            duals = {cap.name: most.price, **_duals(problem, polytope, most.row_duals, most.weight_duals)}
    except NoVertex:
        raise Infeasible(NAME) from None
    broken = named.violated(problem, weights)
    if broken:
        raise RiskError(
            "the fast path broke a constraint", where=f"{broken[0].name} by {broken[0].excess:.2g}"
        )
    return Allocation(
        problem=problem,
        weights=weights,
        outcome=Outcome.OPTIMAL,
        solver=NAME,
        gap=gap,
        binding=binding_constraints(problem, weights, duals),
        attempts=(Attempt(NAME, "optimal", time.perf_counter() - started),),
    )


def _without_dust(problem: PortfolioProblem, weights: Floats) -> Floats:
    """Weights an interior method left a hair above zero become zero, where no constraint minds."""
    clean = named.polished(problem, weights)
    return weights if named.violated(problem, clean, CLEAN) else clean


def _relative(distance: float, value: float) -> float:
    return max(distance, 0.0) / max(abs(value), 1e-6)


def _duals(
    problem: PortfolioProblem, polytope: Polytope, row_duals: Floats, weight_duals: Floats
) -> Mapping[str, float]:
    duals: dict[str, float] = {}
    for (lower, upper), dual in zip(polytope.names, row_duals, strict=True):
        duals[lower] = duals[upper] = abs(float(dual))
    for symbol, dual in zip(problem.symbols, weight_duals, strict=True):
        duals[named.upper_bound_name(symbol)] = duals[named.lower_bound_name(symbol)] = abs(float(dual))
    return duals
