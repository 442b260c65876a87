"""Exponentially weighted volatility, the filter behind filtered historical simulation."""

from __future__ import annotations

import numpy as np

from qtm.errors import RiskError
from qtm.risk.measures import Floats


def ewma_volatility(returns: Floats, decay: float) -> tuple[Floats, Floats]:
    """Exponentially weighted volatility around a mean of zero, started at the sample's.

    Parameters
    ----------
    returns
        Shape (T, N).
    decay
        Weight of yesterday's variance, in (0, 1); 0.94 has a half-life of 11 bars.

    Returns
    -------
    tuple
        The volatility expected for each row before it was seen, shape (T, N), and for the row after the last,
        shape (N,). A column that never moved has volatility one, so that dividing by it changes nothing.
    """
    if not 0.0 < decay < 1.0:
        raise RiskError("the volatility decay must lie inside (0, 1)", where=f"decay={decay}")
    variance = np.mean(returns**2, axis=0)
    floor = 1e-4 * variance
    expected = np.empty_like(returns)
    for row, values in enumerate(returns):
        expected[row] = variance
        variance = np.maximum(decay * variance + (1.0 - decay) * values**2, floor)
    still = floor == 0.0
    expected[:, still] = 1.0
    return np.sqrt(expected), np.sqrt(np.where(still, 1.0, variance))


def filtered_returns(returns: Floats, decay: float = 0.94) -> Floats:
    """Returns of shape (T, N) or (T,), rescaled from each day's expected volatility to the next one's.

    Filtered historical simulation (Barone-Adesi, Giannopoulos and Vosper 1999): rows stay together, so that
    dependence across columns is the historical one.
    """
    table = returns if returns.ndim == 2 else returns[:, None]
    expected, following = ewma_volatility(table, decay)
    rescaled: Floats = table / expected * following
    return rescaled if returns.ndim == 2 else rescaled[:, 0]
