"""Time-series momentum: hold what has risen over a look-back, sized so that its risk stays level."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.features.indicators import CAPACITY, MOMENTS, WINDOW, rolling_mean_std, rolling_sum
from qtm.strategies.contract import step_strategy


class Params(NamedTuple):
    """Look-back and rebalancing period in bars, volatility wanted per bar, and the target when falling."""

    lookback: int = 480
    every: int = 60
    volatility: float = 0.0006
    falling: float = 0.0


@step_strategy(
    name="momentum",
    summary="Long after a rise over `lookback` bars, weight scaled to a level volatility.",
    params=Params,
    bounds={"lookback": (2, CAPACITY), "every": (1, 100_000), "volatility": (1e-6, 1), "falling": (-1, 0)},
    state={"returns": MOMENTS, "growth": WINDOW, "close": "f8", "bars": "i8"},
    warmup=lambda params: params.lookback + 1,
)
def strategy(params: Any, state: Any, bar: Any, account: Any) -> float:
    """Decide every `every` bars only: turnover is what kills this strategy."""
    previous = state.close
    state.close = bar.close
    state.bars += 1
    if previous == 0.0:
        return np.nan
    change = np.log(bar.close / previous)
    _, deviation = rolling_mean_std(state.returns, change, params.lookback)
    grown = rolling_sum(state.growth, change, params.lookback)
    if state.bars <= params.lookback or state.bars % params.every != 0:
        return np.nan
    weight = min(1.0, params.volatility / deviation) if deviation > 0.0 else 0.0
    # Whole twentieths: a change of weight too small to matter is no change and costs nothing.
    return float(np.rint(weight * 20.0) / 20.0 * (1.0 if grown > 0.0 else params.falling))
