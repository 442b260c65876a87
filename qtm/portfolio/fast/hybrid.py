"""The fast path itself: cuts find the tails, the interior method solves on bands, a full pass proves it.

Literature: aggregated cuts for CVaR, Kuenzi-Bay and Mayer (2006); in-out stabilisation, Ben-Ameur and Neto
(2007); the scenario weights that give the lower bound are the dual of Rockafellar and Uryasev (2000).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from qtm.errors import RiskError
from qtm.portfolio.fast.band import Part
from qtm.portfolio.fast.cuts import near_by_cuts
from qtm.portfolio.fast.interior import InteriorSolution, solve_interior
from qtm.portfolio.fast.master import Vertex, proven_bound
from qtm.portfolio.fast.repair import repaired
from qtm.portfolio.fast.shape import TailProgramme
from qtm.portfolio.fast.tail import Indices, TailShape
from qtm.portfolio.fast.warm import can_resolve, resolve
from qtm.risk.measures import Floats

FIRST_BAND = 1.5
"""Size of the first band, in units of the tail; it reaches from the worst scenario down."""
NARROW_BAND = 0.3
WARM_BAND = 0.4
"""Half width of the two-sided band once the incumbent is good, in units of the tail."""
LOOSE = 1e-2
"""Tolerance of the first band programme, whose band is only provisional."""
SPARE = 0.1
"""Most scenarios added in advance on each side of the band, in units of the tail."""
MOST_ROUNDS = 20
FINEST = 1e-3
"""Tolerance of the band programme below which a complete band has no more to give, as a share of the gap."""
CROSSED = 1e-6
"""A bound this far above a feasible value, relative to it, proves an error and not an optimum."""
FEASIBLE = 1e-9
"""Largest violation of a row, bound or cap that counts as met."""


@dataclass(frozen=True, slots=True)
class FastSolution:
    """A portfolio with the true `value` of the programme's objective and the proven lower `bound`.

    `vertex` solves the bounding linear programme; its duals are the change of the objective per unit of a
    row, a weight's bound or a cap.
    """

    weights: Floats
    value: float
    bound: float
    vertex: Vertex
    rounds: int
    band_rows: tuple[int, ...]
    iterations: int

    @property
    def gap(self) -> float:
        """Relative distance of `value` from `bound`."""
        return max(self.value - self.bound, 0.0) / max(abs(self.value), 1e-6)


class Band(NamedTuple):
    """The scenarios of one part that keep their variable, and those summed as the deep tail."""

    rows: Indices
    deep: Indices


def solve_programme(
    programme: TailProgramme,
    *,
    start: Floats | None = None,
    ahead: Floats | None = None,
    tolerance: float = 1e-7,
) -> FastSolution:
    """The optimum of `programme`.

    Parameters
    ----------
    programme
        What to minimise; the returns of its distributions C-contiguous.
    start
        A portfolio near the optimum, shape (N,), such as yesterday's; the cuts are then skipped.
    ahead
        If `start` is the optimum of the same scenarios under another bound: where the new one is expected.
    tolerance
        Proven relative gap to reach.

    Raises
    ------
    NoVertex
        If no portfolio satisfies the rows, bounds and caps.
    RiskError
        If the gap is not reached; the reference formulation is then the way.
    """
    if not programme.levels:
        return _without_tails(programme)
    with one_thread(), np.errstate(all="ignore"):
        if start is not None:
            if can_resolve(programme):
                near = resolve(programme, start, tolerance, ahead)
                if near is not None:
                    return FastSolution(
                        near.weights, near.value, near.bound, near.vertex, near.rounds, near.rows, 0
                    )
            try:
                return _Hybrid(programme, tolerance).solve(start)
            except RiskError:
                pass  # a start far from the optimum can mislead the band; without it the cuts find the tail
        return _Hybrid(programme, tolerance).solve(None)


def _without_tails(programme: TailProgramme) -> FastSolution:
    """The optimum where no CVaR is priced or capped: a vertex."""
    vertex = proven_bound(programme, [])
    weights = repaired(programme, vertex.point[: programme.symbols])
    value = programme.linear_value(weights)
    return FastSolution(weights, value, min(vertex.value, value), vertex, 0, (), 0)


@contextmanager
def one_thread() -> Iterator[None]:
    """Pin BLAS: two of its threads are slower than one on these shapes."""
    if _pinned.get():
        yield
        return
    token = _pinned.set(True)
    try:
        with _blas().limit(limits=1, user_api="blas"):
            yield
    finally:
        _pinned.reset(token)


_pinned: ContextVar[bool] = ContextVar("pinned", default=False)


@cache
def _blas() -> ThreadpoolController:
    return ThreadpoolController()


class _Hybrid:
    def __init__(self, programme: TailProgramme, tolerance: float) -> None:
        self.programme, self.tolerance = programme, tolerance
        self.keys = [
            (level, rank)
            for level in range(len(programme.levels))
            for rank in range(len(programme.distributions))
        ]
        self.tails = [
            TailShape.of(programme.distributions[rank], programme.levels[level].alpha)
            for level, rank in self.keys
        ]
        self.returns = [programme.distributions[rank].returns for _, rank in self.keys]
        self.least_band = int(1.2 * programme.symbols) + 50
        self.best: tuple[float, Floats] | None = None
        self.bound = -np.inf
        self.vertex: Vertex | None = None

    def solve(self, start: Floats | None) -> FastSolution:
        """Rounds of band programme and full pass until the gap is proven."""
        cold = start is None
        near = near_by_cuts(self.programme, self.keys, self.tails) if start is None else start
        losses = self._losses(near)
        bands = [
            self._top(k, losses[k]) if cold else self._around(k, losses[k], WARM_BAND)
            for k in range(len(self.keys))
        ]
        sizes: list[int] = []
        iterations = 0
        tolerance = LOOSE if cold else 0.2 * self.tolerance
        for attempt in range(MOST_ROUNDS):
            solution = self._solve_bands(bands, near, tolerance)
            sizes.append(sum(band.rows.shape[0] for band in bands))
            iterations += solution.iterations
            self._raise_bound(bands, solution)
            near = repaired(self.programme, solution.weights)
            losses = self._losses(near)
            self._consider(near, losses)
            if self.best is not None:
                distance = (self.best[0] - self.bound) / max(abs(self.best[0]), 1e-6)
                if distance < -CROSSED:
                    break
                if distance <= self.tolerance:
                    return self._answer(attempt + 1, tuple(sizes), iterations)
            if cold and attempt == 0:
                bands = [
                    self._keep_undecided(k, self._around(k, losses[k], NARROW_BAND), bands[k], solution)
                    for k in range(len(self.keys))
                ]
                tolerance = 0.2 * self.tolerance
                continue
            grown = [self._grown(k, bands[k], losses[k], solution) for k in range(len(self.keys))]
            if all(g.rows.shape == b.rows.shape for g, b in zip(grown, bands, strict=True)):
                if tolerance < FINEST * self.tolerance:
                    break
                tolerance *= 0.1
            bands = grown
        raise RiskError(
            "the fast path did not prove its gap",
            where=f"{sum(r.shape[0] for r in self.returns)} scenarios, {self.programme.symbols} symbols, "
            f"bound {self.bound:.3e}, best {'none' if self.best is None else format(self.best[0], '.3e')}",
        )

    def _losses(self, weights: Floats) -> list[Floats]:
        """Losses of every scenario for each part; levels of one distribution share them."""
        own = [-(distribution.returns @ weights) for distribution in self.programme.distributions]
        return [own[rank] for _, rank in self.keys]

    def _consider(self, weights: Floats, losses: list[Floats]) -> None:
        """Keep `weights` if they are feasible on all scenarios and better than the best so far."""
        if self.programme.polytope.violation(weights) > FEASIBLE:
            return
        value = self.programme.linear_value(weights)
        worst = np.full(len(self.programme.levels), -np.inf)
        for (level, _), tail, own in zip(self.keys, self.tails, losses, strict=True):
            worst[level] = max(worst[level], tail.value(own))
        for demand, cvar in zip(self.programme.levels, worst, strict=True):
            if cvar > demand.cap + FEASIBLE:
                return
            value += demand.price * float(cvar)
        if self.best is None or value < self.best[0]:
            self.best = (value, weights)

    def _top(self, k: int, losses: Floats) -> Band:
        """The worst scenarios, half as many again as the tail takes."""
        tail = self.tails[k]
        order, size = tail.ranked(losses, tail.size + self.least_band)
        kept = max(int(FIRST_BAND * size) + 50, self.least_band)
        return Band(order[:kept], np.empty(0, np.int64))

    def _around(self, k: int, losses: Floats, width: float) -> Band:
        """Scenarios around the VaR as the band, everything beyond it as the deep tail."""
        half = max(int(width * self.tails[k].size), self.least_band // 2)
        order, tail = self.tails[k].ranked(losses, half)
        first = max(tail - half, 0)
        return Band(order[first : tail + half], order[:first])

    def _keep_undecided(self, k: int, band: Band, last: Band, solution: InteriorSolution) -> Band:
        """Scenarios whose weight the last programme left undecided stay in the band."""
        share = solution.scenario_weights[k] / self.tails[k].density[last.rows]
        undecided = last.rows[(share > 1e-2) & (share < 1 - 1e-2)]
        return Band(np.union1d(band.rows, undecided), np.setdiff1d(band.deep, undecided))

    def _solve_bands(self, bands: list[Band], near: Floats, tolerance: float) -> InteriorSolution:
        parts = []
        for (level, _), tail, returns, band in zip(self.keys, self.tails, self.returns, bands, strict=True):
            deep = tail.density[band.deep]
            parts.append(
                Part(
                    level=level,
                    returns=returns[band.rows],
                    most=tail.density[band.rows],
                    linear=-(deep @ returns[band.deep]),
                    room=1.0 - float(deep.sum()),
                )
            )
        self._parts = parts
        return solve_interior(self.programme, parts, near, tolerance)

    def _raise_bound(self, bands: list[Band], solution: InteriorSolution) -> None:
        """Valid scenario weights from the programme's dual, and the linear programme they bound it by."""
        gradients = np.zeros((len(self.programme.levels), self.programme.symbols))
        leaning = np.zeros(len(self.programme.levels))
        found = zip(self._parts, self.tails, bands, solution.scenario_weights, solution.shares, strict=True)
        for part, tail, band, raw, share in found:
            valid = tail.filled(raw, band.rows, part.room)
            if valid is None:
                return
            gradients[part.level] += share * (part.linear - valid @ part.returns)
            leaning[part.level] += share
        gradients /= np.maximum(leaning, 1e-300)[:, None]
        vertex = proven_bound(self.programme, list(gradients))
        if vertex.value > self.bound or self.vertex is None:
            self.bound, self.vertex = max(vertex.value, self.bound), vertex

    def _grown(self, k: int, band: Band, losses: Floats, solution: InteriorSolution) -> Band:
        """Scenarios the programme had wrongly left out or summed go back into the band.

        With them go some that lie no further from the threshold than the worst of them: the next programme
        would move past those too.
        """
        threshold = solution.thresholds[k]
        outside = np.ones(losses.shape[0], bool)
        outside[band.rows] = False
        outside[band.deep] = False
        outer = np.flatnonzero(outside)
        left_out = outer[self._wrong_or_close(k, losses[outer] - threshold)]
        summed = band.deep[self._wrong_or_close(k, threshold - losses[band.deep])]
        return Band(
            np.concatenate((band.rows, left_out, summed)),
            np.setdiff1d(band.deep, summed, assume_unique=True),
        )

    def _wrong_or_close(self, k: int, excess: Floats) -> Indices:
        """Positions with positive `excess`, and the nearest others within as far on the right side."""
        if not excess.shape[0]:
            return np.empty(0, np.int64)
        wrong = np.flatnonzero(excess > 0.0)
        if not wrong.shape[0]:
            return wrong
        close = np.flatnonzero((excess <= 0.0) & (excess > -float(excess.max())))
        room = int(SPARE * self.tails[k].size) + 10
        if close.shape[0] > room:
            close = close[np.argpartition(-excess[close], room)[:room]]
        return np.concatenate((wrong, close))

    def _answer(self, rounds: int, sizes: tuple[int, ...], iterations: int) -> FastSolution:
        assert self.best is not None and self.vertex is not None  # set in the round that proved the gap
        value, weights = self.best
        return FastSolution(
            weights=weights,
            value=value,
            bound=min(self.bound, value),
            vertex=self.vertex,
            rounds=rounds,
            band_rows=sizes,
            iterations=iterations,
        )
