"""What a strategy trades by on one symbol, from the first bar to the last."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtm.market.instruments import Instrument
from qtm.risk.sized_targets import NO_RULE
from qtm.risk.sizing import Sizer, SizingRule
from qtm.strategies.contract import StepStrategy
from qtm.trading.book import UNBOUNDED, Grid, LargestOrder, Sizing, grid_of


@dataclass(frozen=True, slots=True)
class TradingPlan:
    """Everything about a strategy's run on one symbol that does not change.

    Bars opening before `trade_from_ms` only warm the state up. Order ids continue after `first_sequence`.
    `largest_order` is asked at every close what an order that leads out of the position is cut to.
    With a `sizer` a target of 1.0 means the rule's weight, cut to `max_position_value`, instead of `sizing`.
    """

    strategy: StepStrategy
    params: Any
    instrument: Instrument
    cash: float
    sizing: Sizing
    interval_ms: int
    trade_from_ms: int
    band: float = 0.01
    first_sequence: int = 0
    sizer: Sizer | None = None
    max_position_value: float = math.inf
    largest_order: Callable[[], LargestOrder] = lambda: UNBOUNDED

    @property
    def rule(self) -> SizingRule:
        """The sizing rule as compiled code takes it."""
        return NO_RULE if self.sizer is None else self.sizer.rule

    @property
    def grid(self) -> Grid:
        """The venue's grid as compiled code takes it."""
        return grid_of(self.instrument)
