"""From an interior-point answer to a portfolio that meets every row and bound exactly."""

from __future__ import annotations

import numpy as np

from qtm.portfolio.fast.master import NoVertex, best_point
from qtm.portfolio.fast.shape import Polytope, TailProgramme
from qtm.risk.measures import Floats

DUST = 1e-9
ROUNDING = 1e-13
"""Rows overstepped by less than this are met: it is the rounding of their own sums."""


def repaired(programme: TailProgramme, weights: Floats) -> Floats:
    """`weights` (N,) on their bounds where they are dust away, then pulled inside the rows.

    Rows that hold with equality are restored by spreading the difference over the weights with room; rows
    that are overstepped by moving a hair towards the roomiest portfolio of the polytope.
    """
    box = programme.polytope
    count = programme.symbols
    lower, upper = box.lower[:count], box.upper[:count]
    width = upper - lower
    inside = np.clip(weights, lower, upper)
    inside = np.where(inside - lower < DUST * width, lower, inside)
    inside = np.where(upper - inside < DUST * width, upper, inside)
    inside = onto_equalities(programme, inside)
    values = box.rows @ box.point(inside)
    over = np.maximum(values - box.row_upper, box.row_lower - values)
    if over.max() <= ROUNDING:
        return inside
    return _pulled_inside(programme, inside, values)


def onto_equalities(programme: TailProgramme, weights: Floats) -> Floats:
    """`weights` moved within their bounds until the rows that are equalities hold."""
    box = programme.polytope
    exact = box.row_lower == box.row_upper
    if not exact.any():
        return weights
    count = programme.symbols
    rows = box.rows[exact, :count]
    lower, upper = box.lower[:count], box.upper[:count]
    moved = weights
    for _ in range(3):
        off = box.row_lower[exact] - rows @ moved
        if float(np.abs(off).max()) < 1e-15:
            break
        room = np.maximum(np.minimum(moved - lower, upper - moved), 0.0)
        gram = (rows * room) @ rows.T
        shift, *_ = np.linalg.lstsq(gram, off, rcond=None)
        moved = np.clip(moved + room * (shift @ rows), lower, upper)
    return moved


def _pulled_inside(programme: TailProgramme, weights: Floats, values: Floats) -> Floats:
    """Towards the roomiest portfolio; distances are convex, so rows on them give way at least as fast."""
    box = programme.polytope
    try:
        roomiest = roomiest_point(box)[: programme.symbols]
    except NoVertex:
        return weights
    room = box.rows @ box.point(roomiest)
    share = 0.0
    for over, slack in (
        (values - box.row_upper, box.row_upper - room),
        (box.row_lower - values, room - box.row_lower),
    ):
        matters = (box.row_lower != box.row_upper) & (over > 0.0) & (slack > 0.0)
        if matters.any():
            share = max(share, float((over[matters] / (over[matters] + slack[matters])).max()))
    count = programme.symbols
    return np.clip(weights + share * (roomiest - weights), box.lower[:count], box.upper[:count])


def roomiest_point(polytope: Polytope) -> Floats:
    """The point whose tightest inequality has the most room, up to one unit of its row.

    Raises
    ------
    NoVertex
        If the polytope is empty.
    """
    exact = polytope.row_lower == polytope.row_upper
    size = np.abs(polytope.rows).max(axis=1)
    step = np.where(exact, 0.0, size)[:, None]
    low = np.isfinite(polytope.row_lower)
    high = np.isfinite(polytope.row_upper) & ~exact
    below, above = np.hstack((polytope.rows, -step)), np.hstack((polytope.rows, step))
    lifted = Polytope(
        lower=np.append(polytope.lower, 0.0),
        upper=np.append(polytope.upper, 1.0),
        rows=np.vstack((below[low], above[high])),
        row_lower=np.concatenate((polytope.row_lower[low], np.full(int(high.sum()), -np.inf))),
        row_upper=np.concatenate(
            (np.where(exact, polytope.row_upper, np.inf)[low], polytope.row_upper[high])
        ),
        names=(("", ""),) * int(low.sum() + high.sum()),
        centres=polytope.centres,
    )
    cost = np.zeros(polytope.lower.shape[0] + 1)
    cost[-1] = -1.0
    return best_point(lifted, cost)[:-1]
