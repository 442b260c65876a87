"""The fast path behind the same question and answer types as the reference."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from qtm.errors import RiskError
from qtm.portfolio import constraints as named
from qtm.portfolio.allocation import Allocation, Attempt, Infeasible, Outcome, binding_constraints
from qtm.portfolio.fast.hybrid import FastSolution, one_thread, solve_programme
from qtm.portfolio.fast.master import NoVertex
from qtm.portfolio.fast.shape import TailProgramme, programme_of
from qtm.portfolio.problem import PortfolioProblem
from qtm.risk.measures import Floats

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
    started = time.perf_counter()
    programme = programme_of(problem)
    if programme is None:
        return None
    with one_thread():
        try:
            found = solve_programme(_contiguous(programme), start=start, tolerance=tolerance)
        except NoVertex:
            raise Infeasible(NAME) from None
        return _answer(problem, programme, found, started)


def _answer(
    problem: PortfolioProblem, programme: TailProgramme, found: FastSolution, started: float
) -> Allocation:
    """The portfolio found, cleaned and held against every constraint once more."""
    weights = _without_dust(problem, found.weights)
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
        gap=_gap(problem, weights, programme, found),
        binding=binding_constraints(problem, weights, _duals(problem, programme, found)),
        attempts=(Attempt(NAME, "optimal", time.perf_counter() - started),),
    )


def _without_dust(problem: PortfolioProblem, weights: Floats) -> Floats:
    """Weights an interior method left a hair above zero become zero, where no constraint minds."""
    clean = named.polished(problem, weights)
    return weights if named.violated(problem, clean, CLEAN) else clean


def _contiguous(programme: TailProgramme) -> TailProgramme:
    """The programme with its returns in C order, copied only where they are not."""
    distributions = tuple(
        replace(one, returns=np.ascontiguousarray(one.returns)) for one in programme.distributions
    )
    return replace(programme, distributions=distributions)


def _gap(problem: PortfolioProblem, weights: Floats, programme: TailProgramme, found: FastSolution) -> float:
    """Relative gap of the weights as they are handed over, in the problem's own objective."""
    if np.array_equal(weights, found.weights):
        return found.gap
    value = programme.linear_value(weights)
    for level in programme.levels:
        if level.price > 0.0:
            worst = max(one.cvar(weights, level.alpha) for one in programme.distributions)
            value += level.price * worst
    return max(value - found.bound, 0.0) / max(abs(value), 1e-6)


def _duals(problem: PortfolioProblem, programme: TailProgramme, found: FastSolution) -> Mapping[str, float]:
    duals: dict[str, float] = {}
    for (lower, upper), dual in zip(programme.polytope.names, found.vertex.row_duals, strict=True):
        duals[lower] = duals[upper] = abs(float(dual))
    for symbol, dual in zip(problem.symbols, found.vertex.bound_duals, strict=False):
        duals[named.upper_bound_name(symbol)] = duals[named.lower_bound_name(symbol)] = abs(float(dual))
    for level, dual in zip(programme.levels, found.vertex.cap_duals, strict=True):
        if np.isfinite(level.cap):
            duals[level.name] = float(dual)
    return duals
