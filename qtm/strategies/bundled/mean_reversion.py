"""Mean reversion: buy far below the rolling mean, leave when the price is back at it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.features.indicators import CAPACITY, MOMENTS, zscore
from qtm.strategies.contract import step_strategy


class Params(NamedTuple):
    """Window in bars; entry and exit as distances from the mean in standard deviations."""

    window: int = 240
    entry: float = 2.5
    exit: float = 0.0


@step_strategy(
    name="mean-reversion",
    summary="Bands: buy `entry` deviations below the mean, sell on the way back at `exit`.",
    params=Params,
    bounds={"window": (2, CAPACITY), "entry": (0.1, 10), "exit": (-5, 5)},
    state={"prices": MOMENTS},
    warmup=lambda params: params.window,
)
def strategy(params: Any, state: Any, bar: Any, account: Any) -> float:
    """Act only on crossing a band; between the bands the target stays as it is."""
    score = zscore(state.prices, bar.close_ticks, params.window)
    if score <= -params.entry:
        return 1.0
    if score >= -params.exit:
        return 0.0
    return np.nan
