"""What a run writes down: every fill, and how every order ended."""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.compiled import either_way
from qtm.trading.desk_memory import REQUESTS

FILL_ROW = np.dtype(
    [
        ("ts_ns", "i8"),
        ("handle", "i8"),
        ("side", "i8"),
        ("lots", "i8"),
        ("ticks", "i8"),
        ("maker", "i8"),
        ("fee", "i8"),
        ("cause", "i8"),
        ("left", "i8"),
        ("joined", "i8"),
        ("base_after", "i8"),
        ("cash_after", "i8"),
        ("cost_after", "i8"),
    ],
    align=True,
)
"""One fill: time at the venue, fee and money in units, `left` what of the order remains, `joined` as in
`qtm.trading.desk_memory.ORDER`."""

END_ROW = np.dtype(
    [
        ("handle", "i8"),
        ("side", "i8"),
        ("kind", "i8"),
        ("time_in_force", "i8"),
        ("flags", "i8"),
        ("status", "i8"),
        ("reason", "i8"),
        ("breached", "i8"),
        ("lots", "i8"),
        ("left", "i8"),
        ("ticks", "i8"),
        ("trigger_ticks", "i8"),
        ("joined", "i8"),
        ("sent_ns", "i8"),
        ("live_ns", "i8"),
        ("end_ns", "i8"),
    ],
    align=True,
)
"""How an order ended; `reason` counts `REASONS`, `breached` is the gate's mask."""

(
    DONE, BY_REQUEST, PRICE_FILTER, LOT_SIZE, NOTIONAL, BALANCE, MARGIN, WOULD_TAKE, REDUCE_ONLY_REJECTED,
    WOULD_TRIGGER, FOK_UNFILLED, IOC_REMAINDER, GTD_OVER, OTHER_OF_GROUP, SELF_TRADE, NO_LIQUIDITY,
    PARENT_ENDED, LIQUIDATED, POSITION_CLOSED, BREACH, TOO_MANY_CONDITIONAL, GROUP_REJECTED,
) = range(22)  # fmt: skip
REASONS = (
    "", "cancelled on request", "PRICE_FILTER", "LOT_SIZE", "NOTIONAL", "insufficient balance",
    "margin is insufficient", "would immediately match and take", "reduce-only is rejected",
    "would trigger immediately", "fill-or-kill could not fill", "immediate-or-cancel remainder",
    "good till date is over", "the other order of its group traded or expired",
    "expired rather than trade with itself",
    "no liquidity", "its parent ended unfilled", "the account was liquidated",
    "the position it reduces is closed", "risk gate", "MAX_NUM_ALGO_ORDERS",
    "the other order of its group was rejected",
)  # fmt: skip

CAUSE_ORDER, CAUSE_STOP, CAUSE_TAKE_PROFIT, CAUSE_TRAIL, CAUSE_LIQUIDATION = range(5)

ROOM = 4 * REQUESTS
"""Rows one event can write at most; the loop stops for larger arrays before it could run out."""


@either_way
def write_fill(
    desk: Any, fills: Any, handle: int, side: int, lots: int, ticks: int, maker: int, fee: int, cause: int,
    left: int, joined: int,
) -> None:  # fmt: skip
    """Append a fill with the books after it."""
    row = fills[desk.fill_rows]
    row.ts_ns = desk.venue_ns
    row.handle = handle
    row.side = side
    row.lots = lots
    row.ticks = ticks
    row.maker = maker
    row.fee = fee
    row.cause = cause
    row.left = left
    row.joined = joined
    row.base_after = desk.books.base
    row.cash_after = desk.books.cash
    row.cost_after = desk.books.cost
    desk.fill_rows += 1


@either_way
def write_end(desk: Any, ends: Any, order: Any, status: int, reason: int, breached: int) -> None:
    """Append an order's end."""
    row = ends[desk.end_rows]
    row.handle = order.handle
    row.side = order.side
    row.kind = order.kind
    row.time_in_force = order.time_in_force
    row.flags = order.flags
    row.status = status
    row.reason = reason
    row.breached = breached
    row.lots = order.lots
    row.left = order.left
    row.ticks = order.ticks
    row.trigger_ticks = order.trigger_ticks
    row.joined = order.joined
    row.sent_ns = order.sent_ns
    row.live_ns = order.live_ns
    row.end_ns = desk.venue_ns
    desk.end_rows += 1
