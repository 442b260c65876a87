"""The minimum-variance benchmark: shrunk covariance, long only, capped weights."""

from __future__ import annotations

import clarabel
import numpy as np
from scipy import sparse

from qtm.errors import RiskError
from qtm.risk.measures import Floats


def shrunk_covariance(returns: Floats) -> Floats:
    """Ledoit and Wolf's covariance (2004), shrunk towards a multiple of the identity, shape (N, N).

    Parameters
    ----------
    returns
        Shape (T, N).
    """
    observations, count = returns.shape
    centred = returns - returns.mean(axis=0)
    sample = centred.T @ centred / observations
    average = float(np.trace(sample)) / count
    target: Floats = average * np.eye(count)
    distance = float(((sample - target) ** 2).sum())
    if distance == 0.0:
        return target
    squares = float(((centred**2).sum(axis=1) ** 2).sum()) / observations
    noise = (squares - float((sample**2).sum())) / observations
    share = min(max(noise / distance, 0.0), 1.0)
    shrunk: Floats = (1.0 - share) * sample + share * target
    return shrunk


def minimum_variance(returns: Floats, max_weight: float) -> Floats:
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
    covariance = shrunk_covariance(returns)
    quadratic = sparse.csc_matrix(np.triu(covariance / max(float(np.trace(covariance)), 1e-300) * count))
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
