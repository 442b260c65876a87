"""Level risk: always invested, but less when the market is wild: the benchmark an idea has to beat."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.features.indicators import EMA, ema
from qtm.strategies.contract import step_strategy


class Params(NamedTuple):
    """Length of the variance average, volatility wanted per bar, and the smallest change of weight."""

    length: int = 2_880
    volatility: float = 0.0006
    slack: float = 0.1


@step_strategy(
    name="level-risk",
    summary="Holds with a weight inverse to volatility, rebalanced when it has moved by `slack`.",
    params=Params,
    bounds={"length": (2, 1_000_000), "volatility": (1e-6, 1), "slack": (0.01, 1)},
    state={"variance": EMA, "close": "f8", "weight": "f8"},
    warmup=lambda params: params.length + 1,
)
def strategy(params: Any, state: Any, bar: Any, account: Any) -> float:
    """Move the weight only when it is off by more than the slack: every wiggle traded costs."""
    previous = state.close
    state.close = bar.close
    if previous == 0.0:
        return np.nan
    variance = ema(state.variance, np.log(bar.close / previous) ** 2, params.length)
    if np.isnan(variance):
        return np.nan
    weight = min(1.0, params.volatility / np.sqrt(variance)) if variance > 0.0 else 1.0
    if abs(weight - state.weight) < params.slack:
        return np.nan
    state.weight = weight
    return weight
