"""Expected returns: the sample mean, and the shrunk means a sane allocation uses.

Sample means of crypto returns are mostly noise over any window a desk uses, and a maximiser buys the noise.
Jorion's estimator (1986) pulls them towards the mean of the minimum-variance portfolio, James and Stein's
(1961) towards their average, the more so the less the sample tells them apart.
"""

from __future__ import annotations

import itertools

import numpy as np

from qtm.errors import RiskError
from qtm.portfolio.covariance import require_finite
from qtm.risk.measures import Floats


def bayes_stein_mean(returns: Floats) -> Floats:
    """Bayes-Stein expected returns (Jorion 1986), shape (N,).

    Parameters
    ----------
    returns
        Shape (T, N) with T > N + 2; a singular covariance is handled by the pseudo-inverse.

    Raises
    ------
    RiskError
        If there are too few rows, or a return is missing or infinite.
    """
    require_finite(returns)
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


def james_stein_mean(returns: Floats) -> Floats:
    """James-Stein expected returns, shape (N,): the sample mean pulled towards its average.

    Correlated returns count as the `trace / largest eigenvalue` directions that their covariance has (Bock
    1975). With two or fewer the sample mean cannot be improved on and is returned, as for most sets of coins,
    which move as one. The share is kept between 0 and 1 (Baranchik's positive part).

    Parameters
    ----------
    returns
        Shape (T, N).

    Raises
    ------
    RiskError
        If a return is missing or infinite.
    """
    require_finite(returns)
    sample: Floats = returns.mean(axis=0)
    if returns.shape[1] == 1:
        return sample
    variances = np.linalg.eigvalsh(np.cov(returns, rowvar=False))
    away = sample - sample.mean()
    distance = returns.shape[0] * float(away @ away)
    if distance == 0.0:
        return sample
    share = min(max(float(variances.sum() - 2.0 * variances[-1]) / distance, 0.0), 1.0)
    shrunk: Floats = sample - share * away
    return shrunk


def funding_carry(funding: Floats, *, half_life: float = 30.0) -> Floats:
    """Expected return a day of holding perpetual futures long, from funding alone, shape (N,).

    The exponentially weighted mean of past daily funding, with the sign turned: a long pays a positive rate.

    Parameters
    ----------
    funding
        Sum of each day's funding rates, shape (D, N), oldest first.
    half_life
        Days after which a day counts half.
    """
    if not funding.shape[0] or not np.isfinite(funding).all():
        raise RiskError("carry needs finite funding rates", where=f"shape {funding.shape}")
    weights = np.exp2(-np.arange(funding.shape[0])[::-1] / half_life)
    carry: Floats = -(weights @ funding) / weights.sum()
    return carry


def after_funding(closes: Floats, funding: Floats) -> Floats:
    """Prices of perpetual futures whose returns are those of a long position after funding, shape (D, N).

    The first known price of each column is kept. A day's funding is paid on its close; NaN stays NaN, and
    what falls due while there is no price is paid with the next one.
    """
    adjusted = closes.copy()
    for column in range(closes.shape[1]):
        known = np.flatnonzero(np.isfinite(closes[:, column]))
        due = np.concatenate((np.zeros(1), np.cumsum(funding[:, column])))
        for before, now in itertools.pairwise(known):
            move = closes[now, column] / closes[before, column] - (due[now + 1] - due[before + 1])
            adjusted[now, column] = adjusted[before, column] * max(move, 1e-6)
    return adjusted
