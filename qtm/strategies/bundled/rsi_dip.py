"""Buy the dip: in a rising market, buy at a low relative strength index, sell when it has recovered."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.features.indicators import CAPACITY, RSI, WINDOW, rolling_sum, rsi
from qtm.strategies.contract import step_strategy


class Params(NamedTuple):
    """Index length in bars, its levels for entry and exit, and the length of the trend filter."""

    length: int = 30
    entry: float = 25.0
    exit: float = 55.0
    trend: int = 960


@step_strategy(
    name="rsi-dip",
    summary="Buys a low relative strength index while the price is above its long average.",
    params=Params,
    bounds={"length": (2, 10_000), "entry": (1, 50), "exit": (30, 99), "trend": (2, CAPACITY)},
    state={"strength": RSI, "average": WINDOW},
    warmup=lambda params: max(params.length + 1, params.trend),
)
def strategy(params: Any, state: Any, bar: Any, account: Any) -> float:
    """Between the two levels the target stays as it is."""
    strength = rsi(state.strength, bar.close_ticks, params.length)
    total = rolling_sum(state.average, bar.close_ticks, params.trend)
    if np.isnan(strength) or state.average.count < params.trend:
        return np.nan
    if strength >= params.exit:
        return 0.0
    if strength <= params.entry and bar.close_ticks * params.trend > total:
        return 1.0
    return np.nan
