"""Basis carry: long spot against short perpetual of the same coin, to be paid the funding.

Both legs have the same size, so the price drops out and what is left is funding less costs. A rising price
drains the margin account while it enriches spot: `rebalance` moves the cash back before it can be liquidated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from qtm.errors import StrategyError
from qtm.market.bars import Bar
from qtm.strategies.python_contract import Context, python_strategy


class Params(NamedTuple):
    """Size of the hedge, premium to enter and leave at, bars averaged, and the margin that must be there.

    `size` is the spot leg as a share of equity, the rest is margin. The premium of the perpetual over spot,
    averaged over `window` bars, drives funding: the position is taken above `enter` and given up below
    `leave` (fractions of the price). `margin` is the least margin equity over the short's value.
    """

    size: float = 0.6
    window: int = 72
    enter: float = 0.0002
    leave: float = -0.0002
    margin: float = 0.3


@python_strategy(
    name="basis-carry",
    summary="Long spot, short perpetual of the same coin while its premium promises funding.",
    params=Params,
    bounds={
        "size": (0.1, 0.9),
        "window": (1, 10_000),
        "enter": (-0.1, 0.1),
        "leave": (-0.1, 0.1),
        "margin": (0.05, 1),
    },
    warmup=lambda params: params.window,
    symbols=2,
    markets=("spot", "um"),
)
class BasisCarry:
    """In the trade or out of it; money follows the legs."""

    def __init__(self, params: Any) -> None:
        self.params = params
        self.invested = False

    def on_start(self, context: Context) -> None:
        """Know the legs: one on spot, one perpetual."""
        names = {name.partition(":")[0]: name for name in context.symbols}
        if set(names) != {"spot", "um"}:
            raise StrategyError(
                "the legs must be on spot and on um",
                where=", ".join(context.symbols),
                remedy="name spot:BTCUSDT and um:BTCUSDT",
            )
        self.spot, self.perpetual = names["spot"], names["um"]

    def on_bar(self, context: Context, bars: Mapping[str, Bar]) -> None:
        """Enter and leave by the averaged premium; keep the margin account alive in between."""
        if len(bars) < 2:
            return
        length = self.params.window
        spot, perpetual = context.history(self.spot, length), context.history(self.perpetual, length)
        if min(spot.size, perpetual.size) < length:
            return
        premium = float(np.mean(perpetual / spot - 1.0))
        if not self.invested and premium > self.params.enter:
            self.invested = True
            self._set(context, self.params.size)
        elif self.invested and premium < self.params.leave:
            self.invested = False
            self._set(context, 0.0)
        elif self.invested and self._is_strained(context):
            self._set(context, self.params.size)

    def _is_strained(self, context: Context) -> bool:
        short = -context.weight(self.perpetual) * context.equity
        return short > 0.0 and context.cash("um") < self.params.margin * short

    def _set(self, context: Context, size: float) -> None:
        """Put the cash where the legs will need it, as far as it is free, and size both legs."""
        wanted = size * context.equity
        held = context.weight(self.spot) * context.equity
        surplus = context.cash("spot") + held - wanted * 1.02
        if surplus > 0.0:
            context.transfer("um", min(surplus, context.cash("spot")))
        elif size > 0.0 and context.position(self.perpetual) == 0.0:
            context.transfer("spot", min(-surplus, context.cash("um")))
        context.rebalance(self.spot, size)
        context.rebalance(self.perpetual, -size)


strategy = BasisCarry
