"""The account's own orders in the queues of the book: who is first in line, and how orders move up.

An order moves up by the trades at its price and by what the queue model makes of other withdrawals.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.tape.rules import PROPORTIONAL
from qtm.compiled import either_way
from qtm.trading.desk import RESTING


@either_way
def best_own(desk: Any, side: int) -> int:
    """Slot of the account's resting order that is first in line on a side; -1 for none."""
    best = -1
    for k in range(desk.count):
        slot = desk.active[k]
        order = desk.orders[slot]
        if order.status == RESTING and order.side == side:
            if best < 0:
                best = slot
            else:
                other = desk.orders[best]
                nearer = side * (order.ticks - other.ticks)
                if nearer > 0 or (nearer == 0 and order.queued < other.queued):
                    best = slot
    return best


@either_way
def next_at(desk: Any, side: int, ticks: int, consumed: int, left: int) -> int:
    """The earliest own order at a price that a trade of `left` lots still reaches; -1 for none."""
    best = -1
    for k in range(desk.count):
        slot = desk.active[k]
        order = desk.orders[slot]
        reached = order.ahead - consumed < left
        here = order.status == RESTING and order.side == side and order.ticks == ticks
        if here and reached and (best < 0 or order.queued < desk.orders[best].queued):
            best = slot
    return best


@either_way
def advance_queues(desk: Any, side: int, ticks: int, lots: int) -> None:
    """`lots` ahead of own orders at a price have traded."""
    for k in range(desk.count):
        order = desk.orders[desk.active[k]]
        if order.status == RESTING and order.side == side and order.ticks == ticks:
            order.ahead = max(0, order.ahead - lots)


@either_way
def queue_after(ahead: int, before: int, lots: int, rules: Any) -> int:
    """Lots ahead of an order after its level went from `before` to `lots` without trades."""
    if lots < before and rules.queue_model == PROPORTIONAL and ahead < before:
        front, back = float(ahead), float(before - ahead)
        if rules.queue_power != 1.0:
            front, back = front**rules.queue_power, back**rules.queue_power
        ahead -= int(np.floor((before - lots) * (front / (front + back))))
    return min(max(ahead, 0), lots)


@either_way
def level_changed(desk: Any, rules: Any, side: int, ticks: int, before: int, lots: int) -> None:
    """The market's quantity at a price of own resting orders has changed: they move up by the queue model."""
    for k in range(desk.count):
        order = desk.orders[desk.active[k]]
        if order.status == RESTING and order.side == side and order.ticks == ticks:
            order.ahead = queue_after(order.ahead, before, lots, rules)
