"""The caps of a strategy at LIVE_LIMITED (TD-07), as the gate sees them.

Order and position value become the innermost scope of the limit tree (`qtm.risk.limits.capped`). Orders a day
and days have no limit of the gate to tighten: they are judged here, and an order beyond one of them stops the
strategy until a person lifts the kill (`qtm.execution.door`).
"""

from __future__ import annotations

from dataclasses import dataclass

from qtm.clock import iso_utc
from qtm.risk.decisions import Finding
from qtm.risk.limit_file import Scope
from qtm.settings import LimitedSettings
from qtm.trading.orders import OrderIntent, Purpose

CONTROL = "TD-07"

DAY_MS = 86_400_000


@dataclass(slots=True)
class LimitedLive:
    """One strategy's limited live trading.

    Attributes
    ----------
    strategy
        Whose orders are counted.
    caps
        The caps in force.
    since_ms, until_ms
        From the grant to the end of the last day.
    orders_today
        Orders towards a target sent on the UTC day of the order to be judged; None until somebody has counted
        them in the journal, and refuses.
    """

    strategy: str
    caps: LimitedSettings
    since_ms: int
    until_ms: int
    orders_today: int | None = None

    @property
    def scope(self) -> Scope:
        """The caps that tighten limits of the gate."""
        return Scope(
            max_order_value=self.caps.max_order_value, max_position_value=self.caps.max_position_value
        )

    def findings(self, intent: OrderIntent, now_ms: int) -> tuple[Finding, Finding]:
        """The order held against the caps that stop the strategy."""
        return self._orders(intent), self.days(now_ms)

    def days(self, now_ms: int) -> Finding:
        """Whether the days granted last."""
        over = f"the end of {self.caps.max_days} days at {iso_utc(self.until_ms)}"
        since = f"granted {iso_utc(self.since_ms)}"
        return Finding(CONTROL, now_ms < self.until_ms, iso_utc(now_ms), over, since)

    def _orders(self, intent: OrderIntent) -> Finding:
        """Protective orders are not counted: they can only shrink a position, and follow the market."""
        counted = intent.purpose is not Purpose.PROTECTION
        used = None if self.orders_today is None else self.orders_today + counted
        passed = used is not None and (used <= self.caps.max_orders_per_day or not counted)
        measured = "missing" if used is None else f"order {used}"
        bound = f"{self.caps.max_orders_per_day} orders a UTC day"
        return Finding(CONTROL, passed, measured, bound, "max_orders_per_day of control.limited")


def day_of(ts_ms: int) -> tuple[int, int]:
    """First millisecond of a time's UTC day, and of the day after."""
    start_ms = ts_ms // DAY_MS * DAY_MS
    return start_ms, start_ms + DAY_MS


def tighter(one: LimitedSettings, other: LimitedSettings) -> LimitedSettings:
    """The smaller of every cap."""
    return LimitedSettings(
        **{name: min(getattr(one, name), getattr(other, name)) for name in LimitedSettings.model_fields}
    )
