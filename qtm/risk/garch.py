"""GARCH(1,1) volatility: fit, one-step and horizon forecasts, and filtered historical scenarios under it.

Returns are simple fractional returns per period; a deviation for period t uses only returns before t once the
model is fitted. Sources: Bollerslev (1986), estimated with `arch`; Barone-Adesi, Giannopoulos and Vosper
(1999) for the filter.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Final

import numpy as np

from qtm.compiled import compiled
from qtm.errors import RiskError
from qtm.risk.measures import Floats

LEAST_RETURNS: Final = 100
"""Fewest returns a fit is tried on."""


@dataclass(frozen=True, slots=True)
class Garch:
    """A GARCH(1,1): variance_t = omega + alpha (return_(t-1) - mean)^2 + beta variance_(t-1)."""

    mean: float
    omega: float
    alpha: float
    beta: float

    @property
    def persistence(self) -> float:
        """How much of a shock to the variance is left after one period."""
        return self.alpha + self.beta

    @property
    def long_run_deviation(self) -> float:
        """Deviation the forecasts return to; infinite at persistence one."""
        if self.persistence >= 1.0:
            return math.inf
        return math.sqrt(self.omega / (1.0 - self.persistence))

    def deviations(self, returns: Floats) -> Floats:
        """Deviation forecast for each period and for the one after the last, shape (T + 1,).

        The recursion starts from the mean square of `returns` around the fitted mean.
        """
        _checked(returns, 2)
        shocks = returns - self.mean
        return np.sqrt(_variances(shocks, self.omega, self.alpha, self.beta, float(np.mean(shocks**2))))

    def ahead(self, deviation: float, periods: int) -> float:
        """Deviation of the sum of the next `periods` returns, given the forecast for the first of them."""
        if periods < 1:
            raise RiskError("a horizon has at least one period", where=f"periods={periods}")
        variance, total = deviation**2, 0.0
        for _ in range(periods):
            total += variance
            variance = self.omega + self.persistence * variance
        return math.sqrt(total)

    def filtered(self, returns: Floats) -> Floats:
        """Returns of shape (T,) rescaled from each period's expected volatility to the next one's."""
        deviations = self.deviations(returns)
        rescaled: Floats = self.mean + deviations[-1] * (returns - self.mean) / deviations[:-1]
        return rescaled


def fit_garch(returns: Floats) -> Garch:
    """Estimate a GARCH(1,1) with constant mean by normal quasi-maximum likelihood.

    Parameters
    ----------
    returns
        Shape (T,), at least 100 finite returns.

    Raises
    ------
    RiskError
        If the series is too short or constant, the optimiser does not converge, or the fitted variance
        explodes (persistence above one).
    """
    _checked(returns, LEAST_RETURNS)
    if returns.min() == returns.max():
        raise RiskError("a constant series has no volatility to fit", remedy="drop the series")
    scale = float(returns.std())
    from arch import arch_model  # costs most of a second to import

    model = arch_model(returns / scale, mean="Constant", vol="GARCH", p=1, q=1, dist="normal", rescale=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence is checked below and raised, not warned of
        fit = model.fit(disp="off", show_warning=False)
    found = Garch(
        mean=float(fit.params["mu"]) * scale,
        omega=float(fit.params["omega"]) * scale**2,
        alpha=float(fit.params["alpha[1]"]),
        beta=float(fit.params["beta[1]"]),
    )
    if fit.convergence_flag != 0 or not found.persistence <= 1.0 + 1e-6 or not found.omega >= 0.0:
        raise RiskError(
            "GARCH(1,1) does not fit this series",
            where=f"optimiser flag {fit.convergence_flag}, persistence {found.persistence:.4f}",
            remedy="use exponentially weighted volatility, or a longer window",
        )
    return found


def garch_filtered_returns(returns: Floats) -> Floats:
    """Filtered historical scenarios with a GARCH(1,1) fitted to each column of `returns`, shape (T, N).

    Rows stay together, so that the dependence between columns is the historical one.

    Raises
    ------
    RiskError
        As `fit_garch`, naming the column.
    """
    rescaled = np.empty_like(returns)
    for column in range(returns.shape[1]):
        series = np.ascontiguousarray(returns[:, column])
        try:
            rescaled[:, column] = fit_garch(series).filtered(series)
        except RiskError as error:
            raise RiskError(
                error.what, where=f"column {column}; {error.where}", remedy=error.remedy
            ) from None
    return rescaled


@compiled
def _variances(shocks: Floats, omega: float, alpha: float, beta: float, first: float) -> Floats:
    variances = np.empty(shocks.shape[0] + 1)
    variances[0] = first
    for t in range(shocks.shape[0]):
        variances[t + 1] = omega + alpha * shocks[t] ** 2 + beta * variances[t]
    return variances


def _checked(returns: Floats, least: int) -> None:
    if returns.ndim != 1 or returns.shape[0] < least:
        raise RiskError(
            f"a volatility model needs at least {least} returns",
            where=f"shape {returns.shape}",
            remedy="widen the window",
        )
    if not np.isfinite(returns).all():
        raise RiskError(
            "a volatility model was given a missing or infinite return",
            where=f"position {int(np.flatnonzero(~np.isfinite(returns))[0])}",
            remedy="drop or repair the value; risk never guesses it",
        )
