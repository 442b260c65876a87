"""CDaR inside a programme, and the plane below it that proves an answer.

CDaR is the CVaR of the drawdowns along the scenario path (Chekhlov, Uryasev and Zabarankin 2005), convex and
positively homogeneous like CVaR, so any valid weights of its days bound it from below by a linear function.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cvxpy as cp
import numpy as np

from qtm.portfolio.problem import DrawdownCap
from qtm.risk.measures import Floats


@dataclass(frozen=True, slots=True)
class DrawdownTail:
    """CDaR of the running sum of portfolio returns: its expression and what defines it.

    `paths` (T, N) are each symbol's running sums; `peak_rows` hold the peak above the path, `excess_rows` the
    excess above the drawdown less the threshold.
    """

    expression: Any
    side: tuple[Any, ...]
    paths: Floats
    peak_rows: Any
    excess_rows: Any
    most: float

    @classmethod
    def of(cls, scenarios: Floats, weights: cp.Variable, cap: DrawdownCap) -> DrawdownTail:
        """The drawdowns of `weights` on the path of `scenarios` (T, N), at the cap's level."""
        count = scenarios.shape[0]
        paths = np.cumsum(scenarios, axis=0)
        path = paths @ weights
        peak, excess = cp.Variable(count, nonneg=True), cp.Variable(count, nonneg=True)
        threshold = cp.Variable()
        peak_rows, excess_rows = peak >= path, excess >= peak - path - threshold
        most = 1.0 / ((1.0 - cap.alpha) * count)
        return cls(
            expression=threshold + most * cp.sum(excess),
            side=(peak_rows, peak[1:] >= peak[:-1], excess_rows),
            paths=paths,
            peak_rows=peak_rows,
            excess_rows=excess_rows,
            most=most,
        )

    def gradient(self) -> Floats | None:
        """A plane through zero that lies below CDaR everywhere, from the solution's duals, shape (N,).

        Days weigh at most `most` and sum to one. A peak is at least the path at any day before it, so each
        day's weight may be set against the paths of days up to it: their own weights, summed up to a day,
        must cover those of the days summed up to it. None where the constraint does not bind.
        """
        days = np.maximum(np.asarray(self.excess_rows.dual_value, dtype=np.float64), 0.0)
        peaks = np.maximum(np.asarray(self.peak_rows.dual_value, dtype=np.float64), 0.0)
        lean = float(days.sum())
        if lean < 1e-12:
            return None
        days, peaks = np.minimum(days / lean, self.most), peaks / lean
        room = np.maximum(self.most - days, 0.0)
        days = days + (1.0 - float(days.sum())) * room / max(float(room.sum()), 1e-300)
        at_start = max(1.0 - float(peaks.sum()), 0.0)  # set against the start, where the path is zero
        covered = np.minimum(np.maximum(at_start + np.cumsum(peaks), np.cumsum(days)), float(days.sum()))
        reached = np.diff(covered, prepend=at_start)
        plane: Floats = (np.maximum(reached, 0.0) - days) @ self.paths
        return plane
