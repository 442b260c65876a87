"""What a sizing rule needs to know, measured from closed bars: volatility, range, mean and tail."""

from __future__ import annotations

import math

import numpy as np

from qtm.risk.measures import Floats, historical_cvar
from qtm.risk.sizing import SizingView
from qtm.risk.volatility import ewma_volatility

RANGE_BARS = 14
"""Bars of the average true range (Wilder 1978), here a plain mean."""

LEAST_RETURNS = 30
"""Fewer returns than this measure nothing; every figure is then unknown."""

TAIL_LEVEL = 0.975


def view_of_bars(
    highs: Floats,
    lows: Floats,
    closes: Floats,
    *,
    equity: float,
    peak_equity: float = math.nan,
    stop_price: float = math.nan,
    slippage: float = 0.0,
) -> SizingView:
    """The view at the last close, from bars of one symbol, each of shape (T,), oldest first.

    Volatility is the EWMA (0.94) deviation expected for the next bar, the mean and its deviation are over all
    bars, the CVaR of one unit is historical at 97.5 %; all for one bar. Too few bars give NaN, which sizes
    nothing.
    """
    known = SizingView(equity, float(closes[-1]), peak_equity, stop_price, slippage)
    if closes.shape[0] <= LEAST_RETURNS:
        return known
    returns = closes[1:] / closes[:-1] - 1.0
    before = closes[:-1]
    ranges = np.maximum(highs[1:], before) - np.minimum(lows[1:], before)
    _, expected = ewma_volatility(returns[:, None], 0.94)
    return known._replace(
        atr=float(ranges[-RANGE_BARS:].mean()),
        volatility=float(expected[0]),
        mean=float(returns.mean()),
        deviation=float(returns.std(ddof=1)),
        observations=float(returns.shape[0]),
        unit_cvar=historical_cvar(returns, TAIL_LEVEL),
    )
