"""One Sharpe ratio corrected for its length, its tails and the number of trials it was picked from.

Every Sharpe ratio here is per period (not annualised) unless a name says otherwise; kurtosis is raw (the
normal has 3). Sources: Bailey and Lopez de Prado, "The Sharpe ratio efficient frontier" (2012) and "The
deflated Sharpe ratio" (2014); Bailey, Borwein, Lopez de Prado and Zhu, "Pseudo-mathematics and financial
charlatanism" (2014).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from qtm.backtest.overfitting.observations import checked_returns
from qtm.errors import RiskError

EULER_MASCHERONI: Final = 0.5772156649015329
_FLAT: Final = 1e-14
"""A spread this small beside the largest return is rounding, not risk."""


@dataclass(frozen=True, slots=True)
class SharpeSample:
    """What the Sharpe statistics need to know of a series of returns.

    Attributes
    ----------
    ratio
        Mean over standard deviation (n - 1), per period.
    observations
        Number of returns T.
    skewness, kurtosis
        Third and fourth standardised moments (n); the normal has 0 and 3.
    """

    ratio: float
    observations: int
    skewness: float = 0.0
    kurtosis: float = 3.0

    def __post_init__(self) -> None:
        numbers = (self.ratio, self.skewness, self.kurtosis)
        if not all(math.isfinite(number) for number in numbers):
            raise RiskError("a Sharpe sample must be finite", where=str(numbers))
        if self.observations < 2:
            raise RiskError("a Sharpe ratio needs at least two returns", where=f"T={self.observations}")
        if self.kurtosis < 1.0 + self.skewness**2 - 1e-9:
            raise RiskError(
                "no distribution has this skewness and kurtosis",
                where=f"skewness {self.skewness:g}, kurtosis {self.kurtosis:g}",
                remedy="give raw kurtosis (3 for the normal), not excess",
            )

    @property
    def variance(self) -> float:
        """Variance of the estimated ratio times T - 1 (Mertens 2002): 1 - g3 SR + (g4 - 1)/4 SR^2."""
        return 1.0 - self.skewness * self.ratio + (self.kurtosis - 1.0) / 4.0 * self.ratio**2

    def annual(self, periods_per_year: float) -> float:
        """The ratio per year."""
        return self.ratio * math.sqrt(periods_per_year)


def sharpe_sample(returns: npt.ArrayLike) -> SharpeSample:
    """Measure a series of returns of shape (T,).

    Raises
    ------
    RiskError
        If there are fewer than four returns, one is NaN or infinite, or all are the same.
    """
    values = checked_returns(returns, at_least=4, purpose="a Sharpe ratio")
    centred = values - values.mean()
    second = float((centred**2).mean())
    if math.sqrt(second) <= _FLAT * float(np.abs(values).max()):
        raise RiskError(
            "a Sharpe ratio needs returns that vary, these are all the same",
            where=f"{values.shape[0]} returns of {values[0]:g}",
            remedy="check that the strategy trades at all in this window",
        )
    deviation = math.sqrt(second * values.shape[0] / (values.shape[0] - 1))
    return SharpeSample(
        ratio=float(values.mean()) / deviation,
        observations=values.shape[0],
        skewness=float((centred**3).mean()) / second**1.5,
        kurtosis=float((centred**4).mean()) / second**2,
    )


def probabilistic_sharpe_ratio(sample: SharpeSample, benchmark: float = 0.0) -> float:
    """Probability that the true Sharpe ratio exceeds `benchmark` (PSR), in [0, 1]; both per period."""
    distance = (sample.ratio - benchmark) * math.sqrt(sample.observations - 1)
    return float(ndtr(distance / math.sqrt(sample.variance)))


def expected_maximum(trials: int) -> float:
    """Expected largest of `trials` independent standard normal draws, in standard deviations.

    (1 - g) Zinv(1 - 1/N) + g Zinv(1 - 1/(N e)); 0 for one trial, where nothing was selected.

    Raises
    ------
    RiskError
        If `trials` is below one.
    """
    if trials < 1:
        raise RiskError("the number of trials starts at one", where=f"trials={trials}")
    if trials == 1:
        return 0.0
    first = float(ndtri(1.0 - 1.0 / trials))
    second = float(ndtri(1.0 - 1.0 / (trials * math.e)))
    return (1.0 - EULER_MASCHERONI) * first + EULER_MASCHERONI * second


def expected_maximum_sharpe(trials: int, variance: float) -> float:
    """The Sharpe ratio per period that the best of `trials` skill-less strategies shows by luck.

    Parameters
    ----------
    trials
        How many were tried.
    variance
        Variance across trials of their Sharpe ratios per period.

    Raises
    ------
    RiskError
        If `trials` is below one, or `variance` is negative or not finite.
    """
    if not (math.isfinite(variance) and variance >= 0.0):
        raise RiskError("the variance of the trials' Sharpe ratios must be zero or more", where=f"{variance}")
    return math.sqrt(variance) * expected_maximum(trials)


def deflated_sharpe_ratio(sample: SharpeSample, trials: int, variance: float) -> float:
    """Probability that the true Sharpe ratio exceeds what luck gives the best of `trials` (DSR).

    `trials` and `variance` (of the Sharpe ratios per period) come from the trial registry, not from memory.
    """
    return probabilistic_sharpe_ratio(sample, expected_maximum_sharpe(trials, variance))


def minimum_track_record_length(
    sample: SharpeSample, benchmark: float = 0.0, confidence: float = 0.95
) -> float:
    """How many returns are needed for PSR(benchmark) >= confidence (MinTRL); infinite if never.

    1 + [1 - g3 SR + (g4 - 1)/4 SR^2] (Zinv(confidence) / (SR - benchmark))^2, in periods.
    """
    if not 0.5 < confidence < 1.0:
        raise RiskError("the confidence must lie inside (0.5, 1)", where=f"{confidence}", remedy="use 0.95")
    if sample.ratio <= benchmark:
        return math.inf
    return 1.0 + sample.variance * (float(ndtri(confidence)) / (sample.ratio - benchmark)) ** 2


def minimum_backtest_length(trials: int, annual_sharpe: float) -> float:
    """Years below which the best of `trials` reaches `annual_sharpe` by luck alone (MinBTL).

    (E[max of N] / SR)^2, at most 2 ln N / SR^2.
    """
    if not annual_sharpe > 0.0:
        raise RiskError("the target Sharpe ratio must be positive", where=f"{annual_sharpe}")
    return (expected_maximum(trials) / annual_sharpe) ** 2
