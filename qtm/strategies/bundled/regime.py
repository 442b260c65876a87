"""Regime switch: follow the trend in calm markets, stand aside in turbulent ones."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.features.indicators import EMA, ema
from qtm.strategies.contract import step_strategy


class Params(NamedTuple):
    """Lengths of the trend averages and of the short and long variance averages, and how calm is calm."""

    fast: int = 240
    slow: int = 1_440
    now: int = 120
    usual: int = 5_760
    calm: float = 1.2


@step_strategy(
    name="regime",
    summary="Exponential trend, traded only while recent variance is near its long-run level.",
    params=Params,
    bounds={
        "fast": (1, 100_000),
        "slow": (2, 100_000),
        "now": (2, 100_000),
        "usual": (2, 100_000),
        "calm": (0.1, 10),
    },
    state={"fast": EMA, "slow": EMA, "now": EMA, "usual": EMA, "close": "f8"},
    warmup=lambda params: max(params.slow, params.usual) + 1,
)
def strategy(params: Any, state: Any, bar: Any, account: Any) -> float:
    """Long when fast is above slow and variance is calm, else flat."""
    previous = state.close
    state.close = bar.close
    if previous == 0.0:
        return np.nan
    squared = np.log(bar.close / previous) ** 2
    now, usual = ema(state.now, squared, params.now), ema(state.usual, squared, params.usual)
    fast, slow = ema(state.fast, bar.close, params.fast), ema(state.slow, bar.close, params.slow)
    if np.isnan(usual) or np.isnan(slow) or np.isnan(fast) or np.isnan(now):
        return np.nan
    return 1.0 if fast > slow and now <= params.calm * usual else 0.0
