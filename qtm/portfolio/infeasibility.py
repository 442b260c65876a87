"""Why a problem has no solution: the smallest sets of constraints to relax, and by how much."""

from __future__ import annotations

import itertools

import cvxpy as cp
import numpy as np

from qtm.portfolio import constraints as named
from qtm.portfolio.allocation import Relaxation
from qtm.portfolio.problem import PortfolioProblem
from qtm.portfolio.programme import constraint_rows, run, tails_of
from qtm.risk.measures import Floats

LARGEST_RELAXATION = 3
"""Most constraints searched for together when looking for the smallest set to relax."""


def smallest_relaxations(problem: PortfolioProblem) -> tuple[Relaxation, ...]:
    """Every smallest set of constraints whose relaxation alone makes `problem` feasible, least room first."""
    names = relaxable(problem)
    for size in range(1, LARGEST_RELAXATION + 1):
        found = []
        for subset in itertools.combinations(names, size):
            amounts = least_slack(problem, subset)
            if amounts is not None:
                found.append(Relaxation(subset, tuple(float(amount) for amount in amounts)))
        if found:
            return tuple(sorted(found, key=lambda relaxation: sum(relaxation.amounts)))
    return ()


def least_slack(
    problem: PortfolioProblem, relaxed: tuple[str, ...], solver: str = "CLARABEL"
) -> Floats | None:
    """The least total room that makes `problem` feasible when only `relaxed` constraints may give way.

    Returns
    -------
    numpy.ndarray or None
        Room per relaxed constraint, in the constraint's own unit; None if relaxing these is not enough.
    """
    slack = {name: cp.Variable(nonneg=True) for name in relaxed}
    weights = cp.Variable(len(problem.symbols))
    rows, side = constraint_rows(problem, weights, tails_of(problem, weights), slack)
    total = cp.sum(cp.hstack(list(slack.values())))
    programme = cp.Problem(cp.Minimize(total), [*rows.values(), *side])
    if run(programme, solver) in ("infeasible", "infeasible_inaccurate"):
        return None
    return np.array([max(float(variable.value), 0.0) for variable in slack.values()])


def relaxable(problem: PortfolioProblem) -> tuple[str, ...]:
    """Names of the constraints that could give way, in the order a desk would ask for them."""
    names = [cap.name for cap in problem.tail_caps]
    if problem.drawdown_cap is not None:
        names.append(problem.drawdown_cap.name)
    present = {row.name for row in named.portfolio_rows(problem, problem.held_weights)}
    ordered = (named.RETURN_FLOOR, named.TURNOVER_CAP, named.GROSS_CAP)
    names += [name for name in ordered if name in present]
    for group in problem.groups:
        sides = (named.group_name(group.name, at_most=True), named.group_name(group.name, at_most=False))
        names += [name for name in sides if name in present]
    names += [
        name for name in (named.FULLY_INVESTED, named.LEAST_INVESTED, named.MOST_INVESTED) if name in present
    ]
    return (*names, named.UPPER_BOUNDS, named.LOWER_BOUNDS)
