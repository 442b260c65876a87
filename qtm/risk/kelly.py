"""The Kelly bet: how much of it to take, what that keeps of the growth, and how far equity may ever fall."""

from __future__ import annotations

from typing import Final

import numpy as np

from qtm.errors import RiskError
from qtm.risk.measures import Floats
from qtm.risk.sizing import require_share

CAUTIOUS_KELLY: Final = 0.25
"""Default share of the Kelly bet: keeps 44 % of its growth; equity ever halves with probability 0.8 %."""


def kelly_weights(mean: Floats, covariance: Floats, share: float = CAUTIOUS_KELLY) -> Floats:
    """Signed fractional Kelly weights of several assets together, share * covariance^-1 mean, shape (N,).

    Raises
    ------
    RiskError
        If the covariance is not positive definite: the bet would be unbounded.
    """
    require_share("share", share)
    if covariance.shape != (mean.shape[0], mean.shape[0]):
        raise RiskError("mean and covariance do not fit", where=f"{mean.shape} and {covariance.shape}")
    try:
        np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise RiskError(
            "the covariance is not positive definite, so the Kelly bet is unbounded",
            where=f"{mean.shape[0]} assets",
            remedy="shrink the covariance or drop duplicated assets",
        ) from None
    weights: Floats = share * np.linalg.solve(covariance, mean).astype(np.float64)
    return weights


def kelly_growth_kept(share: float) -> float:
    """Share of the Kelly growth rate that a fractional bet keeps: 2c - c^2."""
    return 2.0 * share - share**2


def kelly_fall_probability(level: float, share: float) -> float:
    """Probability that equity ever falls to `level` of today's, betting `share` of Kelly: x^(2/c - 1)."""
    require_share("share", share)
    require_share("level", level)
    return float(level ** (2.0 / share - 1.0))
