"""The programme on a few weights and scenarios, kept warm in HiGHS while further ones join.

Scenarios deep in the tail are summed into one linear term. A scenario of the band pays for its loss above the
threshold a; one that turns out to be summed wrongly joins by paying back what it is below the threshold,
`max(a - loss, 0)`, which leaves the linear term alone. So a scenario that joins is one more row and nothing
else changes, and the basis of the last round stays a start a few pivots from the next optimum.
"""

from __future__ import annotations

from typing import NamedTuple

import highspy
import numpy as np
import numpy.typing as npt

from qtm.errors import RiskError
from qtm.portfolio.fast.master import NoVertex, Vertex, row_scales, run_model
from qtm.portfolio.fast.shape import TailProgramme
from qtm.portfolio.fast.tail import Indices, TailShape
from qtm.risk.measures import Floats

INTERIOR = 1e-9
"""A weight this far from its bounds, relative to their distance, is off them."""
ACTIVE = 1e-8
"""A row this near to its bound is active."""

DUAL, PRIMAL = 1, 4
"""HiGHS's simplex variants. After a new bound or new rows the basis is dual feasible. With yesterday's basis
on today's scenarios it is off a little on both sides; the primal simplex then needs a few pivots where the
dual one starts over."""

Status = highspy.HighsBasisStatus


class Pivoted(NamedTuple):
    """A vertex of the small programme: weights (N,), VaR, and the bound on the whole one, None if unproven.

    `wanted` are the weights left out that the bound would rather hold.
    """

    weights: Floats
    threshold: float
    bound: Vertex | None
    wanted: Indices


class BandSimplex:
    """The programme of one distribution and level on `columns` of its weights and `band` of its scenarios.

    Parameters
    ----------
    programme
        The whole programme, one that `warm.can_resolve` accepts.
    tail
        What each scenario can weigh.
    near
        The portfolio whose basis it starts from, shape (N,).
    losses
        Those of `near`, shape (T,).
    columns, band, deep
        Weights that may move (the others are zero), scenarios with a row, scenarios summed.
    """

    def __init__(
        self,
        programme: TailProgramme,
        tail: TailShape,
        near: Floats,
        losses: Floats,
        columns: Indices,
        band: Indices,
        deep: Indices,
    ) -> None:
        self.programme, self.tail, self.columns, self.band = programme, tail, columns, band
        self.level, self.box = programme.levels[0], programme.polytope
        self.returns = programme.distributions[0].returns
        self.deep = deep
        self.paying_back = np.zeros(band.shape[0], bool)
        self._rows = self.returns[band]
        self._unit = 1.0 / max(float(self._rows.std()), 1e-9)
        self._scales = row_scales(self.box)
        deep_most = tail.density[deep]
        self._deep_sum = deep_most @ self.returns[deep]
        self._room = 1.0 - float(deep_most.sum())
        self._weight_places = np.arange(columns.shape[0], dtype=np.int32)
        self._threshold_place = columns.shape[0]
        self._model = self._built()
        self._append_rows(band, self.paying_back, self._rows)
        basis = self._basis(near, losses)
        if basis is not None:
            self._model.setBasis(basis)

    def solve(self, strategy: int) -> Pivoted | None:
        """The vertex of the small programme; None if it has none, or pivots do not reach it."""
        self._model.setOptionValue("simplex_strategy", strategy)
        try:
            solution = run_model(self._model)
        except (RiskError, NoVertex):  # the weights left out may be what makes it solvable
            return None
        values, duals = np.array(solution.col_value), np.array(solution.row_dual)
        weights = np.zeros(self.box.lower.shape[0])
        weights[self.columns] = values[self._weight_places]
        bound = self._bound(weights, duals)
        wanted = np.empty(0, np.int64)
        if bound is not None:
            better = np.minimum(bound.bound_duals * self.box.lower, bound.bound_duals * self.box.upper)
            better[self.columns] = 0.0
            wanted = np.flatnonzero(better < -1e-14)
        return Pivoted(weights, float(values[self._threshold_place]) / self._unit, bound, wanted)

    def add_scenarios(self, left_out: Indices, summed: Indices) -> None:
        """Give a row to scenarios that had none: those `left_out`, and those `summed` so far."""
        joining = np.concatenate((left_out, summed))
        paying_back = np.arange(joining.shape[0]) >= left_out.shape[0]
        rows = self.returns[joining]
        self._append_rows(joining, paying_back, rows)
        self.band = np.concatenate((self.band, joining))
        self.paying_back = np.concatenate((self.paying_back, paying_back))
        self._rows = np.vstack((self._rows, rows))
        self.deep = np.setdiff1d(self.deep, summed, assume_unique=True)

    def add_columns(self, joining: Indices) -> None:
        """Let further weights move."""
        sign = np.where(self.paying_back, -1.0, 1.0)
        first = self.box.rows.shape[0]
        index = np.arange(first + 1 + self.band.shape[0], dtype=np.int32)
        places = self._model.getNumCol() + np.arange(joining.shape[0])
        for column in joining:
            linear = -float(self._deep_sum[column]) * self._unit
            cost = float(self.programme.cost[column]) * self._unit + self.level.price * linear
            values = np.concatenate(
                (
                    self.box.rows[:, column] * self._scales,
                    [linear],
                    sign * self._rows[:, column] * self._unit,
                )
            )
            bounds = float(self.box.lower[column]), float(self.box.upper[column])
            self._model.addCol(cost, *bounds, index.shape[0], index, values)
        self.columns = np.concatenate((self.columns, joining))
        self._weight_places = np.concatenate((self._weight_places, places.astype(np.int32)))

    def _built(self) -> highspy.Highs:
        """The weights, the threshold, the programme's rows and the cap; no scenario yet."""
        box, columns, count = self.box, self.columns, self.columns.shape[0]
        inf = highspy.kHighsInf
        model = highspy.Highs()
        for option, value in (
            ("output_flag", False),
            ("threads", 1),
            ("presolve", "off"),
            ("solver", "simplex"),
            ("simplex_scale_strategy", 0),
            ("primal_feasibility_tolerance", 1e-9),
            ("dual_feasibility_tolerance", 1e-9),
        ):
            model.setOptionValue(option, value)
        linear = -self._deep_sum[columns] * self._unit
        model.addVars(count + 1, np.append(box.lower[columns], -inf), np.append(box.upper[columns], inf))
        cost = self.programme.cost[columns] * self._unit + self.level.price * linear
        index = self._weight_places
        both = np.arange(count + 1, dtype=np.int32)
        model.changeColsCost(count + 1, both, np.append(cost, self.level.price * self._room))
        for row, lower, upper, scale in zip(
            box.rows, box.row_lower, box.row_upper, self._scales, strict=True
        ):
            model.addRow(lower * scale, upper * scale, count, index, row[columns] * scale)
        cap = self.level.cap * self._unit if np.isfinite(self.level.cap) else inf
        model.addRow(-inf, cap, count + 1, both, np.append(linear, self._room))
        return model

    def _append_rows(self, joining: Indices, paying_back: npt.NDArray[np.bool_], rows: Floats) -> None:
        """A variable and a row for each scenario, `rows` (M, N) its returns."""
        model, size, count = self._model, joining.shape[0], self.columns.shape[0]
        first = model.getNumCol()
        most = self.tail.density[joining]
        inf = highspy.kHighsInf
        cap_row = self.box.rows.shape[0]
        model.addCols(
            size,
            self.level.price * most,
            np.zeros(size),
            np.full(size, inf),
            size,
            np.arange(size, dtype=np.int32),
            np.full(size, cap_row, dtype=np.int32),
            most,
        )
        sign = np.where(paying_back, -1.0, 1.0)
        values = np.empty((size, count + 2))
        values[:, :count] = rows[:, self.columns] * (sign * self._unit)[:, None]
        values[:, count] = sign
        values[:, count + 1] = 1.0
        places = np.empty((size, count + 2), dtype=np.int32)
        places[:, :count] = self._weight_places
        places[:, count] = self._threshold_place
        places[:, count + 1] = first + np.arange(size)
        model.addRows(
            size,
            np.zeros(size),
            np.full(size, inf),
            values.size,
            np.arange(0, values.size, count + 2, dtype=np.int32),
            places.ravel(),
            values.ravel(),
        )

    def _basis(self, near: Floats, losses: Floats) -> highspy.HighsBasis | None:
        """The basis that `near` names: its weights off their bounds, the scenarios nearest to the VaR."""
        box, columns, band = self.box, self.columns, self.band
        lower, upper = box.lower[columns], box.upper[columns]
        width = upper - lower
        at_low = (near[columns] - lower) <= INTERIOR * width
        off = ~(at_low | ((upper - near[columns]) <= INTERIOR * width))
        values = box.rows @ near
        low_side = np.isfinite(box.row_lower) & (np.abs(values - box.row_lower) * self._scales < ACTIVE)
        high_side = np.isfinite(box.row_upper) & (np.abs(values - box.row_upper) * self._scales < ACTIVE)
        violated = (values < box.row_lower) | (values > box.row_upper)
        active = low_side | high_side | violated
        capped = bool(np.isfinite(self.level.cap))
        undecided = int(off.sum()) + 1 - int(active.sum()) - int(capped)
        if not 0 <= undecided <= band.shape[0]:
            return None
        distance = losses[band] - self._value_at_risk(losses)
        tied = np.zeros(band.shape[0], bool)
        tied[np.argsort(np.abs(distance), kind="stable")[:undecided]] = True
        above = (distance > 0.0) & ~tied
        basis = highspy.HighsBasis()
        basis.col_status = [
            Status.kBasic if free else (Status.kLower if low else Status.kUpper)
            for free, low in zip(off.tolist(), at_low.tolist(), strict=True)
        ] + [Status.kBasic, *(Status.kBasic if up else Status.kLower for up in above.tolist())]
        basis.row_status = [
            *(
                Status.kBasic if not bound else (Status.kLower if low or value < least else Status.kUpper)
                for bound, low, value, least in zip(active, low_side, values, box.row_lower, strict=True)
            ),
            Status.kUpper if capped else Status.kBasic,
            *(Status.kLower if held else Status.kBasic for held in (above | tied).tolist()),
        ]
        return basis

    def _value_at_risk(self, losses: Floats) -> float:
        order, tail = self.tail.ranked(losses, 1)
        return float(losses[order[min(tail, order.shape[0] - 1)]])

    def _bound(self, weights: Floats, duals: Floats) -> Vertex | None:
        """What the multipliers of the vertex prove about the whole programme, by Lagrange.

        Scenario weights that sum to one bound CVaR by a plane below it; the rows and the cap, at their
        multipliers, join the objective; what is left is linear in each weight on its own.
        """
        box, level = self.box, self.level
        few = box.rows.shape[0]
        cap_dual = max(-float(duals[few]), 0.0) if np.isfinite(level.cap) else 0.0
        lean = level.price + cap_dual
        most = self.tail.density[self.band]
        share = np.clip(duals[few + 1 :] / max(lean, 1e-300), 0.0, most)
        summed_now = float(most[self.paying_back].sum())
        filled = self.tail.filled(
            np.where(self.paying_back, most - share, share), self.band, self._room + summed_now
        )
        if filled is None:
            return None
        plane = -self._deep_sum - np.where(self.paying_back, filled - most, filled) @ self._rows
        row_duals = duals[:few] * self._scales / self._unit
        known = np.where(row_duals > 0.0, box.row_lower, box.row_upper)
        row_duals = np.where(np.isfinite(known), row_duals, 0.0)
        reduced = self.programme.cost + lean * plane - row_duals @ box.rows
        value = float(row_duals @ np.where(row_duals != 0.0, known, 0.0))
        value += float(np.minimum(reduced * box.lower, reduced * box.upper).sum())
        value -= cap_dual * level.cap if cap_dual else 0.0
        return Vertex(weights, value, row_duals, reduced, np.array([cap_dual]))
