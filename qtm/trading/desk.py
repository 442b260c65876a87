"""The desk of an order strategy: its working orders, and the words to place, amend and cancel them.

    def quote(params, state, event, account, desk):
        if find(desk, BUY, desk.bid_ticks) == 0:
            cancel_side(desk, BUY)
            post_only(desk, BUY, lots=10, ticks=desk.bid_ticks)

A desk is one record of numbers, so that a run can stop anywhere and go on from its bytes. Everything a
strategy asks for is a request that travels to the venue (`qtm.backtest.tape`); nothing happens at once.
Prices are in ticks, quantities in lots, times in nanoseconds. The functions run compiled and as plain Python.
"""

from __future__ import annotations

from typing import Any

from qtm.compiled import either_way
from qtm.trading.desk_memory import CAPACITY, REQUESTS

BUY, SELL = 1, -1

LIMIT, MARKET, STOP, STOP_LIMIT, TAKE_PROFIT, TAKE_PROFIT_LIMIT, TRAILING = range(7)
KINDS = ("LIMIT", "MARKET", "STOP", "STOP_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT", "TRAILING_STOP")

GTC, IOC, FOK, GTD = range(4)
TIMES_IN_FORCE = ("GTC", "IOC", "FOK", "GTD")

POST_ONLY, REDUCE_ONLY, ON_MARK = 1, 2, 4
"""Flags of an order: never take; never enlarge or turn the position; trigger on the mark price."""

SENT, HELD, WAITING, RESTING, FILLED, CANCELED, EXPIRED, REJECTED, REFUSED = range(9)
STATUSES = (
    "SENT", "HELD", "WAITING", "RESTING", "FILLED", "CANCELED", "EXPIRED", "REJECTED", "REFUSED",
)  # fmt: skip
"""On its way; waiting for its parent's fill; for its trigger; in the book; then how it ended. REFUSED is the
risk gate's answer, REJECTED the venue's."""

PLACE, CANCEL, AMEND = range(3)

TRADE, QUOTE, BAR, TIMER, FILL = range(5)
WAKES = {"trade": 1 << TRADE, "quote": 1 << QUOTE, "bar": 1 << BAR, "timer": 1 << TIMER, "fill": 1 << FILL}
"""What can wake a strategy: a trade, another best bid or ask, a closed bar, its timer, its own fill."""


# --- asking -------------------------------------------------------------------------------------------------
@either_way
def place(
    desk: Any,
    side: int,
    kind: int,
    lots: int,
    ticks: int = 0,
    trigger_ticks: int = 0,
    time_in_force: int = GTC,
    flags: int = 0,
    trail_ticks: int = 0,
    expire_ns: int = 0,
    group: int = 0,
    parent: int = 0,
) -> int:
    """Ask for an order; its handle, or 0 when `CAPACITY` orders are open or too many requests under way.

    The functions below are this one with the arguments of one order type. Orders of one `group` (any number
    the strategy has not used before) cancel each other: the first that trades ends the others. An order with
    a `parent` is sent with it and held by the venue until the parent is filled whole.
    """
    if desk.count >= CAPACITY or desk.asked - desk.arrived >= REQUESTS:
        return 0
    slot = desk.free[desk.count]
    desk.active[desk.count] = slot
    desk.count += 1
    desk.placed += 1
    order = desk.orders[slot]
    order.handle = desk.placed * 256 + slot
    order.parent = parent
    order.group = group
    order.side = side
    order.kind = kind
    order.time_in_force = time_in_force
    order.flags = flags
    order.status = SENT
    order.lots = lots
    order.left = lots
    order.ticks = ticks
    order.trigger_ticks = trigger_ticks
    order.trail_ticks = trail_ticks
    order.extreme_ticks = 0
    order.ahead = 0
    order.joined = -1
    order.queued = 0
    order.locked = 0
    order.cancelling = 0
    order.expire_ns = expire_ns
    order.sent_ns = desk.now_ns
    order.live_ns = 0
    _ask(desk, order.handle, PLACE, 0, 0)
    return order.handle  # type: ignore[no-any-return]


@either_way
def _ask(desk: Any, handle: int, what: int, lots: int, ticks: int) -> None:
    request = desk.requests[desk.asked % REQUESTS]
    request.handle = handle
    request.what = what
    request.lots = lots
    request.ticks = ticks
    request.arrives_ns = 0
    desk.asked += 1


@either_way
def limit(desk: Any, side: int, lots: int, ticks: int, time_in_force: int = GTC, flags: int = 0) -> int:
    """A limit order; with IOC or FOK it takes what there is at once and never rests."""
    return place(desk, side, LIMIT, lots, ticks, 0, time_in_force, flags)


@either_way
def limit_until(desk: Any, side: int, lots: int, ticks: int, expire_ns: int, flags: int = 0) -> int:
    """A limit order that expires at a time (GTD)."""
    return place(desk, side, LIMIT, lots, ticks, 0, GTD, flags, 0, expire_ns)


@either_way
def post_only(desk: Any, side: int, lots: int, ticks: int, flags: int = 0) -> int:
    """A limit order that is rejected where it would take (LIMIT_MAKER, GTX)."""
    return place(desk, side, LIMIT, lots, ticks, 0, GTC, flags | POST_ONLY)


@either_way
def market(desk: Any, side: int, lots: int, flags: int = 0) -> int:
    """A market order."""
    return place(desk, side, MARKET, lots, 0, 0, IOC, flags)


@either_way
def stop(desk: Any, side: int, lots: int, trigger_ticks: int, flags: int = 0) -> int:
    """A market order sent when the price passes the trigger: above it for a buy, below it for a sell."""
    return place(desk, side, STOP, lots, 0, trigger_ticks, IOC, flags)


@either_way
def stop_limit(desk: Any, side: int, lots: int, trigger_ticks: int, ticks: int, flags: int = 0) -> int:
    """A limit order placed when the price passes the trigger."""
    return place(desk, side, STOP_LIMIT, lots, ticks, trigger_ticks, GTC, flags)


@either_way
def take_profit(desk: Any, side: int, lots: int, trigger_ticks: int, flags: int = 0) -> int:
    """A market order sent when the price comes to the trigger: below it for a buy, above it for a sell."""
    return place(desk, side, TAKE_PROFIT, lots, 0, trigger_ticks, IOC, flags)


@either_way
def take_profit_limit(desk: Any, side: int, lots: int, trigger_ticks: int, ticks: int, flags: int = 0) -> int:
    """A limit order placed when the price comes to the trigger."""
    return place(desk, side, TAKE_PROFIT_LIMIT, lots, ticks, trigger_ticks, GTC, flags)


@either_way
def trailing(desk: Any, side: int, lots: int, trail_ticks: int, flags: int = 0) -> int:
    """A market order sent when the price comes back by `trail_ticks` from its best since arrival."""
    return place(desk, side, TRAILING, lots, 0, 0, IOC, flags, trail_ticks)


@either_way
def oco(desk: Any, side: int, lots: int, target_ticks: int, stop_ticks: int, flags: int = 0) -> int:
    """A resting limit and a stop of which one cancels the other; their group, or 0 when there is no room."""
    if desk.count + 2 > CAPACITY or desk.asked - desk.arrived + 2 > REQUESTS:
        return 0
    group = desk.placed + 1
    place(desk, side, LIMIT, lots, target_ticks, 0, GTC, flags, 0, 0, group)
    place(desk, side, STOP, lots, 0, stop_ticks, IOC, flags, 0, 0, group)
    return group  # type: ignore[no-any-return]


@either_way
def bracket(desk: Any, side: int, lots: int, ticks: int, target_ticks: int, stop_ticks: int) -> int:
    """A limit entry whose whole fill arms a target and a stop that cancel each other; 0 without room.

    The handle is the entry's. An entry that ends unfilled takes both with it.
    """
    if desk.count + 3 > CAPACITY or desk.asked - desk.arrived + 3 > REQUESTS:
        return 0
    entry = place(desk, side, LIMIT, lots, ticks)
    group = desk.placed + 1
    place(desk, -side, LIMIT, lots, target_ticks, 0, GTC, 0, 0, 0, group, entry)
    place(desk, -side, STOP, lots, 0, stop_ticks, IOC, 0, 0, 0, group, entry)
    return entry


@either_way
def cancel(desk: Any, handle: int) -> bool:
    """Ask to cancel an order; False when it is known to be gone or has been asked to go."""
    if not is_open(desk, handle) or desk.asked - desk.arrived >= REQUESTS:
        return False
    order = desk.orders[handle % 256]
    if order.cancelling != 0:
        return False
    order.cancelling = 1
    _ask(desk, handle, CANCEL, 0, 0)
    return True


@either_way
def amend(desk: Any, handle: int, lots: int, ticks: int) -> bool:
    """Ask to change what is left of an order to `lots` at `ticks`; False when it is known to be gone.

    Fewer lots at the same price keep the place in the queue; anything else goes to the back.
    """
    if not is_open(desk, handle) or desk.asked - desk.arrived >= REQUESTS:
        return False
    _ask(desk, handle, AMEND, lots, ticks)
    return True


@either_way
def cancel_side(desk: Any, side: int) -> int:
    """Ask to cancel every open order of one side; how many."""
    asked = 0
    for k in range(desk.count):
        order = desk.orders[desk.active[k]]
        if order.side == side and cancel(desk, order.handle):
            asked += 1
    return asked


# --- looking ------------------------------------------------------------------------------------------------
@either_way
def is_open(desk: Any, handle: int) -> bool:
    """True while the order has not ended (as far as the strategy can know)."""
    slot = handle % 256
    return handle > 0 and slot < CAPACITY and desk.orders[slot].handle == handle


@either_way
def left_lots(desk: Any, handle: int) -> int:
    """Lots of an order that have not traded; 0 when it has ended."""
    return desk.orders[handle % 256].left if is_open(desk, handle) else 0


@either_way
def ticks_of(desk: Any, handle: int) -> int:
    """Limit price of an open order, 0 when it has ended."""
    return desk.orders[handle % 256].ticks if is_open(desk, handle) else 0


@either_way
def side_of(desk: Any, handle: int) -> int:
    """`BUY` or `SELL`, 0 when the order has ended."""
    return desk.orders[handle % 256].side if is_open(desk, handle) else 0


@either_way
def lots_ahead(desk: Any, handle: int) -> int:
    """Lots believed to stand before a resting order, 0 when it has ended."""
    return desk.orders[handle % 256].ahead if is_open(desk, handle) else 0


@either_way
def find(desk: Any, side: int, ticks: int) -> int:
    """Handle of an open limit order of that side at that price, 0 when there is none."""
    for k in range(desk.count):
        order = desk.orders[desk.active[k]]
        if order.side == side and order.ticks == ticks:
            return order.handle  # type: ignore[no-any-return]
    return 0


@either_way
def nth(desk: Any, k: int) -> int:
    """Handle of the `k`-th open order, 0 to `desk.count` - 1, in no particular order."""
    return desk.orders[desk.active[k]].handle  # type: ignore[no-any-return]


@either_way
def open_lots(desk: Any, side: int) -> int:
    """Lots of one side that may still trade."""
    total = 0
    for k in range(desk.count):
        order = desk.orders[desk.active[k]]
        if order.side == side:
            total += order.left
    return total
