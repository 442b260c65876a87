"""Squeeze: after the bands have narrowed, trade the break with a stop at the mean and a fixed reward."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.features.indicators import CAPACITY, EXTREME, MOMENTS, bollinger, rolling_min
from qtm.strategies.contract import step_strategy
from qtm.trading.plan import KEEP, Plan


class Params(NamedTuple):
    """Band length and width, bars to compare the width with, how narrow is narrow, and reward over risk."""

    window: int = 120
    width: float = 2.0
    memory: int = 960
    narrow: float = 1.3
    reward: float = 3.0


@step_strategy(
    name="squeeze",
    summary="Breaks out of narrow Bollinger bands; stop at the mean, take-profit at `reward` times the risk.",
    params=Params,
    bounds={
        "window": (2, CAPACITY),
        "width": (0.5, 5),
        "memory": (2, CAPACITY),
        "narrow": (1, 10),
        "reward": (0.5, 20),
    },
    state={"prices": MOMENTS, "widths": EXTREME, "bars": "i8"},
    warmup=lambda params: params.window + params.memory,
)
def strategy(params: Any, state: Any, bar: Any, account: Any) -> Plan:
    """Leave the position to its exits; ask again only when flat."""
    lower, mean, upper = bollinger(state.prices, bar.close, params.window, params.width)
    state.bars += 1
    if np.isnan(mean):
        return KEEP
    narrowest = rolling_min(state.widths, upper - lower, params.memory)
    if state.bars < params.window + params.memory or account.qty * bar.close >= 0.01 * account.equity:
        return KEEP
    risk = bar.close - mean
    if bar.close > upper and risk > 0.0 and upper - lower <= params.narrow * narrowest:
        return Plan(1.0, mean, bar.close + params.reward * risk, 0.0)
    return Plan(0.0)
