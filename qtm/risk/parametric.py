"""Parametric VaR and CVaR: normal, Student t and Cornish-Fisher, from moments instead of scenarios.

`mean` and `deviation` are those of the return over the horizon of interest; results are positive losses in
the same unit. Tail expectations are closed forms (McNeil, Frey and Embrechts, "Quantitative Risk Management",
ch. 2; Boudt, Peterson and Croux 2008 for Cornish-Fisher).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln, ndtri, stdtrit

from qtm.errors import RiskError
from qtm.risk.measures import Floats, tail_count

LARGEST_QUANTILE = 4.0


@dataclass(frozen=True, slots=True)
class Moments:
    """Sample moments of a return series; `excess_kurtosis` is zero for a normal distribution."""

    mean: float
    deviation: float
    skewness: float
    excess_kurtosis: float

    @classmethod
    def of(cls, returns: Floats) -> Moments:
        """Population moments of `returns`, shape (T,)."""
        mean = float(returns.mean())
        centred = returns - mean
        variance = float(np.mean(centred**2))
        if variance == 0.0:
            return cls(mean, 0.0, 0.0, 0.0)
        return cls(
            mean=mean,
            deviation=math.sqrt(variance),
            skewness=float(np.mean(centred**3)) / variance**1.5,
            excess_kurtosis=float(np.mean(centred**4)) / variance**2 - 3.0,
        )


def normal_var(mean: float, deviation: float, alpha: float) -> float:
    """VaR of a normal return: -mean + z deviation."""
    tail_count(1, alpha)
    return -mean + float(ndtri(alpha)) * deviation


def normal_cvar(mean: float, deviation: float, alpha: float) -> float:
    """CVaR of a normal return: -mean + deviation phi(z) / (1 - alpha)."""
    return -mean + deviation * normal_tail_multiplier(alpha)


def normal_tail_multiplier(alpha: float) -> float:
    """CVaR of a standard normal loss, phi(z) / (1 - alpha)."""
    tail_count(1, alpha)
    return _density(float(ndtri(alpha))) / (1.0 - alpha)


def student_t_var(mean: float, deviation: float, freedom: float, alpha: float) -> float:
    """VaR of a Student t return with the given mean, standard deviation and degrees of freedom (> 2)."""
    tail_count(1, alpha)
    return -mean + _t_scale(deviation, freedom) * float(stdtrit(freedom, alpha))


def student_t_cvar(mean: float, deviation: float, freedom: float, alpha: float) -> float:
    """CVaR of a Student t return with the given mean, standard deviation and degrees of freedom (> 2)."""
    return -mean + _t_scale(deviation, freedom) * student_t_tail_multiplier(freedom, alpha)


def student_t_tail_multiplier(freedom: float, alpha: float) -> float:
    """CVaR of an unscaled Student t loss: t(q) (nu + q^2) / ((nu - 1) (1 - alpha))."""
    tail_count(1, alpha)
    if freedom <= 1.0:
        raise RiskError("a Student t tail mean needs more than one degree of freedom", where=f"nu={freedom}")
    quantile = float(stdtrit(freedom, alpha))
    density = math.exp(
        gammaln((freedom + 1) / 2)
        - gammaln(freedom / 2)
        - 0.5 * math.log(freedom * math.pi)
        - (freedom + 1) / 2 * math.log1p(quantile**2 / freedom)
    )
    return density * (freedom + quantile**2) / ((freedom - 1) * (1 - alpha))


def student_t_freedom(returns: Floats) -> float:
    """Degrees of freedom by maximum likelihood, with mean and deviation held at the sample's.

    Searched over 2.05 to 200 (200 is as good as normal) on a logarithmic grid refined twice.
    """
    moments = Moments.of(returns)
    if moments.deviation == 0.0:
        raise RiskError("a constant series has no tail to fit", remedy="drop the series or widen the window")
    standard = (returns - moments.mean) / moments.deviation
    low, high = math.log(2.05), math.log(200.0)
    best = low
    for _ in range(3):
        grid = np.linspace(low, high, 41)
        likelihood = [_t_log_likelihood(standard, math.exp(point)) for point in grid]
        best = float(grid[int(np.argmax(likelihood))])
        step = float(grid[1] - grid[0])
        low, high = max(best - step, math.log(2.05)), min(best + step, math.log(200.0))
    return math.exp(best)


def cornish_fisher_is_monotone(moments: Moments) -> bool:
    """Whether the Cornish-Fisher quantile rises with the confidence level, for normal quantiles up to 4.

    Its slope in the normal quantile z is a parabola (Maillard 2012 gives the domain for every z; past 4, one
    day in eighty years, nothing is read off it here).
    """
    skewness, kurtosis = moments.skewness, moments.excess_kurtosis
    square, linear = kurtosis / 8 - skewness**2 / 6, skewness / 3
    constant = 1 - kurtosis / 8 + 5 * skewness**2 / 36
    points = [-LARGEST_QUANTILE, LARGEST_QUANTILE]
    if square > 0.0 and abs(linear) < 2 * square * LARGEST_QUANTILE:
        points.append(-linear / (2 * square))
    return all(square * z**2 + linear * z + constant >= 0.0 for z in points)


def cornish_fisher_var(moments: Moments, alpha: float) -> float:
    """VaR with the Cornish-Fisher quantile (the "modified VaR" of R's PerformanceAnalytics).

    Raises
    ------
    RiskError
        Where skewness and kurtosis make the expansion non-monotone: a quantile that falls with confidence is
        no quantile.
    """
    _require_monotone(moments)
    tail_count(1, alpha)
    z = float(ndtri(1 - alpha))
    return -(moments.mean + moments.deviation * _expansion(moments, z, z**2, z**3))


def cornish_fisher_cvar(moments: Moments, alpha: float) -> float:
    """Mean loss beyond the Cornish-Fisher VaR: the expansion averaged over the normal tail.

    Raises
    ------
    RiskError
        As `cornish_fisher_var`.
    """
    _require_monotone(moments)
    z = float(ndtri(1 - alpha))
    first = -normal_tail_multiplier(alpha)
    second = 1 + z * first
    third = (z**2 + 2) * first
    return -(moments.mean + moments.deviation * _expansion(moments, first, second, third))


def _expansion(moments: Moments, first: float, second: float, third: float) -> float:
    skewness, kurtosis = moments.skewness, moments.excess_kurtosis
    return (
        first
        + (second - 1) * skewness / 6
        + (third - 3 * first) * kurtosis / 24
        - (2 * third - 5 * first) * skewness**2 / 36
    )


def _require_monotone(moments: Moments) -> None:
    if not cornish_fisher_is_monotone(moments):
        raise RiskError(
            "the Cornish-Fisher expansion is not monotone for these moments",
            where=f"skewness {moments.skewness:.3f}, excess kurtosis {moments.excess_kurtosis:.3f}",
            remedy="use the historical or Student t measure",
        )


def _density(z: float) -> float:
    return math.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def _t_scale(deviation: float, freedom: float) -> float:
    if freedom <= 2.0:
        raise RiskError("a Student t deviation needs more than two degrees of freedom", where=f"nu={freedom}")
    return deviation * math.sqrt((freedom - 2) / freedom)


def _t_log_likelihood(standard: Floats, freedom: float) -> float:
    scale_squared = (freedom - 2) / freedom
    constant = (
        gammaln((freedom + 1) / 2) - gammaln(freedom / 2) - 0.5 * math.log(freedom * math.pi * scale_squared)
    )
    tails = np.log1p(standard**2 / (freedom * scale_squared)).sum()
    return float(standard.shape[0] * constant - (freedom + 1) / 2 * tails)
