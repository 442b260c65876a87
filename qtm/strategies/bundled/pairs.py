"""Pairs trading: the spread of two symbols, bought when low and sold when high against its own past.

Gatev, Goetzmann and Rouwenhorst, "Pairs Trading: Performance of a Relative-Value Arbitrage Rule", 2006; the
hedge ratio is the regression slope of one log price on the other over the window.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from qtm.market.bars import Bar
from qtm.strategies.python_contract import Context, python_strategy


class Params(NamedTuple):
    """Window of the spread in bars, deviations to enter, leave and give up at, and the size of both legs."""

    window: int = 240
    entry: float = 2.0
    leave: float = 0.5
    give_up: float = 4.0
    gross: float = 1.0


@python_strategy(
    name="pairs",
    summary="Mean reversion of the spread between two futures: long the cheap leg, short the dear one.",
    params=Params,
    bounds={
        "window": (20, 20_000),
        "entry": (0.5, 10),
        "leave": (0, 5),
        "give_up": (1, 20),
        "gross": (0.1, 4),
    },
    warmup=lambda params: params.window,
    symbols=2,
)
class Pairs:
    """Long the spread is +1, short is -1; after a spread that ran away it waits until the mean is crossed."""

    def __init__(self, params: Any) -> None:
        self.params = params
        self.side = 0
        self.barred = False

    def on_bar(self, context: Context, bars: Mapping[str, Bar]) -> None:
        """Measure the spread against its window and change sides."""
        first, second = context.symbols
        if first not in bars or second not in bars:
            return
        length = self.params.window
        one, other = np.log(context.history(first, length)), np.log(context.history(second, length))
        if one.size < length or other.size < length:
            return
        slope = float(np.cov(one, other, ddof=1)[0, 1] / max(float(other.var(ddof=1)), 1e-18))
        spread = one - slope * other
        deviation = float(spread.std(ddof=1))
        if deviation <= 0.0 or slope <= 0.0:
            self._take(context, 0, 1.0)
            return
        score = float(spread[-1] - spread.mean()) / deviation
        if self.barred and abs(score) < self.params.leave:
            self.barred = False
        side = self.side
        if side != 0 and (side * score > -self.params.leave or side * score < -self.params.give_up):
            self.barred = side * score < -self.params.give_up
            side = 0
        if side == 0 and not self.barred and self.params.entry <= abs(score) < self.params.give_up:
            side = -1 if score > 0.0 else 1
        if side != self.side:
            self._take(context, side, slope)

    def _take(self, context: Context, side: int, slope: float) -> None:
        """Hold one part of the first leg against `slope` parts of the second."""
        self.side = side
        first, second = context.symbols
        unit = self.params.gross / (1.0 + slope)
        context.target(first, side * unit)
        context.target(second, -side * slope * unit)


strategy = Pairs
