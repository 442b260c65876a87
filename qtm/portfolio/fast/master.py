"""Small linear programmes over the polytope, kept warm in HiGHS: the cut master and the vertex search."""

from __future__ import annotations

from typing import NamedTuple

import highspy
import numpy as np

from qtm.errors import RiskError
from qtm.portfolio.fast.shape import Polytope
from qtm.risk.measures import Floats

_SCALE = 1000.0
"""Cuts are of the order of 0.02; unscaled, HiGHS's feasibility tolerance alone would be a gap of 5e-6."""


class NoVertex(Exception):  # noqa: N818 - an outcome the caller turns into "infeasible"
    """The polytope is empty."""


class Vertex(NamedTuple):
    """A minimiser of a linear function over the polytope, its value, and the duals of rows and bounds."""

    weights: Floats
    value: float
    row_duals: Floats
    weight_duals: Floats


def _model(polytope: Polytope) -> highspy.Highs:
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    model.setOptionValue("threads", 1)
    model.setOptionValue("presolve", "off")
    model.setOptionValue("solver", "simplex")
    model.setOptionValue("primal_feasibility_tolerance", 1e-9)
    model.setOptionValue("dual_feasibility_tolerance", 1e-9)
    count = polytope.lower.shape[0]
    model.addVars(count, polytope.lower, polytope.upper)
    index = np.arange(count, dtype=np.int32)
    for row, lower, upper, scale in zip(
        polytope.rows, polytope.row_lower, polytope.row_upper, row_scales(polytope), strict=True
    ):
        model.addRow(lower * scale, upper * scale, count, index, row * scale)
    return model


def row_scales(polytope: Polytope) -> Floats:
    """Factor that brings the largest coefficient of each row to one."""
    largest = np.abs(polytope.rows).max(axis=1)
    return 1.0 / np.where(largest > 0.0, largest, 1.0)


def best_vertex(polytope: Polytope, cost: Floats) -> Vertex:
    """Minimise `cost @ w` over the polytope.

    Raises
    ------
    NoVertex
        If the polytope is empty.
    RiskError
        If HiGHS gives up.
    """
    count = cost.shape[0]
    scale = 1.0 / max(float(np.abs(cost).max()), 1e-300)
    model = _model(polytope)
    model.changeColsCost(count, np.arange(count, dtype=np.int32), cost * scale)
    solution = _run(model)
    weights = np.array(solution.col_value)
    return Vertex(
        weights,
        float(cost @ weights),
        np.array(solution.row_dual) * row_scales(polytope) / scale,
        np.array(solution.col_dual) / scale,
    )


class CutMaster:
    """Minimise eta over the polytope under cuts `eta >= gradient @ w`; dual simplex keeps it warm."""

    def __init__(self, polytope: Polytope) -> None:
        self._count = polytope.lower.shape[0]
        self._model = _model(polytope)
        self._model.addVar(-highspy.kHighsInf, highspy.kHighsInf)
        self._model.changeColCost(self._count, 1.0)
        self._index = np.arange(self._count + 1, dtype=np.int32)

    def cut(self, gradient: Floats) -> None:
        """Add a cut; CVaR is positively homogeneous, so it has no constant."""
        row = np.append(-gradient * _SCALE, 1.0)
        self._model.addRow(0.0, highspy.kHighsInf, self._count + 1, self._index, row)

    def solve(self) -> tuple[Floats, float]:
        """The master's portfolio, and a lower bound of the CVaR."""
        values = np.array(_run(self._model).col_value)
        return values[: self._count], float(values[self._count]) / _SCALE


def _run(model: highspy.Highs) -> highspy.HighsSolution:
    model.run()
    status = model.getModelStatus()
    if status == highspy.HighsModelStatus.kInfeasible:
        raise NoVertex
    if status != highspy.HighsModelStatus.kOptimal:
        raise RiskError("a linear programme of the fast path failed", where=str(status))
    solution: highspy.HighsSolution = model.getSolution()
    return solution
