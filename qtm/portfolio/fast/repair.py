"""From an interior-point answer to a portfolio that meets every row and bound exactly."""

from __future__ import annotations

import numpy as np

from qtm.portfolio.fast.master import NoVertex, best_vertex
from qtm.portfolio.fast.shape import Polytope
from qtm.risk.measures import Floats

DUST = 1e-9
ROUNDING = 1e-13
"""Rows overstepped by less than this are met: it is the rounding of their own sums."""


def repaired(polytope: Polytope, weights: Floats) -> Floats:
    """`weights` on their bounds where they are dust away, then pulled inside the rows.

    Rows that hold with equality are restored by spreading the difference over the weights with room; rows
    that are overstepped by moving a hair towards the roomiest portfolio of the polytope.
    """
    width = polytope.upper - polytope.lower
    inside = np.clip(weights, polytope.lower, polytope.upper)
    inside = np.where(inside - polytope.lower < DUST * width, polytope.lower, inside)
    inside = np.where(polytope.upper - inside < DUST * width, polytope.upper, inside)
    inside = onto_equalities(polytope, inside)
    values = polytope.rows @ inside
    over = np.maximum(values - polytope.row_upper, polytope.row_lower - values)
    if over.max() <= ROUNDING:
        return inside
    return _pulled_inside(polytope, inside)


def onto_equalities(polytope: Polytope, weights: Floats) -> Floats:
    """`weights` moved within their bounds until the rows that are equalities hold."""
    exact = polytope.row_lower == polytope.row_upper
    if not exact.any():
        return weights
    rows = polytope.rows[exact]
    moved = weights
    for _ in range(3):
        off = polytope.row_lower[exact] - rows @ moved
        if float(np.abs(off).max()) < 1e-15:
            break
        room = np.minimum(moved - polytope.lower, polytope.upper - moved)
        room = np.maximum(room, 0.0)
        gram = (rows * room) @ rows.T
        shift, *_ = np.linalg.lstsq(gram, off, rcond=None)
        moved = np.clip(moved + room * (shift @ rows), polytope.lower, polytope.upper)
    return moved


def _pulled_inside(polytope: Polytope, weights: Floats) -> Floats:
    try:
        roomiest = _roomiest(polytope)
    except NoVertex:
        return weights
    values, room = polytope.rows @ weights, polytope.rows @ roomiest
    share = 0.0
    for value, there, lower, upper in zip(values, room, polytope.row_lower, polytope.row_upper, strict=True):
        if lower == upper:
            continue
        for over, slack in ((value - upper, upper - there), (lower - value, there - lower)):
            if over > 0.0 and slack > 0.0:
                share = max(share, over / (over + slack))
    return np.clip(weights + share * (roomiest - weights), polytope.lower, polytope.upper)


def _roomiest(polytope: Polytope) -> Floats:
    """The portfolio whose tightest inequality has the most room, up to one unit of its row."""
    count = polytope.lower.shape[0]
    exact = polytope.row_lower == polytope.row_upper
    size = np.abs(polytope.rows).max(axis=1)
    step = np.where(exact, 0.0, size)[:, None]
    low = np.isfinite(polytope.row_lower)
    high = np.isfinite(polytope.row_upper) & ~exact
    rows = np.vstack((np.hstack((polytope.rows, -step))[low], np.hstack((polytope.rows, step))[high]))
    lifted = Polytope(
        lower=np.append(polytope.lower, 0.0),
        upper=np.append(polytope.upper, 1.0),
        rows=rows,
        row_lower=np.concatenate((polytope.row_lower[low], np.full(int(high.sum()), -np.inf))),
        row_upper=np.concatenate(
            (np.where(exact, polytope.row_upper, np.inf)[low], polytope.row_upper[high])
        ),
        names=(("", ""),) * rows.shape[0],
    )
    cost = np.zeros(count + 1)
    cost[-1] = -1.0
    return best_vertex(lifted, cost).weights[:count]
