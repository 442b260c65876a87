"""Minimum CVaR over a polytope: cuts find the tail, the band programme solves it, a full pass proves it.

Literature: aggregated cuts for CVaR, Kuenzi-Bay and Mayer (2006); in-out stabilisation, Ben-Ameur and Neto
(2007); the scenario weights that give the lower bound are the dual of Rockafellar and Uryasev (2000).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from qtm.errors import RiskError
from qtm.portfolio.fast.band import BandProgramme, BandSolution, solve_band
from qtm.portfolio.fast.master import CutMaster, Vertex, best_vertex
from qtm.portfolio.fast.repair import onto_equalities, repaired
from qtm.portfolio.fast.shape import Polytope
from qtm.portfolio.fast.tail import TailCount, TailPoint
from qtm.risk.measures import Floats

Indices = npt.NDArray[np.int64]

MOST_CUTS = 40
CUT_GAP = 5e-3
"""The cuts stop at this relative gap: they only have to find the region of the tail."""
OUTWARD = 0.3
"""Where the in-out query lies between the incumbent (0) and the master's portfolio (1)."""
FIRST_BAND = 1.5
"""Size of the first band, in units of the tail; it reaches from the worst scenario down."""
NARROW_BAND = 0.3
WARM_BAND = 0.4
"""Half width of the two-sided band once the incumbent is good, in units of the tail."""
LOOSE = 1e-5
"""Tolerance of the first band programme, whose band is only provisional."""
SPARE = 0.1
"""Most scenarios added in advance on each side of the band, in units of the tail."""
MOST_ROUNDS = 20
FINEST = 1e-3
"""Tolerance of the band programme below which a complete band has no more to give, as a share of the gap."""
FEASIBLE = 1e-10


@dataclass(frozen=True, slots=True)
class FastSolution:
    """A portfolio with its true CVaR `value` and the proven lower `bound`.

    `row_duals` (K,) and `weight_duals` (N,) are those of the bounding linear programme: the change of the
    minimum CVaR per unit of a row's or weight's bound.
    """

    weights: Floats
    value: float
    bound: float
    row_duals: Floats
    weight_duals: Floats
    rounds: int
    band_rows: tuple[int, ...]
    iterations: int

    @property
    def gap(self) -> float:
        """Relative distance of `value` from `bound`."""
        return max(self.value - self.bound, 0.0) / max(abs(self.value), 1e-6)


def minimise_cvar(
    returns: Floats,
    alpha: float,
    polytope: Polytope,
    *,
    start: Floats | None = None,
    tolerance: float = 1e-7,
) -> FastSolution:
    """Portfolio of least CVaR over `polytope`.

    Parameters
    ----------
    returns
        Scenarios of shape (T, N), C-contiguous.
    alpha
        Confidence level.
    polytope
        Where the portfolio may lie.
    start
        A portfolio near the optimum, such as yesterday's; the cuts are then skipped.
    tolerance
        Proven relative gap to reach.

    Raises
    ------
    NoVertex
        If the polytope is empty.
    RiskError
        If the gap is not reached; the reference formulation is then the way.
    """
    with _blas().limit(limits=1, user_api="blas"), np.errstate(all="ignore"):
        if start is not None:
            try:
                return _Hybrid(returns, alpha, polytope, tolerance).solve(start)
            except RiskError:
                pass  # a start far from the optimum can mislead the band; without it the cuts find the tail
        return _Hybrid(returns, alpha, polytope, tolerance).solve(None)


@cache
def _blas() -> ThreadpoolController:
    """Two BLAS threads are slower than one on these shapes, so the path pins them."""
    return ThreadpoolController()


class _Hybrid:
    def __init__(self, returns: Floats, alpha: float, polytope: Polytope, tolerance: float) -> None:
        self.returns, self.polytope, self.tolerance = returns, polytope, tolerance
        self.scenarios, self.count = returns.shape
        self.tail = TailCount.of(self.scenarios, alpha)
        self.weight = 1.0 / self.tail.size
        self.least_band = int(1.2 * self.count) + 50
        self.best: tuple[float, Floats] | None = None
        self.bound = -np.inf
        self.vertex: Vertex | None = None

    def solve(self, start: Floats | None) -> FastSolution:
        """Rounds of band programme and full pass until the gap is proven."""
        cold = start is None
        near = self._by_cuts() if start is None else start
        losses = -(self.returns @ near)
        band, deep = self._top_band(losses) if cold else self._two_sided(losses, WARM_BAND)
        sizes: list[int] = []
        iterations = 0
        tolerance = LOOSE if cold else 0.2 * self.tolerance
        for attempt in range(MOST_ROUNDS):
            solution, unit = self._solve_band(band, deep, near, tolerance)
            sizes.append(band.shape[0])
            iterations += solution.iterations
            self._raise_bound(band, deep, solution.scenario_weights)
            near = repaired(self.polytope, solution.weights)
            point = self.tail.at(self.returns, near)
            if self.polytope.violation(near) <= FEASIBLE and (
                self.best is None or point.value < self.best[0]
            ):
                self.best = (point.value, near)
            if self.best is not None and self.best[0] - self.bound <= self.tolerance * max(
                abs(self.best[0]), 1e-6
            ):
                return self._answer(attempt + 1, tuple(sizes), iterations)
            if cold and attempt == 0:
                band, deep = self._two_sided(point.losses, NARROW_BAND)
                band, deep = self._keep_fractional(band, deep, solution)
                tolerance = 0.2 * self.tolerance
                continue
            grown, thinned = self._violators(point, solution.threshold / unit, band, deep)
            if grown.shape[0] == band.shape[0]:
                if tolerance < FINEST * self.tolerance:
                    break
                tolerance *= 0.1
            band, deep = grown, thinned
        raise RiskError(
            "the fast path did not prove its gap",
            where=f"{self.scenarios} scenarios, {self.count} symbols, bound {self.bound:.3e}",
        )

    def _by_cuts(self) -> Floats:
        """In-out cutting planes on the scenarios that looked worst at the middle of the box."""
        master = CutMaster(self.polytope)
        middle = onto_equalities(self.polytope, 0.5 * (self.polytope.lower + self.polytope.upper))
        first = self.tail.at(self.returns, middle)
        master.cut(first.gradient)
        kept = min(self.scenarios, int(2.0 * self.tail.size) + 50)
        worst = np.argpartition(-first.losses, kept - 1)[:kept]
        candidates = np.ascontiguousarray(self.returns[worst])
        incumbent: tuple[float, Floats] | None = None
        for _ in range(MOST_CUTS):
            outer, bound = master.solve()
            self.bound = max(self.bound, bound - 1e-9)
            if incumbent is not None and incumbent[0] - bound <= CUT_GAP * abs(incumbent[0]):
                break
            query = outer if incumbent is None else OUTWARD * outer + (1.0 - OUTWARD) * incumbent[1]
            point = self.tail.at(candidates, query)
            master.cut(point.gradient)
            if incumbent is None or point.value < incumbent[0]:
                incumbent = (point.value, query)
        return middle if incumbent is None else incumbent[1]

    def _top_band(self, losses: Floats) -> tuple[Indices, Indices]:
        kept = min(self.scenarios, max(int(FIRST_BAND * self.tail.size) + 50, self.least_band))
        return np.argpartition(-losses, kept - 1)[:kept], np.empty(0, np.int64)

    def _two_sided(self, losses: Floats, width: float) -> tuple[Indices, Indices]:
        """Scenarios around the VaR as the band, everything beyond it as the deep tail."""
        half = max(int(width * self.tail.size), self.least_band // 2)
        first = max(self.tail.whole - half, 0)
        last = min(self.tail.whole + half, self.scenarios)
        order = np.argpartition(-losses, sorted({first, last - 1}))
        return order[first:last], order[:first]

    def _keep_fractional(
        self, band: Indices, deep: Indices, solution: BandSolution
    ) -> tuple[Indices, Indices]:
        """Scenarios whose weight the last programme left undecided stay in the band."""
        undecided = self._last_band[
            (solution.scenario_weights > 1e-2 * self.weight)
            & (solution.scenario_weights < (1 - 1e-2) * self.weight)
        ]
        return np.union1d(band, undecided), np.setdiff1d(deep, undecided)

    def _solve_band(
        self, band: Indices, deep: Indices, near: Floats, tolerance: float
    ) -> tuple[BandSolution, float]:
        """The band programme with returns rescaled to order one; thresholds come back in those units."""
        self._last_band = band
        returns = self.returns[band]
        unit = 1.0 / max(float(returns.std()), 1e-9)
        programme = BandProgramme(
            self.polytope,
            returns * unit,
            -self.weight * unit * self.returns[deep].sum(axis=0),
            1.0 - self.weight * deep.shape[0],
            self.weight,
        )
        return solve_band(programme, near, tolerance), unit

    def _raise_bound(self, band: Indices, deep: Indices, scenario_weights: Floats) -> None:
        """Valid scenario weights from the programme's dual, and the linear programme they bound CVaR by."""
        valid = np.clip(scenario_weights, 0.0, self.weight)
        missing = 1.0 - self.weight * deep.shape[0] - float(valid.sum())
        room = self.weight - valid if missing > 0.0 else valid
        valid += missing * room / max(float(room.sum()), 1e-300)
        gradient = -(valid @ self.returns[band]) - self.weight * self.returns[deep].sum(axis=0)
        vertex = best_vertex(self.polytope, gradient)
        if vertex.value > self.bound or self.vertex is None:
            self.bound, self.vertex = max(vertex.value, self.bound), vertex

    def _violators(
        self, point: TailPoint, threshold: float, band: Indices, deep: Indices
    ) -> tuple[Indices, Indices]:
        """Scenarios the programme had wrongly left out or summed go back into the band.

        With them go some that lie no further from the threshold than the worst of them: the next programme
        would move past those too.
        """
        outside = np.ones(self.scenarios, bool)
        outside[band] = False
        outside[deep] = False
        outer = np.flatnonzero(outside)
        left_out = outer[self._wrong_or_close(point.losses[outer] - threshold)]
        summed = deep[self._wrong_or_close(threshold - point.losses[deep])]
        return np.concatenate((band, left_out, summed)), np.setdiff1d(deep, summed, assume_unique=True)

    def _wrong_or_close(self, excess: Floats) -> Indices:
        """Positions with positive `excess`, and the nearest others within as far on the right side."""
        if not excess.shape[0]:
            return np.empty(0, np.int64)
        wrong = np.flatnonzero(excess > 0.0)
        if not wrong.shape[0]:
            return wrong
        close = np.flatnonzero((excess <= 0.0) & (excess > -float(excess.max())))
        room = int(SPARE * self.tail.size) + 10
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
            row_duals=self.vertex.row_duals,
            weight_duals=self.vertex.weight_duals,
            rounds=rounds,
            band_rows=sizes,
            iterations=iterations,
        )
