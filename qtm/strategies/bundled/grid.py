"""Grid: a ladder of resting buys below the first price; each one filled is sold a step higher."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.strategies.order_contract import order_strategy
from qtm.trading.desk import BUY, FILL, SELL, is_open, open_lots, post_only

MOST_LEVELS = 60


class Params(NamedTuple):
    """Number of levels, distance between them in basis points of the first price, quote currency a level."""

    levels: int = 10
    step: float = 100.0
    value: float = 1_000.0


@order_strategy(
    name="grid",
    summary="A ladder of post-only buys, each sold one step higher.",
    params=Params,
    bounds={"levels": (1, MOST_LEVELS), "step": (1.0, 2_000.0), "value": (1.0, 1e9)},
    state={
        "first_ticks": "i8",
        "order": ("i8", (MOST_LEVELS,)),
        "bought": ("i8", (MOST_LEVELS,)),
    },
    wakes=("bar", "fill"),
    period_ms=60_000.0,
)
def strategy(params: Any, state: Any, event: Any, account: Any, desk: Any) -> None:
    """Book a fill to its level, then let every level without an order buy, or sell what it has bought."""
    if event.kind == FILL:
        for level in range(params.levels):
            if state.order[level] == event.handle:
                state.bought[level] += event.side * event.lots
    if desk.bid_ticks == 0 or desk.ask_ticks == 0:
        return
    if state.first_ticks == 0:
        state.first_ticks = desk.last_ticks
    for level in range(params.levels):
        if is_open(desk, state.order[level]):
            continue
        buy_at = int(np.floor(state.first_ticks * (1.0 - 1e-4 * params.step * (level + 1))))
        sell_at = int(np.ceil(state.first_ticks * (1.0 - 1e-4 * params.step * level)))
        if buy_at <= 0:
            continue
        # A fee in base leaves a little less than was bought, so a sell takes no more than is free.
        sells = min(state.bought[level], account.lots - open_lots(desk, SELL))
        if sells > 0:
            state.order[level] = post_only(desk, SELL, sells, max(sell_at, desk.bid_ticks + 1))
        elif buy_at < desk.ask_ticks:
            state.bought[level] = 0
            lots = int(params.value / (buy_at * desk.tick_size * desk.step_size))
            state.order[level] = post_only(desk, BUY, lots, buy_at)
