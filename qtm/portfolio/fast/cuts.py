"""In-out cutting planes: a portfolio near the optimum in a few dozen cheap evaluations.

They only have to find the region of the tails, so CVaR is evaluated on the scenarios that looked worst at the
middle of the box. Without caps the query lies between the best portfolio and the cuts' own optimum; with caps
first a portfolio well inside them is found, then the query is where the way from it to the cuts' optimum
leaves the caps.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from qtm.errors import RiskError
from qtm.portfolio.fast.master import CutProgramme, NoVertex
from qtm.portfolio.fast.repair import onto_equalities
from qtm.portfolio.fast.shape import TailProgramme
from qtm.portfolio.fast.tail import TailShape
from qtm.risk.measures import Floats

MOST_CUTS = 40
MOST_INNER = 20
"""Cuts spent on finding a portfolio inside the caps."""
CUT_GAP = 1e-2
"""The cuts stop at this relative gap."""
OUTWARD = 0.3
"""Where the in-out query lies between the incumbent (0) and the master's portfolio (1)."""
INSIDE = 0.99
"""Share of a cap that a portfolio well inside it uses."""


def near_by_cuts(
    programme: TailProgramme, keys: Sequence[tuple[int, int]], tails: Sequence[TailShape]
) -> Floats:
    """A portfolio near the optimum of `programme`, shape (N,).

    Parameters
    ----------
    programme
        What to minimise.
    keys, tails
        Level and distribution of each part, and its tail.

    Raises
    ------
    NoVertex
        If the cuts alone prove that nothing satisfies the rows, bounds and caps.
    """
    return _Cuts(programme, keys, tails).near()


class _Cuts:
    def __init__(
        self, programme: TailProgramme, keys: Sequence[tuple[int, int]], tails: Sequence[TailShape]
    ) -> None:
        self.programme, self.keys, self.tails = programme, keys, tails
        self.count = programme.symbols
        box = programme.polytope
        middle = 0.5 * (box.lower[: self.count] + box.upper[: self.count])
        self.middle = onto_equalities(programme, middle)
        self.model = CutProgramme(programme)
        self.caps = np.array([level.cap for level in programme.levels])
        self.prices = np.array([level.price for level in programme.levels])
        widest = max(tail.size for tail in tails)
        self.rows, self.candidates = [], []
        for distribution in programme.distributions:
            losses = -(distribution.returns @ self.middle)
            kept = min(losses.shape[0], 2 * widest + 50)
            worst = np.argpartition(-losses, kept - 1)[:kept]
            self.rows.append(worst)
            self.candidates.append(np.ascontiguousarray(distribution.returns[worst]))

    def near(self) -> Floats:
        self._cut(self.middle)
        capped = np.isfinite(self.caps).any()
        inner = self._inside_caps() if capped else None
        if capped and inner is None:
            return self.middle
        best: tuple[float, Floats] | None = None if inner is None else (self._value(inner), inner)
        for _ in range(MOST_CUTS):
            point, bound = self.model.solve()
            outer = point[: self.count]
            if best is not None and best[0] - bound <= CUT_GAP * max(abs(best[0]), 1e-9):
                break
            if best is None:
                query = outer
            elif capped:
                query = best[1] + self._reach(best[1], outer) * (outer - best[1])
            else:
                query = best[1] + OUTWARD * (outer - best[1])
            self._cut(query)
            if capped and best is not None:
                query = best[1] + 0.7 * (query - best[1])
            value = self._value(query)
            if best is None or value < best[0]:
                best = (value, query)
        return self.middle if best is None else best[1]

    def _tail_risks(self, weights: Floats) -> Floats:
        """The worst CVaR of each level on the candidates."""
        risks = np.full(self.caps.shape[0], -np.inf)
        for (level, rank), tail in zip(self.keys, self.tails, strict=True):
            value = tail.at(self.candidates[rank], weights, self.rows[rank]).value
            risks[level] = max(risks[level], value)
        return risks

    def _cut(self, weights: Floats) -> Floats:
        """Add the planes at `weights`; returns the levels' CVaRs."""
        risks = np.full(self.caps.shape[0], -np.inf)
        for (level, rank), tail in zip(self.keys, self.tails, strict=True):
            point = tail.at(self.candidates[rank], weights, self.rows[rank])
            self.model.cut(level, point.gradient)
            risks[level] = max(risks[level], point.value)
        return risks

    def _value(self, weights: Floats) -> float:
        priced = self.prices > 0.0
        risk = float(self.prices[priced] @ self._tail_risks(weights)[priced]) if priced.any() else 0.0
        return self.programme.linear_value(weights) + risk

    def _inside_caps(self) -> Floats | None:
        """A portfolio of small CVaR relative to the caps, or None if a few cuts find none inside them."""
        limits = np.where(np.isfinite(self.caps), self.caps, np.inf)
        goal = np.concatenate((np.zeros(self.programme.cost.shape[0]), 1.0 / limits))
        free = CutProgramme(self.programme)
        for level in range(limits.shape[0]):
            free.cap(level, np.inf)
        free.reprice(goal)
        best: tuple[float, Floats] | None = None
        query = self.middle
        for _ in range(MOST_INNER):
            use = 0.0
            for (level, rank), tail in zip(self.keys, self.tails, strict=True):
                point = tail.at(self.candidates[rank], query, self.rows[rank])
                free.cut(level, point.gradient)
                self.model.cut(level, point.gradient)
                use = max(use, point.value / limits[level])
            if best is None or use < best[0]:
                best = (use, query)
            if best[0] < 0.8:
                break
            try:
                outer = free.solve()[0][: self.count]
            except (NoVertex, RiskError):
                break
            query = best[1] + OUTWARD * (outer - best[1])
        return None if best is None or best[0] > INSIDE else best[1]

    def _reach(self, inner: Floats, outer: Floats) -> float:
        """How far along the way from `inner` to `outer` the caps hold, by bisection on the candidates."""
        low, high = 0.0, 1.0
        if (self._tail_risks(outer) <= self.caps).all():
            return 1.0
        for _ in range(5):
            half = 0.5 * (low + high)
            if (self._tail_risks(inner + half * (outer - inner)) <= self.caps).all():
                low = half
            else:
                high = half
        return high
