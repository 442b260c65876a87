"""A primal-dual interior-point method for CVaR programmes on bands of scenarios.

Scenarios known to lie in the tail are summed into one linear term, those known to lie outside are left out;
the band in between keeps its variables. Eliminating them, the rows' slacks and their duals leaves normal
equations with one unknown per weight, distance, level and part, so an iteration costs one N x N rank-M
product for each part. Steps are Mehrotra's predictor and corrector (1992).

A part is one distribution at one confidence level: `z >= linear @ w + room * a + most @ u` with
`u >= -returns @ w - a`, `u >= 0`, where z is the level's CVaR, priced or capped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from qtm.portfolio.fast.band import Part, Task
from qtm.portfolio.fast.newton import Broken, Newton
from qtm.portfolio.fast.shape import TailProgramme
from qtm.risk.measures import Floats

MOST_ITERATIONS = 120
PATIENCE = 20
"""Iterations without progress after which rounding has the last word."""
SHORT_PATIENCE = 2
"""The same once complementarity is met: what is missing then is rounding, and further steps add to it."""


class InteriorSolution(NamedTuple):
    """Portfolio (N,), each part's threshold a, its scenario weights (M,) summing to its room, iterations.

    `shares` are the multipliers of the parts: how much the optimum leans on each.
    """

    weights: Floats
    thresholds: tuple[float, ...]
    scenario_weights: tuple[Floats, ...]
    shares: Floats
    iterations: int


def solve_interior(
    programme: TailProgramme, parts: Sequence[Part], start: Floats, tolerance: float
) -> InteriorSolution:
    """Solve `programme` on the bands of `parts` from the portfolio `start`.

    Stops at a relative complementarity of `tolerance`. Where rounding ends the progress earlier, the best
    iterate is returned: whether it is good enough is for the caller's bounds to prove.
    """
    task = Task.of(programme, parts)
    state = task.initial(start)
    best, least, since, iterations = state, np.inf, 0, 0
    for iterations in range(MOST_ITERATIONS):  # noqa: B007 - reported in the answer
        residuals = task.residuals(state)
        products = state.primal * state.dual
        complementarity, count = float(products.sum()), products.shape[0]
        scale = max(abs(float(task.cost @ state.x)), 1e-6)
        primal, dual = residuals.primal, residuals.dual
        error = complementarity + scale * (primal + dual)
        least, since = (error, 0) if error < 0.9 * least else (least, since + 1)
        best = state if since == 0 else best
        complementary = complementarity < tolerance * scale
        if complementary and max(primal, dual) < 0.1 * tolerance * max(scale, 1.0):
            break
        if since == (SHORT_PATIENCE if complementary else PATIENCE):
            break
        try:
            newton = Newton(task, state)
        except Broken:
            break
        predictor = newton.step(residuals, -products)
        primal_step, dual_step = state.lengths(predictor)
        affine = state.affine(predictor, primal_step, dual_step)
        centre = min(1.0, affine / complementarity) ** 3 * complementarity / count
        bend = predictor.primal * predictor.dual
        corrector = newton.step(residuals, centre - products - bend)
        primal_step, dual_step = state.lengths(corrector)
        damp = min(0.9995, max(0.9, 1.0 - 10.0 * complementarity / count))
        state = state.moved(corrector, min(1.0, damp * primal_step), min(1.0, damp * dual_step))
    return InteriorSolution(
        best.x[: programme.symbols],
        tuple(float(a) / task.unit for a in best.a),
        tuple(
            best.y[piece] / max(float(share), 1e-300)
            for piece, share in zip(task.pieces, best.tau, strict=True)
        ),
        best.tau,
        iterations,
    )
