"""One-day-ahead VaR and CVaR, rolled through history as they would have been published each evening."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qtm.errors import RiskError
from qtm.risk.measures import Floats, historical_cvar, historical_var
from qtm.risk.volatility import ewma_volatility


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Forecasts and what then happened, each of shape (D,); row i was known the evening before.

    `tails` holds the scenarios behind each forecast, shape (D, window), so that a back-test can draw from the
    model's own distribution.
    """

    returns: Floats
    var: Floats
    cvar: Floats
    tails: Floats
    alpha: float
    model: str

    def last(self, days: int) -> Forecasts:
        """The most recent `days` forecasts."""
        return Forecasts(
            self.returns[-days:],
            self.var[-days:],
            self.cvar[-days:],
            self.tails[-days:],
            self.alpha,
            self.model,
        )


def rolling_historical(returns: Floats, window: int, alpha: float) -> Forecasts:
    """VaR and CVaR of the last `window` returns, forecast for the day after each."""
    return _rolled(returns, window, alpha, "historical", np.ones_like(returns), np.ones_like(returns))


def rolling_filtered(returns: Floats, window: int, alpha: float, decay: float = 0.94) -> Forecasts:
    """The same with every return in the window rescaled to the volatility expected for the forecast day.

    Volatility is filtered forward only, and its start uses the first `window` returns, all of which precede
    the first forecast.
    """
    start = ewma_volatility(returns[:window, None], decay)[0]
    expected = np.concatenate((start[:, 0], np.empty(max(returns.shape[0] - window, 0))))
    variance = float(start[0, 0] ** 2)
    floor = 1e-4 * variance
    for row, value in enumerate(returns):
        expected[row] = np.sqrt(variance)
        variance = max(decay * variance + (1.0 - decay) * value**2, floor)
    if floor == 0.0:
        expected[:] = 1.0
    return _rolled(returns, window, alpha, f"filtered historical, EWMA {decay:g}", expected, expected)


def _rolled(
    returns: Floats, window: int, alpha: float, model: str, past_scale: Floats, day_scale: Floats
) -> Forecasts:
    days = returns.shape[0] - window
    if days < 1:
        raise RiskError(
            "too few returns to roll a forecast",
            where=f"{returns.shape[0]} returns, window {window}",
            remedy="shorten the window or ingest more days",
        )
    standard = returns / past_scale
    tails = np.lib.stride_tricks.sliding_window_view(standard, window)[:days] * day_scale[window:, None]
    var = np.array([historical_var(tail, alpha) for tail in tails])
    cvar = np.array([historical_cvar(tail, alpha) for tail in tails])
    return Forecasts(returns[window:], var, cvar, tails, alpha, model)
