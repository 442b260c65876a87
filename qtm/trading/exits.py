"""Protective exits: what a plan arms, how a trail follows, and where the venue's grid puts their levels.

The engines keep these fields in their own records and the stream in an `EXITS` record; the functions are the
same, so a stop lies at the same tick in every run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.compiled import either_way
from qtm.trading.costs import price_of

STOP, TAKE_PROFIT, TRAIL = 1, 2, 3
"""Why an exit was made; the engines number their other causes around these."""

EXIT_FIELDS = [
    ("stop", "f8"),
    ("take_profit", "f8"),
    ("trail", "f8"),
    ("trail_level", "f8"),
    ("armed", "?"),
    ("leaving", "i8"),
]
"""The exits of one position: levels and trailing distance in quote currency, 0.0 for none.

`leaving` is the cause of an exit that is under way and has not closed the whole position yet.
"""

EXITS = np.dtype(EXIT_FIELDS, align=True)


@either_way
def take_over(exits: Any, plan: Any) -> None:
    """Take over the exits a step answered with; NaN leaves a level as it is."""
    if not np.isnan(plan.stop):
        exits.stop = plan.stop
    if not np.isnan(plan.take_profit):
        exits.take_profit = plan.take_profit
    if not np.isnan(plan.trail):
        exits.trail = plan.trail
        exits.trail_level = 0.0
    exits.armed = exits.stop > 0.0 or exits.take_profit > 0.0 or exits.trail > 0.0


@either_way
def disarm(exits: Any) -> None:
    """Forget all exits."""
    exits.stop = exits.take_profit = exits.trail = exits.trail_level = 0.0
    exits.armed = False
    exits.leaving = 0


@either_way
def trail_behind(exits: Any, qty: float, best: float) -> None:
    """Pull the trailing level along behind the best price of a closed bar (or the entry)."""
    if exits.trail <= 0.0 or qty == 0.0:
        return
    if qty > 0.0:
        exits.trail_level = max(exits.trail_level, best - exits.trail)
    else:
        level = best + exits.trail
        exits.trail_level = level if exits.trail_level <= 0.0 else min(exits.trail_level, level)


@either_way
def nearest_stop(exits: Any, qty: float, tick_size: float) -> tuple[float, int]:
    """The stop that is hit first, on the venue's grid, and its cause; level 0.0 for none."""
    level, cause = exits.stop, STOP
    trailed = exits.trail_level
    if trailed > 0.0 and (level <= 0.0 or (trailed > level if qty > 0.0 else trailed < level)):
        level, cause = trailed, TRAIL
    return (further(level, qty, tick_size) if level > 0.0 else 0.0), cause


@either_way
def profit_level(exits: Any, qty: float, tick_size: float) -> float:
    """Price of the resting order that takes the profit, on the venue's grid; 0.0 for none."""
    return further(exits.take_profit, -qty, tick_size) if exits.take_profit > 0.0 else 0.0


@either_way
def further(level: float, qty: float, tick_size: float) -> float:
    """`level` on the tick below it for a long `qty`, on the tick above it for a short one."""
    ticks = np.floor(level / tick_size + 1e-9) if qty > 0.0 else np.ceil(level / tick_size - 1e-9)
    return price_of(ticks, tick_size)
