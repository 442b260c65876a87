"""Covariances: the sample's, and two that are shrunk towards a multiple of the identity.

With N symbols and not many more days the sample covariance has directions of hardly any variance that are
noise, and a minimiser of variance walks into them. Shrinkage takes them away; only its intensity differs.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from qtm.errors import RiskError
from qtm.risk.measures import Floats


class CovarianceModel(StrEnum):
    """How a covariance is estimated."""

    LEDOIT_WOLF = "ledoit-wolf"
    OAS = "oas"
    SAMPLE = "sample"


def covariance(returns: Floats, model: CovarianceModel) -> Floats:
    """The covariance of `returns` (T, N) by `model`, divided by T, shape (N, N).

    Ledoit and Wolf (2004) estimate the best intensity for any distribution; the oracle approximating
    shrinkage of Chen, Wiesel, Eldar and Hero (2010) takes the returns for normal and is the better of the two
    where they are and T is small.

    Raises
    ------
    RiskError
        If a return is missing or infinite.
    """
    require_finite(returns)
    centred = returns - returns.mean(axis=0)
    sample: Floats = centred.T @ centred / returns.shape[0]
    match model:
        case CovarianceModel.LEDOIT_WOLF:
            share = _ledoit_wolf_intensity(centred, sample)
        case CovarianceModel.OAS:
            share = _oas_intensity(returns.shape[0], sample)
        case CovarianceModel.SAMPLE:
            return sample
    return (1.0 - share) * sample + share * _spherical(sample)


def require_finite(returns: Floats) -> None:
    """Refuse returns (T, N) with a hole.

    Raises
    ------
    RiskError
        If a return is missing or infinite, naming the first.
    """
    if not np.isfinite(returns).all():
        row, column = np.argwhere(~np.isfinite(returns))[0]
        raise RiskError(
            "a return is missing or infinite",
            where=f"column {column}, row {row}",
            remedy="build scenarios with qtm.portfolio.scenarios, which says what it does with gaps",
        )


def _spherical(sample: Floats) -> Floats:
    """The same variance in every direction."""
    count = sample.shape[0]
    target: Floats = float(np.trace(sample)) / count * np.eye(count)
    return target


def _ledoit_wolf_intensity(centred: Floats, sample: Floats) -> float:
    distance = float(((sample - _spherical(sample)) ** 2).sum())
    if distance == 0.0:
        return 1.0
    observations = centred.shape[0]
    squares = float(((centred**2).sum(axis=1) ** 2).sum()) / observations
    noise = (squares - float((sample**2).sum())) / observations
    return float(min(max(noise / distance, 0.0), 1.0))


def _oas_intensity(observations: int, sample: Floats) -> float:
    count = sample.shape[0]
    energy = float((sample**2).mean())
    mean = float(np.trace(sample)) / count
    level = mean * mean
    off = (observations + 1) * (energy - level / count)
    return 1.0 if off <= 0.0 else float(min((energy + level) / off, 1.0))
