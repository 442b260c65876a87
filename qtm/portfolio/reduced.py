"""The reference programme on the scenarios that matter: any mandate, large scenario sets, the same proof.

A first solve on a thinned set of scenarios says where the tails lie. Then each distribution keeps, at each
confidence level, a band of scenarios around its VaR; those deeper in the tail are summed into one linear term
and the others left out, which can only lower CVaR, so the programme is a relaxation. One pass over all
scenarios puts the wrongly summed or dropped ones back into the band. It ends when the weights respect every
constraint on all scenarios and the gap to the bound from the programme's duals is proven.
"""

from __future__ import annotations

import time
from dataclasses import replace

import cvxpy as cp
import numpy as np

from qtm.errors import RiskError
from qtm.portfolio import constraints as named
from qtm.portfolio.allocation import Allocation, Attempt, Infeasible, Outcome, binding_constraints
from qtm.portfolio.bands import bands_around, grown
from qtm.portfolio.problem import Distribution, PortfolioProblem
from qtm.portfolio.reference import Solution, proven_gap, solve_programme
from qtm.risk.measures import Floats

NAME = "reduced"
SOLVER = "CLARABEL"
PROVEN = 1e-6
"""Largest relative gap the answer may have."""
MOST_ROUNDS = 12
LEAST_ENTRIES = 40_000
"""Scenario entries below which the whole programme is as quick."""
THINNED = 1500
"""Scenarios of the first, thinned programme; four per symbol at least."""


def solve_reduced(problem: PortfolioProblem, *, start: Floats | None = None) -> Allocation | None:
    """Solve `problem` on bands of its scenarios; None if it is small or its scenarios must stay whole.

    Parameters
    ----------
    problem
        The problem as posed.
    start
        Weights near the optimum, shape (N,).

    Raises
    ------
    Infeasible
        If no weights satisfy the constraints.
    RiskError
        If the gap is not proven.
    """
    entries = sum(distribution.returns.size for distribution in problem.distributions)
    if problem.drawdown_cap is not None or entries < LEAST_ENTRIES:
        return None
    started = time.perf_counter()
    try:
        near = _thinned_optimum(problem) if start is None else start
        bands = bands_around(problem, near)
        for _ in range(MOST_ROUNDS):
            solution = solve_programme(problem, SOLVER, bands=bands)
            weights = named.polished(problem, solution.weights)
            if not named.violated(problem, weights):
                gap = proven_gap(problem, weights, solution)
                if gap <= PROVEN:
                    return _answer(problem, solution, weights, gap, time.perf_counter() - started)
            wider = grown(problem, bands, solution.thresholds, weights)
            if all(wider[key].rows.shape == bands[key].rows.shape for key in bands):
                break
            bands = wider
    except cp.SolverError as error:
        raise RiskError("the reduced programme failed", where=str(error)) from error
    raise RiskError("the reduced programme did not prove its gap", where=f"{entries} scenario entries")


def _answer(
    problem: PortfolioProblem, solution: Solution, weights: Floats, gap: float, seconds: float
) -> Allocation:
    return Allocation(
        problem=problem,
        weights=weights,
        outcome=Outcome.OPTIMAL,
        solver=f"{NAME}/{SOLVER}",
        gap=gap,
        binding=binding_constraints(problem, weights, solution.duals),
        attempts=(Attempt(f"{NAME}/{SOLVER}", "optimal", seconds),),
    )


def _thinned_optimum(problem: PortfolioProblem) -> Floats:
    """The optimum on evenly spaced scenarios; the middle of the box where they have none."""
    kept = max(THINNED, 4 * len(problem.symbols))
    thin = [_thinned(distribution, kept) for distribution in problem.distributions]
    thinned = replace(
        problem, scenarios=thin[0].returns, probabilities=thin[0].probabilities, rivals=tuple(thin[1:])
    )
    try:
        return solve_programme(thinned, SOLVER).weights
    except (Infeasible, RiskError, cp.SolverError):
        bounds = np.clip(problem.lower, -1.0, 1.0), np.clip(problem.upper, -1.0, 1.0)
        middle: Floats = 0.5 * (bounds[0] + bounds[1])
        return middle


def _thinned(distribution: Distribution, kept: int) -> Distribution:
    step = max(distribution.returns.shape[0] // kept, 1)
    chances = distribution.probabilities
    if chances is not None:
        chances = chances[::step] / chances[::step].sum()
    return Distribution(distribution.returns[::step], chances)
