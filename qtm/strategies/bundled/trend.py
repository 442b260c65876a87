"""Trend following: hold while the fast moving average stands above the slow one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.features.indicators import CAPACITY, WINDOW, rolling_sum
from qtm.strategies.contract import step_strategy


class Params(NamedTuple):
    """Window lengths in bars, and the target when the trend is down (0 = flat, -1 = short)."""

    fast: int = 20
    slow: int = 50
    below: float = 0.0


@step_strategy(
    name="trend",
    summary="Moving-average cross: long while the fast average is above the slow one.",
    params=Params,
    bounds={"fast": (1, CAPACITY), "slow": (2, CAPACITY), "below": (-1, 0)},
    state={"fast": WINDOW, "slow": WINDOW},
    warmup=lambda params: max(params.fast, params.slow),
)
def strategy(params: Any, state: Any, bar: Any, account: Any) -> float:
    """Compare the two averages exactly: both are sums of whole ticks, so a tie is a tie."""
    fast = rolling_sum(state.fast, bar.close_ticks, params.fast)
    slow = rolling_sum(state.slow, bar.close_ticks, params.slow)
    if state.fast.count < params.fast or state.slow.count < params.slow:
        return np.nan
    return 1.0 if fast * params.slow > slow * params.fast else params.below
