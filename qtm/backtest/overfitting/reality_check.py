"""Whether the best of many trials beats a benchmark once the search for it is paid for.

White, "A reality check for data snooping" (2000), and Hansen, "A test for superior predictive ability"
(2005). With d_k(t) the excess return of trial k over the benchmark, the null is that no mean is positive. How
well the best does under the null comes from a stationary bootstrap of all trials together.

Hansen's test is written here and not taken from `arch`: in `arch` 8.0 `SPA(studentize=True)` estimates the
variances but never divides by them, so one volatile trial can hide a good quiet one. The block length comes
from `arch`, and trials of equal variance are checked against it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qtm.backtest.overfitting.bootstrap import block_length, bootstrap_means, long_run_variance
from qtm.backtest.overfitting.observations import Floats, checked_returns, checked_trials
from qtm.errors import RiskError

_MIN_ROWS = 20
_MIN_RESAMPLES = 100


@dataclass(frozen=True, slots=True)
class SuperiorAbility:
    """The outcome of both tests; p-values in [0, 1], small means better than luck.

    Attributes
    ----------
    reality_check
        White's p-value (unstudentised, every trial counts as relevant).
    lower, consistent, upper
        Hansen's three p-values; `consistent` is the one to use.
    best
        Column with the largest studentised mean; `statistic` is that mean.
    block_length, resamples
        Mean block of the bootstrap in rows, and how many resamples.
    """

    reality_check: float
    lower: float
    consistent: float
    upper: float
    best: int
    statistic: float
    block_length: int
    resamples: int


def excess_returns(returns: npt.ArrayLike, benchmark: npt.ArrayLike | None) -> Floats:
    """Trial returns (T, N) minus the benchmark's (T,); no benchmark means cash that earns nothing."""
    values = checked_trials(returns, at_least=_MIN_ROWS, purpose="the reality check")
    if benchmark is None:
        return values
    against = checked_returns(benchmark, at_least=_MIN_ROWS, purpose="the benchmark")
    if against.shape[0] != values.shape[0]:
        raise RiskError(
            "benchmark and trials must cover the same periods",
            where=f"{against.shape[0]} and {values.shape[0]} rows",
        )
    return values - against[:, None]


def superior_ability(
    returns: npt.ArrayLike,
    benchmark: npt.ArrayLike | None = None,
    *,
    resamples: int = 2000,
    mean_block: int | None = None,
    seed: int = 7,
) -> SuperiorAbility:
    """Test the best of N trials against a benchmark.

    Parameters
    ----------
    returns
        Net returns per period of every trial tried, shape (T, N).
    benchmark
        Shape (T,); None for cash.
    resamples
        Bootstrap resamples B.
    mean_block
        Mean block length in periods; None lets `block_length` choose.
    seed
        Of the bootstrap; the same seed gives the same p-values.

    Raises
    ------
    RiskError
        If a return is missing, there are fewer than 20 periods, two trials or 100 resamples, the block does
        not fit, or no trial ever differs from the benchmark.
    """
    if resamples < _MIN_RESAMPLES:
        raise RiskError(f"at least {_MIN_RESAMPLES} resamples are needed", where=f"resamples={resamples}")
    excess = excess_returns(returns, benchmark)
    columns = np.flatnonzero(np.ptp(excess, axis=0) > 0.0)
    if columns.size == 0:
        raise RiskError("no trial ever differs from the benchmark", remedy="sweep strategies that trade")
    differs = excess[:, columns]
    rows = differs.shape[0]
    if mean_block is not None and not 1 <= mean_block <= rows:
        raise RiskError("the mean block must lie between 1 and T", where=f"mean_block={mean_block}, T={rows}")
    block = mean_block or block_length(differs)
    mean = differs.mean(axis=0)
    deviation = np.sqrt(np.maximum(long_run_variance(differs, block), 1e-300))
    centred = bootstrap_means(differs, length=block, resamples=resamples, seed=seed) - mean
    scaled = np.sqrt(rows) * mean / deviation
    noise = np.sqrt(rows) * centred / deviation
    threshold = -np.sqrt(2.0 * np.log(np.log(rows)))
    statistic = float(scaled.max())
    return SuperiorAbility(
        reality_check=_share_reaching(centred, float(mean.max())),
        lower=_share_reaching(noise + np.minimum(scaled, 0.0), statistic),
        consistent=_share_reaching(noise + np.where(scaled <= threshold, scaled, 0.0), statistic),
        upper=_share_reaching(noise, statistic),
        best=int(columns[scaled.argmax()]),
        statistic=statistic,
        block_length=int(block),
        resamples=resamples,
    )


def _share_reaching(simulated: Floats, observed: float) -> float:
    """Share of resamples whose best trial does at least as well as the observed best.

    Neither is below zero: keeping to the benchmark is always possible (Hansen 2005, eq. 8).
    """
    best = np.maximum(simulated.max(axis=1), 0.0)
    return float((best >= max(observed, 0.0)).mean())
