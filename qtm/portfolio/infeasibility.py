"""Why a problem has no solution: the smallest sets of constraints to relax, and by how much."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import cvxpy as cp
import numpy as np

from qtm.portfolio import constraints as named
from qtm.portfolio.allocation import Relaxation
from qtm.portfolio.bands import bands_around, grown
from qtm.portfolio.drawdown import DrawdownTail
from qtm.portfolio.problem import PortfolioProblem
from qtm.portfolio.programme import Bands, constraint_rows, run, tails_of
from qtm.risk.measures import Floats

LARGEST_RELAXATION = 3
"""Most constraints searched for together when looking for the smallest set to relax."""
LEAST_ENTRIES = 20_000
"""Scenario entries from which the search works on bands of the scenarios."""
MOST_ROUNDS = 20


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
    entries = sum(distribution.returns.size for distribution in problem.distributions)
    whole = problem.drawdown_cap is not None or entries < LEAST_ENTRIES
    bands = None if whole else bands_around(problem, _middle(problem))
    for _ in range(MOST_ROUNDS):
        found = _least_slack_on(problem, relaxed, bands, solver)
        if found is None or bands is None:
            break
        wider = grown(problem, bands, found.thresholds, found.weights)
        if all(wider[key].rows.shape == bands[key].rows.shape for key in bands):
            break
        bands = wider
    return None if found is None else found.amounts


@dataclass(frozen=True, slots=True)
class _Slack:
    amounts: Floats
    weights: Floats
    thresholds: Mapping[tuple[float, int], float]


def _least_slack_on(
    problem: PortfolioProblem, relaxed: tuple[str, ...], bands: Bands | None, solver: str
) -> _Slack | None:
    """The least slack of the programme on `bands`, which is never more than that of the whole."""
    slack = {name: cp.Variable(nonneg=True) for name in relaxed}
    weights = cp.Variable(len(problem.symbols))
    tails = tails_of(problem, weights, bands)
    cap = problem.drawdown_cap
    drawdown = None if cap is None else DrawdownTail.of(problem.scenarios, weights, cap)
    rows, side = constraint_rows(problem, weights, tails, slack, drawdown and drawdown.expression)
    side += () if drawdown is None else drawdown.side
    total = cp.sum(cp.hstack(list(slack.values())))
    programme = cp.Problem(cp.Minimize(total), [*rows.values(), *side])
    if run(programme, solver) in ("infeasible", "infeasible_inaccurate"):
        return None
    return _Slack(
        np.array([max(float(variable.value), 0.0) for variable in slack.values()]),
        np.asarray(weights.value, dtype=np.float64),
        {
            (alpha, rank): float(part.threshold.value)
            for alpha, tail in tails.items()
            for rank, part in enumerate(tail.parts)
        },
    )


def _middle(problem: PortfolioProblem) -> Floats:
    """Held weights, or equal ones: where a diagnosis starts looking for the tails."""
    count = len(problem.symbols)
    return np.full(count, 1.0 / count) if problem.held is None else problem.held


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
