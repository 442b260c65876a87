"""From one vertex to the next: re-solving near a known optimum by a few simplex pivots.

Yesterday's weights say more than where to look. An optimum is a vertex: the weights off their bounds and the
scenarios whose loss equals the VaR name its basis. A small linear programme over those weights and the
scenarios next to the VaR, started from that basis, needs a handful of pivots; a full pass then proves the
answer as in `hybrid`, or names the scenarios and weights that must join.
"""

from __future__ import annotations

from typing import NamedTuple

import highspy
import numpy as np

from qtm.errors import RiskError
from qtm.portfolio.fast.master import NoVertex, Vertex, proven_bound, row_scales, run_model
from qtm.portfolio.fast.shape import TailProgramme
from qtm.portfolio.fast.tail import Indices, TailShape
from qtm.risk.measures import Floats

MOST_ROUNDS = 12
INTERIOR = 1e-9
"""A weight this far from its bounds, relative to their distance, is off them."""
ACTIVE = 1e-8
"""A row this near to its bound is active."""
MARGIN = 40
"""Scenarios on each side of the VaR beyond one per weight of the programme."""
SPARE_WEIGHTS = 20
"""Weights at zero that join because they are nearest to being worth holding."""

DUAL, PRIMAL = 1, 4
"""HiGHS's simplex variants. After a new bound the basis is dual feasible. After new scenarios it is off a
little on both sides; the primal simplex then needs a few pivots where the dual one starts over."""

Status = highspy.HighsBasisStatus


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

    Raises
    ------
    NoVertex
        If the bounding programme proves that nothing satisfies the rows, bounds and cap.
    """
    return _Resolve(programme, tolerance).solve(start, ahead)


class _Resolve:
    def __init__(self, programme: TailProgramme, tolerance: float) -> None:
        self.programme, self.tolerance = programme, tolerance
        self.returns = programme.distributions[0].returns
        self.level = programme.levels[0]
        self.tail = TailShape.of(programme.distributions[0], self.level.alpha)
        self.box = programme.polytope
        self.unit = 1.0 / max(float(self.returns[:2000].std()), 1e-9)
        self.best: tuple[float, Floats] | None = None
        self.simplex = PRIMAL
        self.bound = -np.inf
        self.vertex: Vertex | None = None

    def solve(self, start: Floats, ahead: Floats | None) -> WarmSolution | None:
        near = np.clip(start, self.box.lower, self.box.upper)
        losses = -(self.returns @ near)
        columns = self._columns(near, losses)
        half = columns.shape[0] + MARGIN
        band, deep, threshold = self._around(losses, half)
        self.simplex = PRIMAL if ahead is None else DUAL
        if ahead is not None:
            columns = np.union1d(columns, np.flatnonzero(ahead))
            there, beyond, _ = self._around(-(self.returns @ ahead), half)
            band = np.unique(np.concatenate((band, there, np.setxor1d(deep, beyond, assume_unique=True))))
            deep = np.setdiff1d(np.intersect1d(deep, beyond, assume_unique=True), band, assume_unique=True)
        sizes = []
        for round_ in range(MOST_ROUNDS):
            found = self._solve_band(near, losses, threshold, columns, band, deep)
            if found is None:
                return None
            near, threshold, scenario_weights, reduced = found
            self.simplex = PRIMAL
            sizes.append(band.shape[0])
            self._raise_bound(band, deep, scenario_weights)
            losses = -(self.returns @ near)
            self._consider(near, losses)
            if self.best is not None and self.vertex is not None:
                value, weights = self.best
                if abs(value - self.bound) <= self.tolerance * max(abs(value), 1e-6):
                    return WarmSolution(
                        weights, value, min(self.bound, value), self.vertex, round_ + 1, tuple(sizes)
                    )
            wanted = np.setdiff1d(np.flatnonzero(reduced < -1e-12), columns)
            grown, thinner = self._grown(losses, threshold, band, deep)
            if not wanted.shape[0] and grown.shape[0] == band.shape[0]:
                return None
            columns = np.union1d(columns, wanted)
            band, deep = grown, thinner
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

    def _around(self, losses: Floats, half: int) -> tuple[Indices, Indices, float]:
        order, tail = self.tail.ranked(losses, half)
        first = max(tail - half, 0)
        return order[first : tail + half], order[:first], float(losses[order[min(tail, order.shape[0] - 1)]])

    def _solve_band(
        self,
        near: Floats,
        losses: Floats,
        threshold: float,
        columns: Indices,
        band: Indices,
        deep: Indices,
    ) -> tuple[Floats, float, Floats, Floats] | None:
        """Weights, VaR, scenario weights (M,) and reduced costs (N,) of the small programme's vertex."""
        model, basis = self._model(near, losses, threshold, columns, band, deep)
        if basis is not None:
            model.setBasis(basis)
        try:
            solution = run_model(model)
        except (RiskError, NoVertex):  # the weights left out may be what makes it solvable
            return None
        count = columns.shape[0]
        values = np.array(solution.col_value)
        weights = np.zeros(near.shape[0])
        weights[columns] = values[:count]
        duals = np.array(solution.row_dual)
        rows = self.box.rows.shape[0] + 1
        lean = self.level.price + abs(float(duals[rows - 1]))
        raw = np.maximum(duals[rows:], 0.0)
        scenario_weights = raw / max(lean, 1e-300)
        gradient = self._gradient(band, deep, scenario_weights)
        reduced = self._scaled_cost + lean * gradient * self.unit
        reduced = reduced - (duals[: rows - 1] * self._scales) @ self.box.rows
        return weights, float(values[count]) / self.unit, scenario_weights, reduced

    def _model(
        self,
        near: Floats,
        losses: Floats,
        threshold: float,
        columns: Indices,
        band: Indices,
        deep: Indices,
    ) -> tuple[highspy.Highs, highspy.HighsBasis | None]:
        """The small programme in HiGHS with the basis that `near` names."""
        box, unit, count, size = self.box, self.unit, columns.shape[0], band.shape[0]
        inf = highspy.kHighsInf
        most = self.tail.density[band]
        deep_most = self.tail.density[deep]
        linear = -(deep_most @ self.returns[deep][:, columns]) * unit
        room = 1.0 - float(deep_most.sum())
        self._scaled_cost = self.programme.cost * unit
        self._scales = row_scales(box)
        price = self.level.price
        cost = np.concatenate((self._scaled_cost[columns] + price * linear, [price * room], price * most))
        model = highspy.Highs()
        for option, value in (
            ("output_flag", False),
            ("threads", 1),
            ("presolve", "off"),
            ("solver", "simplex"),
        ):
            model.setOptionValue(option, value)
        model.setOptionValue("simplex_strategy", self.simplex)
        model.setOptionValue("primal_feasibility_tolerance", 1e-9)
        model.setOptionValue("dual_feasibility_tolerance", 1e-9)
        width = count + 1 + size
        model.addVars(
            width,
            np.concatenate((box.lower[columns], [-inf], np.zeros(size))),
            np.concatenate((box.upper[columns], np.full(size + 1, inf))),
        )
        model.changeColsCost(width, np.arange(width, dtype=np.int32), cost)
        index = np.arange(width, dtype=np.int32)
        for row, lower, upper, scale in zip(
            box.rows, box.row_lower, box.row_upper, self._scales, strict=True
        ):
            model.addRow(lower * scale, upper * scale, count, index[:count], row[columns] * scale)
        cap = self.level.cap * unit if np.isfinite(self.level.cap) else inf
        model.addRow(-inf, cap, width, index, np.concatenate((linear, [room], most)))
        values = np.ones((size, count + 2))
        values[:, :count] = self.returns[band][:, columns] * unit
        places = np.empty((size, count + 2), dtype=np.int32)
        places[:, : count + 1] = index[: count + 1]
        places[:, count + 1] = count + 1 + np.arange(size)
        model.addRows(
            size,
            np.zeros(size),
            np.full(size, inf),
            values.size,
            np.arange(0, values.size, count + 2, dtype=np.int32),
            places.ravel(),
            values.ravel(),
        )
        return model, self._basis(near, losses, threshold, columns, band, cap)

    def _basis(
        self, near: Floats, losses: Floats, threshold: float, columns: Indices, band: Indices, cap: float
    ) -> highspy.HighsBasis | None:
        box = self.box
        lower, upper = box.lower[columns], box.upper[columns]
        width = upper - lower
        at_low, at_high = (
            (near[columns] - lower) <= INTERIOR * width,
            (upper - near[columns]) <= INTERIOR * width,
        )
        off = ~(at_low | at_high)
        values = box.rows @ near
        low_side = np.isfinite(box.row_lower) & (np.abs(values - box.row_lower) * self._scales < ACTIVE)
        high_side = np.isfinite(box.row_upper) & (np.abs(values - box.row_upper) * self._scales < ACTIVE)
        violated = (values < box.row_lower) | (values > box.row_upper)
        active = low_side | high_side | violated
        capped = np.isfinite(cap)
        undecided = int(off.sum()) + 1 - int(active.sum()) - int(capped)
        distance = losses[band] - threshold
        if not 0 <= undecided <= band.shape[0]:
            return None
        tied = np.zeros(band.shape[0], bool)
        tied[np.argsort(np.abs(distance), kind="stable")[:undecided]] = True
        above = (distance > 0.0) & ~tied
        basis = highspy.HighsBasis()
        basis.col_status = [
            Status.kBasic if free else (Status.kLower if low else Status.kUpper)
            for free, low in zip(off, at_low, strict=True)
        ] + [Status.kBasic, *(Status.kBasic if up else Status.kLower for up in above)]
        basis.row_status = [
            *(
                Status.kBasic if not bound else (Status.kLower if low or value < least else Status.kUpper)
                for bound, low, value, least in zip(active, low_side, values, box.row_lower, strict=True)
            ),
            Status.kUpper if capped else Status.kBasic,
            *(Status.kLower if up or tie else Status.kBasic for up, tie in zip(above, tied, strict=True)),
        ]
        return basis

    def _gradient(self, band: Indices, deep: Indices, scenario_weights: Floats) -> Floats:
        deep_most = self.tail.density[deep]
        return -(deep_most @ self.returns[deep]) - scenario_weights @ self.returns[band]

    def _raise_bound(self, band: Indices, deep: Indices, raw: Floats) -> None:
        valid = self.tail.filled(raw, band, 1.0 - float(self.tail.density[deep].sum()))
        if valid is None:
            return
        vertex = proven_bound(self.programme, [self._gradient(band, deep, valid)])
        if vertex.value > self.bound or self.vertex is None:
            self.bound, self.vertex = max(vertex.value, self.bound), vertex

    def _consider(self, weights: Floats, losses: Floats) -> None:
        if self.box.violation(weights) > 1e-9:
            return
        cvar = self.tail.value(losses)
        if cvar > self.level.cap + 1e-9:
            return
        value = self.programme.linear_value(weights) + self.level.price * cvar
        if self.best is None or value < self.best[0]:
            self.best = (value, weights)

    def _grown(
        self, losses: Floats, threshold: float, band: Indices, deep: Indices
    ) -> tuple[Indices, Indices]:
        """Scenarios on the wrong side of the VaR join, with some that are nearly there."""
        outside = np.ones(losses.shape[0], bool)
        outside[band] = outside[deep] = False
        outer = np.flatnonzero(outside)
        back, taken = (
            outer[_wrong_or_close(losses[outer] - threshold)],
            deep[_wrong_or_close(threshold - losses[deep])],
        )
        return np.concatenate((band, back, taken)), np.setdiff1d(deep, taken, assume_unique=True)


def _wrong_or_close(excess: Floats) -> Indices:
    wrong = int((excess > 0.0).sum())
    if not wrong:
        return np.empty(0, np.int64)
    kept = min(2 * wrong + 10, excess.shape[0])
    return np.argpartition(-excess, kept - 1)[:kept]
