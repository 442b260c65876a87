"""The minimum-variance benchmark: shrunk covariance, long only, capped weights."""

from __future__ import annotations

import clarabel
import numpy as np
from scipy import sparse

from qtm.errors import RiskError
from qtm.portfolio.covariance import CovarianceModel, covariance
from qtm.risk.measures import Floats


def minimum_variance(
    returns: Floats, max_weight: float, model: CovarianceModel = CovarianceModel.LEDOIT_WOLF
) -> Floats:
    """Fully invested long-only weights of least variance, none above `max_weight`, shape (N,).

    Raises
    ------
    RiskError
        If the weights cannot sum to one under `max_weight`, or the solver fails.
    """
    count = returns.shape[1]
    if count * max_weight < 1.0 - 1e-12:
        raise RiskError(
            "the weights cannot sum to one", where=f"{count} symbols, none above {max_weight:.0%}"
        )
    estimate = covariance(returns, model)
    quadratic = sparse.csc_matrix(np.triu(estimate / max(float(np.trace(estimate)), 1e-300) * count))
    rows = sparse.vstack([np.ones((1, count)), -sparse.eye(count), sparse.eye(count)]).tocsc()
    bounds = np.concatenate(([1.0], np.zeros(count), np.full(count, max_weight)))
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    cones = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(2 * count)]
    solution = clarabel.DefaultSolver(quadratic, np.zeros(count), rows, bounds, cones, settings).solve()
    if str(solution.status) not in ("Solved", "AlmostSolved"):
        raise RiskError("the minimum-variance programme failed", where=str(solution.status))
    weights = np.clip(np.array(solution.x), 0.0, max_weight)
    normal: Floats = weights / weights.sum()
    return normal
