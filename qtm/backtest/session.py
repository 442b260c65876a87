"""What the event loop remembers between bars, and what of a run never changes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.clock import iso_utc
from qtm.risk.rules import GateLimits
from qtm.risk.sized_targets import SizingBars
from qtm.risk.sizing import SizingRule
from qtm.trading.book import Grid, Sizing
from qtm.trading.costs import CostModel
from qtm.trading.exits import EXIT_FIELDS
from qtm.trading.margin import Margin

DAY_MS = 86_400_000

FILLED, EXPIRED, REFUSED, REJECTED, PARTIAL = 0, 1, 2, 3, 4
ORDER_STATUS = ("FILLED", "EXPIRED", "REFUSED", "REJECTED", "PARTIAL")
"""Filled; beyond its limit or without volume; refused by the gate; rejected by the venue for want of margin;
filled in part, the rest expired."""

MESSAGE_RING = 256

SESSION = np.dtype(
    [
        ("bars", "i8"),
        ("bars_invested", "i8"),
        ("working_lots", "f8"),
        ("working_limit_ticks", "f8"),
        ("working_since_ms", "i8"),
        ("working_sequence", "i8"),
        ("day_end_ms", "i8"),
        ("day_start_equity", "f8"),
        ("peak_equity", "f8"),
        ("last_equity", "f8"),
        ("max_drawdown", "f8"),
        ("loss_limit_ms", "i8"),
        ("equity_sum", "f8"),
        ("variance", "f8"),
        ("last_close", "f8"),
        *EXIT_FIELDS,
        ("calm_above", "f8"),
        ("calm_below", "f8"),
        ("funding_paid", "f8"),
        ("messages", "i8"),
        ("message_ms", "i8", (MESSAGE_RING,)),
    ],
    align=True,
)
"""The working order, the exits, the marks, and what the gate must know.

`loss_limit_ms` is the close at which a loss first was above its limit (PT-09), 0 while none was.

A bar that stays between `calm_above` and `calm_below` touches no exit and no liquidation price. `leaving` is
the cause of an exit that is under way: the volume of the bar that hit it did not carry the whole position.
"""


class LossLimit(NamedTuple):
    """What became of a run's loss limits (PT-09).

    `passed_ms` is the close at which a loss was first above its limit, 0 when none was; `halts` tells whether
    nothing was sent from then on, or only nothing that enlarges a position while the loss was above.
    """

    passed_ms: int
    halts: bool

    def in_words(self) -> str:
        """One sentence without its full stop; empty when the limits held."""
        if self.passed_ms == 0:
            return ""
        at = iso_utc(self.passed_ms)
        if self.halts:
            return f"halted since {at} by PT-09 (loss limit)"
        return f"loss limit (PT-09) passed at {at}: only shrinking orders while above it"


class Rules(NamedTuple):
    """Everything about a run that does not change from bar to bar.

    A `sizer` measures the bars of `seen`, which is empty without one.
    """

    grid: Grid
    sizing: Sizing
    sizer: SizingRule
    seen: SizingBars
    costs: CostModel
    limits: GateLimits
    gated: bool
    margin: Margin
    funded: bool
    band: float
    interval_ms: int
    trade_from_ms: int


def new_session(cash: float) -> Any:
    """A session at its first bar, as a shape (1,) structured array."""
    session = np.zeros(1, SESSION)
    session["peak_equity"] = session["last_equity"] = session["day_start_equity"] = cash
    session["calm_above"], session["calm_below"] = -np.inf, np.inf
    return session
