"""What a sizing rule needs to know, measured from closed bars: volatility, range, mean and tail."""

from __future__ import annotations

import math

import numpy as np

from qtm.compiled import compiled, either_way
from qtm.risk.measures import Floats, tail_split
from qtm.risk.sizing import SizingView

RANGE_BARS = 14
"""Bars of the average true range (Wilder 1978), here a plain mean."""

LEAST_RETURNS = 30
"""Fewer returns than this measure nothing; every figure is then unknown."""

TAIL_LEVEL = 0.975

either_way(tail_split)  # declared here: the measures are also used where no compiler is loaded

DECAY = 0.94
"""Weight of the variance before in that expected for the next bar (RiskMetrics 1996)."""


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
    scratch = scratch_for(closes.shape[0])
    scratch[0], scratch[1], scratch[2] = highs, lows, closes
    atr, volatility, mean, deviation, observations, unit_cvar = measured(scratch, 0)
    return SizingView(
        equity, float(closes[-1]), peak_equity, stop_price, slippage,
        atr, volatility, mean, deviation, observations, unit_cvar,
    )  # fmt: skip


def scratch_for(window: int) -> Floats:
    """Room to measure `window` bars in: highs, lows, closes and the worst returns, shape (4, window).

    Compiled code has it from outside, because the engines' loops allocate nothing.
    """
    return np.empty((4, window))


@compiled
def measured(scratch: Floats, first: int) -> tuple[float, float, float, float, float, float]:
    """The figures of `SizingView` from `atr` on, in its order; all NaN for too few bars.

    The bars are the columns of `scratch` from `first` on, oldest first.
    """
    stop = scratch.shape[1]
    count = stop - first - 1
    if count < LEAST_RETURNS:
        return np.nan, np.nan, np.nan, np.nan, np.nan, np.nan
    whole, share = tail_split(count, TAIL_LEVEL)
    total = squares = 0.0
    kept = 0
    for at in range(first + 1, stop):
        value = scratch[2, at] / scratch[2, at - 1] - 1.0
        total += value
        squares += value * value
        if kept <= whole or value < scratch[3, kept - 1]:  # one of the worst: sort it in
            place = kept if kept <= whole else kept - 1
            kept = min(kept + 1, whole + 1)
            while place > 0 and scratch[3, place - 1] > value:
                scratch[3, place] = scratch[3, place - 1]
                place -= 1
            scratch[3, place] = value
    mean, squares = total / count, squares / count
    spread, span = 0.0, 0.0
    expected = squares  # as qtm.risk.volatility.ewma_volatility: from the sample's on, with the same floor
    for at in range(first + 1, stop):
        value = scratch[2, at] / scratch[2, at - 1] - 1.0
        spread += (value - mean) ** 2
        expected = max(DECAY * expected + (1.0 - DECAY) * value * value, 1e-4 * squares)
        if at >= stop - RANGE_BARS:
            span += max(scratch[0, at], scratch[2, at - 1]) - min(scratch[1, at], scratch[2, at - 1])
    tail = share * scratch[3, whole]
    for at in range(whole):
        tail += scratch[3, at]
    return (
        span / RANGE_BARS, np.sqrt(expected), mean, np.sqrt(spread / (count - 1)), float(count),
        -tail / (whole + share),
    )  # fmt: skip
