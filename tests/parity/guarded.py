"""A strategy that is always leaving: it enters every few bars with exits close by, and trails them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.strategies.contract import step_strategy
from qtm.trading.plan import KEEP, Plan


class Params(NamedTuple):
    """Bars between decisions, and distances of the exits as fractions of the close; 0 for none."""

    every: int = 7
    stop: float = 0.0
    take_profit: float = 0.0
    trail: float = 0.0
    out: int = 3


@step_strategy(
    name="guarded",
    summary="Enters every few bars with exits.",
    params=Params,
    bounds={"every": (2, 100), "stop": (0, 1), "take_profit": (0, 1), "trail": (0, 1), "out": (1, 100)},
    state={"bars": "i8", "entered": "i8"},
)
def strategy(params: Any, state: Any, bar: Any, account: Any) -> Plan:
    state.bars += 1
    if state.bars % params.every == 0:
        state.entered += 1
        # off the tick on purpose: the venue's grid is not the strategy's business
        stop = bar.close * (1.0 - params.stop) + 0.0037 if params.stop > 0.0 else 0.0
        profit = bar.close * (1.0 + params.take_profit) + 0.0041 if params.take_profit > 0.0 else 0.0
        return Plan(0.5 + 0.1 * (state.entered % 4), stop, profit, params.trail * bar.close)
    if state.bars % (params.every * params.out) == params.every + 2:
        return Plan(0.0)
    if state.bars % params.every == params.every // 2 and params.stop > 0.0:
        return Plan(np.nan, stop=bar.close * (1.0 - params.stop))
    return KEEP
