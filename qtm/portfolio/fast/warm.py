"""From one vertex to the next: re-solving near a known optimum by a few simplex pivots.

Yesterday's weights say more than where to look. An optimum is a vertex: the weights off their bounds and the
scenarios whose loss equals the VaR name its basis. A small linear programme over those weights and the
scenarios next to the VaR, started from that basis, needs a handful of pivots (`pivots`); a full pass then
proves the answer as in `hybrid`, or names the scenarios and weights that must join.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qtm.portfolio.fast.master import Vertex
from qtm.portfolio.fast.pivots import DUAL, INTERIOR, PRIMAL, BandSimplex
from qtm.portfolio.fast.shape import TailProgramme
from qtm.portfolio.fast.tail import Indices, TailShape
from qtm.risk.measures import Floats

MOST_ROUNDS = 12
MARGIN = 40
"""Scenarios on each side of the VaR beyond one per weight of the programme."""
SPARE_WEIGHTS = 20
"""Weights at zero that join because they are nearest to being worth holding."""
MOST_JOINING = 200
"""Scenarios that join in one round on each side: far from the optimum most of the wrong ones are wrong alone
because the few before them were missing."""


class WarmSolution(NamedTuple):
    """A portfolio (N,), the objective's true value, the proven bound and the vertex that proves it."""

    weights: Floats
    value: float
    bound: float
    vertex: Vertex
    rounds: int
    rows: tuple[int, ...]


def can_resolve(programme: TailProgramme) -> bool:
    """Whether the programme has one distribution, one level and no distances."""
    return len(programme.distributions) == 1 and len(programme.levels) == 1 and not programme.polytope.centres


def resolve(
    programme: TailProgramme, start: Floats, tolerance: float, ahead: Floats | None = None
) -> WarmSolution | None:
    """The optimum of `programme`, started from the vertex near `start`; None if pivots do not reach it.

    Parameters
    ----------
    programme
        One that `can_resolve` accepts.
    start
        The optimum of a neighbouring problem, shape (N,).
    tolerance
        Proven relative gap to reach.
    ahead
        If `start` is the optimum of the same scenarios under another bound, where the new one is expected,
        shape (N,); scenarios on the way join at once.
    """
    return _Resolve(programme, tolerance).solve(start, ahead)


class _Resolve:
    def __init__(self, programme: TailProgramme, tolerance: float) -> None:
        self.programme, self.tolerance = programme, tolerance
        self.returns = programme.distributions[0].returns
        self.level = programme.levels[0]
        self.tail = TailShape.of(programme.distributions[0], self.level.alpha)
        self.box = programme.polytope
        self.best: tuple[float, Floats] | None = None
        self.bound = -np.inf
        self.vertex: Vertex | None = None

    def solve(self, start: Floats, ahead: Floats | None) -> WarmSolution | None:
        near = np.clip(start, self.box.lower, self.box.upper)
        losses = -(self.returns @ near)
        columns = self._columns(near, losses)
        half = columns.shape[0] + MARGIN
        band, deep = self._around(losses, half)
        if ahead is not None:
            columns = np.union1d(columns, np.flatnonzero(ahead))
            there, beyond = self._around(-(self.returns @ ahead), half)
            band = np.unique(np.concatenate((band, there, np.setxor1d(deep, beyond, assume_unique=True))))
            deep = np.setdiff1d(np.intersect1d(deep, beyond, assume_unique=True), band, assume_unique=True)
        small = BandSimplex(self.programme, self.tail, near, losses, columns, band, deep)
        strategy = PRIMAL if ahead is None else DUAL
        sizes = []
        for round_ in range(MOST_ROUNDS):
            found = small.solve(strategy)
            if found is None:
                return None
            sizes.append(small.band.shape[0])
            if found.bound is not None and (found.bound.value > self.bound or self.vertex is None):
                self.bound, self.vertex = max(found.bound.value, self.bound), found.bound
            losses = -(self.returns @ found.weights)
            self._consider(found.weights, losses)
            if self.best is not None and self.vertex is not None:
                value, weights = self.best
                if abs(value - self.bound) <= self.tolerance * max(abs(value), 1e-6):
                    return WarmSolution(
                        weights, value, min(self.bound, value), self.vertex, round_ + 1, tuple(sizes)
                    )
            left_out, summed = self._wrong(losses, found.threshold, small)
            if not found.wanted.shape[0] and not left_out.shape[0] and not summed.shape[0]:
                return None
            small.add_scenarios(left_out, summed)
            small.add_columns(found.wanted)
            strategy = PRIMAL if found.wanted.shape[0] else DUAL
        return None

    def _columns(self, near: Floats, losses: Floats) -> Indices:
        """Weights that are held or off their bounds, and the unheld ones nearest to being worth holding."""
        width = self.box.upper - self.box.lower
        off = np.minimum(near - self.box.lower, self.box.upper - near) > INTERIOR * width
        held = off | (near != 0.0)
        gradient = self.tail.gradient(self.returns, losses)
        active = np.flatnonzero(off)
        if not active.shape[0]:
            return np.flatnonzero(held)
        slope = gradient if self.level.price > 0.0 else self.programme.cost
        rows = np.vstack((self.box.rows, gradient if self.level.price <= 0.0 else self.programme.cost))
        fit, *_ = np.linalg.lstsq(rows[:, active].T, slope[active], rcond=None)
        price = slope - fit @ rows
        idle = np.flatnonzero(~held)
        spare = idle[np.argsort(price[idle], kind="stable")[: SPARE_WEIGHTS + active.shape[0] // 4]]
        return np.union1d(np.flatnonzero(held), spare)

    def _around(self, losses: Floats, half: int) -> tuple[Indices, Indices]:
        """Scenarios within `half` places of the VaR, and those beyond them."""
        order, tail = self.tail.ranked(losses, half)
        first = max(tail - half, 0)
        return order[first : tail + half], order[:first]

    def _consider(self, weights: Floats, losses: Floats) -> None:
        if self.box.violation(weights) > 1e-9:
            return
        cvar = self.tail.value(losses)
        if cvar > self.level.cap + 1e-9:
            return
        value = self.programme.linear_value(weights) + self.level.price * cvar
        if self.best is None or value < self.best[0]:
            self.best = (value, weights)

    def _wrong(self, losses: Floats, threshold: float, small: BandSimplex) -> tuple[Indices, Indices]:
        """Scenarios left out or summed on the wrong side of the VaR, with some that are nearly there."""
        outside = np.ones(losses.shape[0], bool)
        outside[small.band] = outside[small.deep] = False
        outer = np.flatnonzero(outside)
        left_out = outer[_wrong_or_close(losses[outer] - threshold)]
        summed = small.deep[_wrong_or_close(threshold - losses[small.deep])]
        return left_out, summed


def _wrong_or_close(excess: Floats) -> Indices:
    wrong = int((excess > 0.0).sum())
    if not wrong:
        return np.empty(0, np.int64)
    kept = min(int(1.3 * wrong) + 10, MOST_JOINING, excess.shape[0])
    return np.argpartition(-excess, kept - 1)[:kept]
