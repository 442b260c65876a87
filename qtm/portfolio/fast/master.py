"""Small linear programmes kept warm in HiGHS: the cut master, and the bound that scenario weights prove."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import highspy
import numpy as np

from qtm.errors import RiskError
from qtm.portfolio.fast.shape import Polytope, TailProgramme
from qtm.risk.measures import Floats

_SCALE = 1000.0
"""CVaR is of the order of 0.02; unscaled, HiGHS's feasibility tolerance alone would be a gap of 5e-6."""


class NoVertex(Exception):  # noqa: N818 - an outcome the caller turns into "infeasible"
    """No point satisfies the rows, bounds and caps."""


class Vertex(NamedTuple):
    """A minimiser, its value, and the duals of rows, bounds and CVaR caps."""

    point: Floats
    value: float
    row_duals: Floats
    bound_duals: Floats
    cap_duals: Floats


class CutProgramme:
    """The programme with cuts `z >= gradient @ w` in place of each level's CVaR z; simplex keeps it warm."""

    def __init__(self, programme: TailProgramme) -> None:
        box = programme.polytope
        self._size, self._symbols = box.lower.shape[0], programme.symbols
        self._levels = len(programme.levels)
        self._model = _model(box, row_scales(box))
        inf = highspy.kHighsInf
        for level in programme.levels:
            self._model.addVar(-inf, level.cap * _SCALE if np.isfinite(level.cap) else inf)
        prices = np.array([level.price / _SCALE for level in programme.levels])
        self.reprice(np.concatenate((programme.cost, prices)))
        self._index = np.arange(self._symbols + 1, dtype=np.int32)

    def reprice(self, cost: Floats) -> None:
        """Set the cost of the point and of the levels' CVaRs (scaled as they are inside)."""
        unit = max(float(np.abs(cost).max()), 1e-300)
        index = np.arange(cost.shape[0], dtype=np.int32)
        self._model.changeColsCost(cost.shape[0], index, cost / unit)
        self._cost = cost

    def cap(self, level: int, cap: float) -> None:
        """Change the cap on a level's CVaR."""
        upper = cap * _SCALE if np.isfinite(cap) else highspy.kHighsInf
        self._model.changeColBounds(self._size + level, -highspy.kHighsInf, upper)

    def cut(self, level: int, gradient: Floats) -> None:
        """Add a cut; CVaR is positively homogeneous, so it has no constant."""
        index = self._index.copy()
        index[-1] = self._size + level
        row = np.append(-gradient * _SCALE, 1.0)
        self._model.addRow(0.0, highspy.kHighsInf, index.shape[0], index, row)

    def solve(self) -> tuple[Floats, float]:
        """The optimal point, which may break the programme, and its value, a lower bound of it.

        Raises
        ------
        NoVertex
            If even the cuts leave no point.
        RiskError
            If HiGHS gives up.
        """
        values = np.array(run_model(self._model).col_value)
        return values[: self._size], float(self._cost @ values)


def proven_bound(programme: TailProgramme, gradients: Sequence[Floats]) -> Vertex:
    """The bound on the optimum that a plane below each level's CVaR, `gradients` (N,), proves.

    Raises
    ------
    NoVertex
        If the planes leave no point inside the caps, which proves that nothing is.
    RiskError
        If HiGHS gives up.
    """
    box, count = programme.polytope, programme.symbols
    cost = programme.cost.copy()
    capped = [k for k, level in enumerate(programme.levels) if np.isfinite(level.cap)]
    for level, gradient in zip(programme.levels, gradients, strict=True):
        cost[:count] += level.price * gradient
    planes = np.zeros((len(capped), box.lower.shape[0]))
    for row, k in enumerate(capped):
        planes[row, :count] = gradients[k]
    tight = replace(
        box,
        rows=np.vstack((box.rows, planes)),
        row_lower=np.concatenate((box.row_lower, np.full(len(capped), -np.inf))),
        row_upper=np.concatenate((box.row_upper, [programme.levels[k].cap for k in capped])),
    )
    scales = row_scales(tight)
    model = _model(tight, scales)
    unit = max(float(np.abs(cost).max()), 1e-300)
    model.changeColsCost(cost.shape[0], np.arange(cost.shape[0], dtype=np.int32), cost / unit)
    solution = run_model(model)
    point = np.array(solution.col_value)
    duals = np.array(solution.row_dual)[: scales.shape[0]] * scales * unit
    cap_duals = np.zeros(len(programme.levels))
    cap_duals[capped] = np.abs(duals[box.rows.shape[0] :])
    value = float(cost @ point)
    return Vertex(point, value, duals[: box.rows.shape[0]], np.array(solution.col_dual) * unit, cap_duals)


def best_point(polytope: Polytope, cost: Floats) -> Floats:
    """The point of `polytope` of least `cost @ x`.

    Raises
    ------
    NoVertex
        If the polytope is empty.
    RiskError
        If HiGHS gives up.
    """
    model = _model(polytope, row_scales(polytope))
    scale = 1.0 / max(float(np.abs(cost).max()), 1e-300)
    model.changeColsCost(cost.shape[0], np.arange(cost.shape[0], dtype=np.int32), cost * scale)
    return np.array(run_model(model).col_value)


def row_scales(polytope: Polytope) -> Floats:
    """Factor that brings the largest coefficient of each row to one."""
    largest = np.abs(polytope.rows).max(axis=1)
    return 1.0 / np.where(largest > 0.0, largest, 1.0)


def _model(polytope: Polytope, scales: Floats) -> highspy.Highs:
    """The polytope in HiGHS: its rows first, then the two rows of every distance."""
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    model.setOptionValue("threads", 1)
    model.setOptionValue("presolve", "off")
    model.setOptionValue("solver", "simplex")
    model.setOptionValue("primal_feasibility_tolerance", 1e-9)
    model.setOptionValue("dual_feasibility_tolerance", 1e-9)
    size = polytope.lower.shape[0]
    model.addVars(size, polytope.lower, polytope.upper)
    index = np.arange(size, dtype=np.int32)
    for row, lower, upper, scale in zip(
        polytope.rows, polytope.row_lower, polytope.row_upper, scales, strict=True
    ):
        model.addRow(lower * scale, upper * scale, size, index, row * scale)
    for block, centre in enumerate(polytope.centres, start=1):
        count = centre.shape[0]
        starts = np.arange(0, 2 * count, 2, dtype=np.int32)
        columns = np.empty(2 * count, dtype=np.int32)
        columns[::2], columns[1::2] = index[:count], index[block * count : (block + 1) * count]
        endless = np.full(count, highspy.kHighsInf)
        for sign in (-1.0, 1.0):
            values = np.ones(2 * count)
            values[::2] = sign
            model.addRows(count, sign * centre, endless, 2 * count, starts, columns, values)
    return model


def run_model(model: highspy.Highs) -> highspy.HighsSolution:
    """Solve; NoVertex when it is infeasible, RiskError when HiGHS gives up."""
    model.run()
    status = model.getModelStatus()
    if status == highspy.HighsModelStatus.kUnknown:  # rounding stopped a warm basis short: start afresh
        model.clearSolver()
        model.run()
        status = model.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        raise NoVertex
    if status != highspy.HighsModelStatus.kOptimal:
        raise RiskError("a linear programme of the fast path failed", where=str(status))
    solution: highspy.HighsSolution = model.getSolution()
    return solution
