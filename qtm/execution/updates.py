"""What the venue says about an order, and which change of state it may cause."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from qtm.trading.orders import Fill, OrderStatus

_RANK = {
    OrderStatus.NEW_LOCAL: 0,
    OrderStatus.INFLIGHT: 1,
    OrderStatus.UNKNOWN: 2,
    OrderStatus.NEW: 3,
    OrderStatus.PARTIALLY_FILLED: 4,
}


@dataclass(frozen=True, slots=True)
class OrderUpdate:
    """One report on one order: its status and the executions it names, each by trade id.

    The same execution may be reported several times (response, user stream, query); whoever applies updates
    counts each trade id once. `executed_qty` is the venue's own total: a final status counts only once every
    execution in that total is known. `reason` is the venue's or our words for a status that is no success.
    `level_passed` says that an order was rejected because the market already stood beyond its level.
    """

    client_order_id: str
    symbol: str
    status: OrderStatus
    fills: tuple[Fill, ...] = ()
    executed_qty: Decimal = Decimal(0)
    venue_order_id: str = ""
    reason: str = ""
    ts_ms: int = 0
    level_passed: bool = False


def advanced(current: OrderStatus, reported: OrderStatus) -> OrderStatus:
    """The state after a report; a report that arrives late never takes an order back.

    The one step back is `UNKNOWN -> INFLIGHT`, which only the outbox takes, after the venue has said that it
    does not know the order.
    """
    if current.is_terminal:
        return current
    if reported.is_terminal:
        return reported
    return reported if _RANK[reported] > _RANK[current] else current
