"""The life of an order at the venue: taken or rejected, resting or waiting, traded, ended with its family."""

from __future__ import annotations

from typing import Any

from qtm.backtest.tape import accounts
from qtm.backtest.tape.ledger import (
    BALANCE,
    CAUSE_LIQUIDATION,
    CAUSE_ORDER,
    CAUSE_STOP,
    CAUSE_TAKE_PROFIT,
    CAUSE_TRAIL,
    DONE,
    GROUP_REJECTED,
    LIQUIDATED,
    LOT_SIZE,
    MARGIN,
    NOTIONAL,
    OTHER_OF_GROUP,
    PARENT_ENDED,
    POSITION_CLOSED,
    PRICE_FILTER,
    REDUCE_ONLY_REJECTED,
    SELF_TRADE,
    TOO_MANY_CONDITIONAL,
    WOULD_TRIGGER,
    write_end,
    write_fill,
)
from qtm.backtest.tape.rules import NEVER_NS
from qtm.backtest.tape.units import unit
from qtm.compiled import either_way
from qtm.trading.desk import (
    BUY,
    CANCELED,
    EXPIRED,
    FILLED,
    GTD,
    HELD,
    LIMIT,
    MARKET,
    ON_MARK,
    REDUCE_ONLY,
    REJECTED,
    RESTING,
    SELL,
    SENT,
    STOP,
    STOP_LIMIT,
    TAKE_PROFIT,
    TAKE_PROFIT_LIMIT,
    TRAILING,
    WAITING,
    is_open,
)
from qtm.trading.exact import is_too_large, share_of, value_of, value_up

PARENT_FILLED = -1
"""In place of a parent's handle: the order is due."""


@either_way
def has_limit(order: Any) -> bool:
    """True when the order has a limit price."""
    return order.ticks != 0  # type: ignore[no-any-return]


@either_way
def is_conditional(order: Any) -> bool:
    """True when the order waits for a trigger before it works."""
    return order.kind != LIMIT and order.kind != MARKET  # type: ignore[no-any-return]


@either_way
def waits_above(order: Any) -> bool:
    """True when the trigger lies above the market: stop buys and take-profit sells."""
    takes = order.kind == TAKE_PROFIT or order.kind == TAKE_PROFIT_LIMIT
    return (order.side == BUY) != takes  # type: ignore[no-any-return]


@either_way
def trigger_price(order: Any, desk: Any, traded: int) -> int:
    """The price a waiting order watches: the venue's last trade, or the mark price."""
    if (order.flags & ON_MARK) != 0 and desk.mark_ticks != 0:
        return desk.mark_ticks  # type: ignore[no-any-return]
    return traded


@either_way
def cause_of(order: Any) -> int:
    """Why an order traded, in the words of `qtm.backtest.intrabar.CAUSES`."""
    if order.kind == STOP or order.kind == STOP_LIMIT:
        return CAUSE_STOP
    if order.kind == TAKE_PROFIT or order.kind == TAKE_PROFIT_LIMIT:
        return CAUSE_TAKE_PROFIT
    return CAUSE_TRAIL if order.kind == TRAILING else CAUSE_ORDER


# --- what the venue checks -------------------------------------------------------------------------------
@either_way
def refusal_of(desk: Any, rules: Any, order: Any) -> int:
    """The first of the venue's filters that an order fails, or `DONE`."""
    for ticks in (order.ticks, order.trigger_ticks):
        if ticks != 0 and (ticks < rules.min_ticks or (rules.max_ticks != 0 and ticks > rules.max_ticks)):
            return PRICE_FILTER
    needs_trigger = is_conditional(order) and order.kind != TRAILING
    limited = order.kind == LIMIT or order.kind == STOP_LIMIT or order.kind == TAKE_PROFIT_LIMIT
    if (needs_trigger and order.trigger_ticks == 0) or (limited and order.ticks == 0):
        return PRICE_FILTER
    if order.kind == TRAILING and order.trail_ticks <= 0:
        return PRICE_FILTER
    if order.lots < rules.min_lots or (rules.max_lots != 0 and order.lots > rules.max_lots):
        return LOT_SIZE
    if order.kind == MARKET and (
        order.lots % rules.market_step != 0
        or (rules.market_max_lots != 0 and order.lots > rules.market_max_lots)
    ):
        return LOT_SIZE
    if is_conditional(order) and open_conditional(desk) >= rules.max_conditional:
        return TOO_MANY_CONDITIONAL
    price = accounts.price_of_order(order, desk)
    if is_too_large(order.lots, price, rules):
        return NOTIONAL
    notional = value_of(order.lots, price, rules)
    exempt = rules.spot == 0 and (order.flags & REDUCE_ONLY) != 0
    if notional < rules.min_notional and not exempt:
        return NOTIONAL
    if rules.max_notional != 0 and notional > rules.max_notional and limited:
        return NOTIONAL
    watched = trigger_price(order, desk, desk.traded_ticks)
    if needs_trigger and watched != 0:
        passed = watched >= order.trigger_ticks if waits_above(order) else watched <= order.trigger_ticks
        if passed:
            return WOULD_TRIGGER
    return DONE


@either_way
def set_aside(desk: Any, rules: Any, order: Any, cost: int) -> int:
    """Lock or check what the order needs; `BALANCE`, `MARGIN`, `REDUCE_ONLY_REJECTED` or `DONE`.

    `cost` is what a market buy would spend on the present book.
    """
    held = accounts.lots_held(desk.books, rules)
    if (order.flags & REDUCE_ONLY) != 0:
        return DONE if held * order.side < 0 else REDUCE_ONLY_REJECTED
    if rules.spot == 0:
        price = accounts.price_of_order(order, desk)
        carried = accounts.is_carried(desk, rules, order.side, order.left, price)
        return DONE if carried else MARGIN
    if order.side == SELL:
        needed = order.left
    elif order.kind == MARKET:
        needed = cost
    else:
        needed = value_up(order.left, accounts.price_of_order(order, desk), rules)
    return DONE if accounts.lock(desk, rules, order, needed) else BALANCE


@either_way
def open_conditional(desk: Any) -> int:
    """How many conditional orders the venue counts as open: waiting, or triggered and resting."""
    count = 0
    for k in range(desk.count):
        order = desk.orders[desk.active[k]]
        if is_conditional(order) and (order.status == WAITING or order.status == RESTING):
            count += 1
    return count


# --- the table of working orders -------------------------------------------------------------------------
@unit
def refresh(desk: Any) -> None:
    """Sum up the working orders: which prices and times the loop must watch for them."""
    desk.bids = desk.asks = desk.waiting = desk.trailing = desk.families = 0
    desk.top_bid = desk.low_bid = desk.top_ask = desk.low_ask = 0
    desk.fire_above, desk.fire_below = NEVER_NS, 0
    desk.next_expiry_ns = NEVER_NS
    for k in range(desk.count):
        order = desk.orders[desk.active[k]]
        if order.parent != 0:
            desk.families += 1
        if order.status == RESTING:
            if order.side == BUY:
                if desk.bids == 0 or order.ticks > desk.top_bid:
                    desk.top_bid = order.ticks
                if desk.bids == 0 or order.ticks < desk.low_bid:
                    desk.low_bid = order.ticks
                desk.bids += 1
            else:
                if desk.asks == 0 or order.ticks > desk.top_ask:
                    desk.top_ask = order.ticks
                if desk.asks == 0 or order.ticks < desk.low_ask:
                    desk.low_ask = order.ticks
                desk.asks += 1
        elif order.status == WAITING:
            desk.waiting += 1
            if order.kind == TRAILING or (order.flags & ON_MARK) != 0:
                desk.trailing += 1
            elif waits_above(order):
                desk.fire_above = min(desk.fire_above, order.trigger_ticks)
            else:
                desk.fire_below = max(desk.fire_below, order.trigger_ticks)
        if order.time_in_force == GTD and order.status != SENT:
            desk.next_expiry_ns = min(desk.next_expiry_ns, order.expire_ns)


@unit
def end_order(desk: Any, ends: Any, order: Any, status: int, reason: int, breached: int) -> None:
    """Take an order out of the table and write how it ended; its children follow in `settle_families`."""
    if order.handle == 0:
        return
    accounts.unlock(desk, order)
    write_end(desk, ends, order, status, reason, breached)
    slot = order.handle % 256
    for k in range(desk.count):
        child = desk.orders[desk.active[k]]
        if child.parent == order.handle:
            desk.family_due = 1
            if status == FILLED:
                child.parent = PARENT_FILLED
    order.status = status
    order.handle = 0
    for k in range(desk.count):
        if desk.active[k] == slot:
            desk.count -= 1
            desk.active[k] = desk.active[desk.count]
            desk.free[desk.count] = slot
            break


@either_way
def end_others_of_group(desk: Any, ends: Any, order: Any) -> None:
    """One of a group has traded, triggered or met its own account: the others are over."""
    k = desk.count - 1
    while k >= 0:
        other = desk.orders[desk.active[k]]
        if other.group == order.group and other.handle != order.handle:
            end_order(desk, ends, other, EXPIRED, OTHER_OF_GROUP, 0)
            k = desk.count
        k -= 1
    order.group = 0


@either_way
def prevent_self_trade(desk: Any, ends: Any, order: Any) -> None:
    """Expire a resting order that the account's own taker would meet, and with it the others of its group."""
    if order.group != 0:
        end_others_of_group(desk, ends, order)
    end_order(desk, ends, order, EXPIRED, SELF_TRADE, 0)


@either_way
def reject_group(desk: Any, ends: Any, group: int) -> None:
    """One order of a list has been rejected: the venue takes none of it."""
    k = desk.count - 1
    while k >= 0:
        other = desk.orders[desk.active[k]]
        if other.group == group:
            end_order(desk, ends, other, REJECTED, GROUP_REJECTED, 0)
            k = desk.count
        k -= 1


@either_way
def cancel_with_group(desk: Any, ends: Any, order: Any, reason: int) -> None:
    """Cancel an order and whatever belongs to its group."""
    group = order.group
    end_order(desk, ends, order, CANCELED, reason, 0)
    if group == 0:
        return
    k = desk.count - 1
    while k >= 0:
        other = desk.orders[desk.active[k]]
        if other.group == group:
            end_order(desk, ends, other, CANCELED, reason, 0)
            k = desk.count
        k -= 1


@either_way
def due_child(desk: Any, ends: Any) -> int:
    """Slot + 1 of a held order whose parent has been filled; orphans are ended; 0 when there is none."""
    k = desk.count - 1
    while k >= 0:
        order = desk.orders[desk.active[k]]
        if order.status == HELD:
            if order.parent == PARENT_FILLED:
                order.parent = 0
                return desk.active[k] + 1  # type: ignore[no-any-return]
            if not is_open(desk, order.parent):
                end_order(desk, ends, order, EXPIRED, PARENT_ENDED, 0)
                k = desk.count
        k -= 1
    return 0


# --- trading ---------------------------------------------------------------------------------------------
@either_way
def closable_lots(desk: Any, rules: Any, order: Any, lots: int) -> int:
    """How many of `lots` an order may trade: a reduce-only one no more than the position."""
    if (order.flags & REDUCE_ONLY) == 0:
        return lots
    held = accounts.lots_held(desk.books, rules)
    return min(lots, abs(held)) if held * order.side < 0 else 0


@unit
def fill(desk: Any, rules: Any, fills: Any, ends: Any, order: Any, lots: int, ticks: int, maker: int) -> int:
    """Trade `lots` of an order; answers with how many really traded. The order may be over afterwards.

    It is a trade of the venue like any other, so stops may watch its price; inside a bar the path says where
    the market stands.
    """
    lots = closable_lots(desk, rules, order, lots)
    if lots <= 0:
        end_order(desk, ends, order, EXPIRED, POSITION_CLOSED, 0)
        return 0
    if order.group != 0:
        end_others_of_group(desk, ends, order)
    fee = accounts.book_fill(desk, rules, order.side, lots, ticks, maker)
    order.left -= lots
    if rules.spot != 0:
        _settle_lock(desk, rules, order, lots, ticks)
    if rules.of_bars != 0:
        desk.budget -= lots
    else:
        desk.traded_ticks = ticks
    write_fill(
        desk, fills, order.handle, order.side, lots, ticks, maker, fee, cause_of(order), order.left,
        order.joined,
    )  # fmt: skip
    if rules.leverage != 0:
        accounts.find_ruin(desk, rules)
    if order.left == 0:
        end_order(desk, ends, order, FILLED, DONE, 0)
    elif closable_lots(desk, rules, order, 1) == 0:
        end_order(desk, ends, order, EXPIRED, POSITION_CLOSED, 0)
    return lots


@either_way
def _settle_lock(desk: Any, rules: Any, order: Any, lots: int, ticks: int) -> None:
    """What a spot order no longer needs to hold after a fill."""
    if order.side == SELL:
        accounts.release(desk, order, lots)
    elif has_limit(order):
        needed = value_up(order.left, order.ticks, rules)
        accounts.release(desk, order, max(0, order.locked - needed))
    else:
        accounts.release(desk, order, value_of(lots, ticks, rules))


@unit
def liquidate(desk: Any, rules: Any, fills: Any, ends: Any, ticks: int) -> None:
    """End all orders and close the position at a price, with the liquidation fee; no debt is left."""
    k = desk.count - 1
    while k >= 0:
        order = desk.orders[desk.active[k]]
        if order.status != SENT:
            end_order(desk, ends, order, EXPIRED, LIQUIDATED, 0)
            k = desk.count
        k -= 1
    books = desk.books
    held = accounts.lots_held(books, rules)
    side = SELL if held > 0 else BUY
    value = value_of(abs(held), ticks, rules)
    left = books.cash - side * value
    fee = min(share_of(value, rules.liquidation_fee), max(0, left))
    books.realised += -side * value - books.cost
    books.cash = max(0, left - fee)
    books.base = books.lots = books.cost = 0
    books.fees += fee
    books.traded += value
    books.ruin_low = books.ruin_high = 0
    write_fill(desk, fills, 0, side, abs(held), ticks, 0, fee, CAUSE_LIQUIDATION, 0, -1)
    refresh(desk)
