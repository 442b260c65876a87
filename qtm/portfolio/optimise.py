"""One call from problem to weights: solve; if that cannot be done, say why and fall back in a fixed order.

The fast path takes the problems of its shape; all others, and whatever it could not prove, go to the
reference programme, on bands of the scenarios where there are many of them. Order then: (1) the problem as
posed; (2) if no weights satisfy it, the minimum-CVaR portfolio under the remaining constraints; (3) the
weights held now, unchanged. Every step is recorded in the answer, and the smallest sets of constraints to
relax are named. If nothing is held, the call fails. There is no equal-weight default.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from qtm.errors import RiskError
from qtm.portfolio.allocation import Allocation, Attempt, Infeasible, Outcome, Relaxation
from qtm.portfolio.fast.solve import solve_fast
from qtm.portfolio.problem import Objective, PortfolioProblem
from qtm.risk.measures import Floats


def optimise(problem: PortfolioProblem, *, start: Floats | None = None) -> Allocation:
    """Weights for `problem`, or the recorded fallback.

    Parameters
    ----------
    problem
        The problem as posed.
    start
        Weights near the optimum, such as yesterday's, shape (N,): the fast path starts there.

    Raises
    ------
    RiskError
        If the objective is unbounded, every solver failed, or the problem is infeasible and there is neither
        a minimum-CVaR portfolio nor a held portfolio to fall back on. The message names what to relax.
    """
    started = time.perf_counter()
    try:
        return solve_as_posed(problem, start=start)
    except Infeasible:
        posed = Attempt("as posed", "infeasible", time.perf_counter() - started)
    from qtm.portfolio.infeasibility import smallest_relaxations

    relaxations = smallest_relaxations(problem)
    reason = "no weights satisfy every constraint; relax " + (
        ", or ".join(relaxation.words for relaxation in relaxations) or "more than three constraints together"
    )
    started = time.perf_counter()
    try:
        fallback = solve_as_posed(_without_tail_demands(problem))
    except Infeasible:
        return _hold(
            problem,
            relaxations,
            reason,
            (posed, Attempt("minimum CVaR", "infeasible", time.perf_counter() - started)),
        )
    return replace(
        fallback,
        problem=problem,
        outcome=Outcome.FALLBACK,
        solver=f"minimum CVaR/{fallback.solver}",
        gap=float("nan"),
        attempts=(posed, *fallback.attempts),
        relaxations=relaxations,
        reason=f"{reason}; weights are the minimum-CVaR portfolio under the remaining constraints",
    )


def solve_as_posed(problem: PortfolioProblem, *, start: Floats | None = None) -> Allocation:
    """The optimum: by the fast path, else the reduced programme, else the reference.

    Parameters
    ----------
    problem, start
        As for `optimise`.

    Raises
    ------
    Infeasible
        If no weights satisfy the constraints.
    RiskError
        If the objective is unbounded or every solver failed, or `start` has not one weight per symbol.
    """
    if start is not None and start.shape != (len(problem.symbols),):
        raise RiskError("a start needs one weight per symbol", where=f"shape {start.shape}")
    given_up: list[Attempt] = []
    for name, attempt in (("fast", solve_fast), ("reduced", _reduced)):
        started = time.perf_counter()
        try:
            answer = attempt(problem, start=start)
        except RiskError as failure:
            given_up.append(Attempt(name, f"gave up: {failure.what}", time.perf_counter() - started))
            continue
        if answer is not None:
            return replace(answer, attempts=(*given_up, *answer.attempts))
    from qtm.portfolio.reference import solve_reference

    answer = solve_reference(problem)
    return replace(answer, attempts=(*given_up, *answer.attempts))


def _reduced(problem: PortfolioProblem, *, start: Floats | None) -> Allocation | None:
    # cvxpy takes seconds to import; most runs never need it.
    from qtm.portfolio.reduced import solve_reduced

    return solve_reduced(problem, start=start)


def _without_tail_demands(problem: PortfolioProblem) -> PortfolioProblem:
    """The problem that minimises CVaR under the remaining constraints: no tail caps, no return floor."""
    return replace(problem, objective=Objective.MIN_CVAR, tail_caps=(), drawdown_cap=None, return_floor=None)


def _hold(
    problem: PortfolioProblem, relaxations: tuple[Relaxation, ...], reason: str, attempts: tuple[Attempt, ...]
) -> Allocation:
    if problem.held is None:
        raise RiskError(reason, where=problem.objective.value, remedy="relax one of the named sets")
    return Allocation(
        problem=problem,
        weights=np.asarray(problem.held, dtype=np.float64),
        outcome=Outcome.FALLBACK,
        solver="held weights",
        gap=float("nan"),
        attempts=(*attempts, Attempt("hold", "held weights kept", 0.0)),
        relaxations=relaxations,
        reason=f"{reason}; the held weights are kept",
    )
