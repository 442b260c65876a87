"""Orders that wait: for a price that fires them, or for the fill of the order they belong to."""

from __future__ import annotations

from typing import Any

from qtm.backtest.tape import accounts
from qtm.backtest.tape.ledger import BALANCE
from qtm.backtest.tape.matching import cost_of_taking, enter, work
from qtm.backtest.tape.orders import (
    due_child,
    end_order,
    end_others_of_group,
    has_limit,
    refresh,
    trigger_price,
    waits_above,
)
from qtm.backtest.tape.units import unit
from qtm.compiled import either_way
from qtm.trading.desk import BUY, EXPIRED, SELL, TRAILING, WAITING


@either_way
def follow(order: Any, price: int) -> None:
    """Keep the best price a trailing order has seen."""
    if order.side == SELL:
        order.extreme_ticks = max(order.extreme_ticks, price)
    else:
        order.extreme_ticks = min(order.extreme_ticks, price)


@either_way
def level_of(order: Any) -> int:
    """The price at which a waiting order fires now."""
    if order.kind == TRAILING:
        return order.extreme_ticks + order.side * order.trail_ticks  # type: ignore[no-any-return]
    return order.trigger_ticks  # type: ignore[no-any-return]


@either_way
def fires(order: Any, price: int) -> bool:
    """True when a price fires a waiting order."""
    level = level_of(order)
    return price >= level if waits_above(order) else price <= level


@unit
def fire_triggers(desk: Any, rules: Any, levels: Any, fills: Any, ends: Any) -> None:
    """Fire whatever the last trade (or the mark price) has reached, and what its own trades reach in turn.

    Every order of a round is held against the same price, however far those before it move the market.
    """
    while True:
        traded = desk.traded_ticks
        for k in range(desk.count):
            order = desk.orders[desk.active[k]]
            if order.status == WAITING and order.kind == TRAILING:
                follow(order, trigger_price(order, desk, traded))
        slot = _next_fired(desk, traded, 0)
        while slot >= 0:
            number = desk.orders[slot].handle // 256
            trigger(desk, rules, levels, fills, ends, desk.orders[slot])
            slot = _next_fired(desk, traded, number)
        if desk.traded_ticks == traded:
            break
    refresh(desk)


@either_way
def _next_fired(desk: Any, traded: int, after: int) -> int:
    """Slot of the first order after number `after` that a round's price fires; -1 for none."""
    first = -1
    for k in range(desk.count):
        slot = desk.active[k]
        order = desk.orders[slot]
        if order.status == WAITING and order.handle // 256 > after:
            fired = fires(order, trigger_price(order, desk, traded))
            if fired and (first < 0 or order.handle // 256 < desk.orders[first].handle // 256):
                first = slot
    return first


@either_way
def fire_if_traded(desk: Any, rules: Any, levels: Any, fills: Any, ends: Any, before: int) -> None:
    """Fire what an own trade has reached, if the venue's last trade is no longer at `before`."""
    if desk.waiting != 0 and desk.traded_ticks != before:
        fire_triggers(desk, rules, levels, fills, ends)


@unit
def trigger(desk: Any, rules: Any, levels: Any, fills: Any, ends: Any, order: Any) -> None:
    """A waiting order fires: the others of its group end, a market buy finds its money, and it works."""
    if order.group != 0:
        end_others_of_group(desk, ends, order)
    if rules.spot != 0 and order.side == BUY and not has_limit(order):
        cost = cost_of_taking(desk, rules, levels, order.left)
        missing = cost - order.locked
        if missing > 0:
            extra = min(missing, accounts.free_quote(desk))
            order.locked += extra
            desk.books.locked_quote += extra
            if extra < missing:
                order.left = int(order.left * (order.locked / cost))
                order.lots = order.left
                if order.left == 0:
                    end_order(desk, ends, order, EXPIRED, BALANCE, 0)
                    return
    work(desk, rules, levels, fills, ends, order)


@either_way
def settle_families(desk: Any, rules: Any, levels: Any, fills: Any, ends: Any) -> None:
    """Place what a parent's fill has made due; end the children of parents that ended otherwise."""
    before = desk.traded_ticks
    desk.family_due = 0
    slot = due_child(desk, ends)
    while slot != 0:
        enter(desk, rules, levels, fills, ends, desk.orders[slot - 1])
        slot = due_child(desk, ends)
    refresh(desk)
    fire_if_traded(desk, rules, levels, fills, ends, before)
