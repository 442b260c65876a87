"""Breakout: enter beyond the highest or lowest price of a channel, leave by a stop that trails by range."""

from __future__ import annotations

from typing import Any, NamedTuple

from qtm.features.indicators import ATR, CAPACITY, EXTREME, atr, rolling_max, rolling_min
from qtm.strategies.contract import step_strategy
from qtm.trading.plan import KEEP, Plan

_HELD = 0.01
"""Share of equity from which on a position counts as one."""


class Params(NamedTuple):
    """Channel length in bars, range length in bars, stop distance in average ranges, and the short target."""

    channel: int = 240
    ranges: int = 60
    width: float = 6.0
    short: float = 0.0


@step_strategy(
    name="breakout",
    summary="Donchian breakout with a trailing stop of `width` average true ranges.",
    params=Params,
    bounds={"channel": (2, CAPACITY), "ranges": (2, CAPACITY), "width": (0.5, 50), "short": (-1, 0)},
    state={"top": EXTREME, "bottom": EXTREME, "range": ATR, "highest": "f8", "lowest": "f8", "bars": "i8"},
    warmup=lambda params: max(params.channel, params.ranges) + 1,
)
def strategy(params: Any, state: Any, bar: Any, account: Any) -> Plan:
    """Compare the close with the channel of the bars before it, so a bar cannot break its own high."""
    highest, lowest = state.highest, state.lowest
    state.highest = rolling_max(state.top, bar.high, params.channel)
    state.lowest = rolling_min(state.bottom, bar.low, params.channel)
    reach = atr(state.range, bar.high, bar.low, bar.close, params.ranges)
    state.bars += 1
    if state.bars <= max(params.channel, params.ranges):
        return KEEP
    # What commission leaves below a lot is no position.
    held = account.qty * bar.close / account.equity if account.equity > 0.0 else 0.0
    if bar.close > highest and held < _HELD:
        return Plan(1.0, 0.0, 0.0, params.width * reach)
    if bar.close < lowest and held > -_HELD:
        return Plan(params.short, 0.0, 0.0, params.width * reach)
    return KEEP
