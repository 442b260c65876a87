"""Expected returns: the sample mean, and the shrunk mean a sane allocation uses.

Sample means of crypto returns are mostly noise over any window a desk uses, and a maximiser buys the noise.
Jorion's estimator (1986) pulls them towards the mean of the minimum-variance portfolio, the more so the less
the sample tells them apart.
"""

from __future__ import annotations

import numpy as np

from qtm.errors import RiskError
from qtm.risk.measures import Floats


def bayes_stein_mean(returns: Floats) -> Floats:
    """Bayes-Stein expected returns (Jorion 1986), shape (N,).

    Parameters
    ----------
    returns
        Shape (T, N) with T > N + 2; a singular covariance is handled by the pseudo-inverse.
    """
    observations, count = returns.shape
    sample: Floats = returns.mean(axis=0)
    if count == 1:
        return sample
    if observations <= count + 2:
        raise RiskError(
            "too few returns to shrink expected returns",
            where=f"{observations} rows for {count} symbols",
            remedy="widen the window",
        )
    scatter = np.cov(returns, rowvar=False) * (observations - 1) / (observations - count - 2)
    inverse = np.linalg.pinv(scatter, hermitian=True)
    row_sums = inverse.sum(axis=0)
    total = float(row_sums.sum())
    target = float(row_sums @ sample) / total if total > 0.0 else float(sample.mean())
    away = sample - target
    distance = float(away @ inverse @ away)
    shrinkage = (count + 2) / (count + 2 + observations * distance)
    shrunk: Floats = (1 - shrinkage) * sample + shrinkage * target
    return shrunk
