"""Where orders meet the market: takers walk the book, prints reach resting orders, triggers fire.

A resting order is filled only by a trade: one through its price, or one at its price when everything ahead of
it in the queue has gone. A trade fills no more than its own quantity, the account's better prices first, then
the earlier order. An order never trades with the account's own: the resting one is expired, as on Binance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.tape import accounts, market
from qtm.backtest.tape.events import FULL_DEPTH, NO_DEPTH
from qtm.backtest.tape.ledger import (
    BALANCE,
    DONE,
    FOK_UNFILLED,
    GTD_OVER,
    IOC_REMAINDER,
    NO_LIQUIDITY,
    WOULD_TAKE,
)
from qtm.backtest.tape.orders import (
    due_child,
    end_order,
    end_others_of_group,
    fill,
    has_limit,
    is_conditional,
    prevent_self_trade,
    refresh,
    refusal_of,
    set_aside,
    trigger_price,
    waits_above,
)
from qtm.backtest.tape.rules import NEVER_NS, PROPORTIONAL
from qtm.backtest.tape.units import unit
from qtm.compiled import either_way
from qtm.trading.costs import slippage_of, taker_price_ticks
from qtm.trading.desk import (
    BUY,
    EXPIRED,
    FOK,
    GTD,
    IOC,
    POST_ONLY,
    REJECTED,
    RESTING,
    SELL,
    TRAILING,
    WAITING,
)
from qtm.trading.exact import value_up


# --- arriving --------------------------------------------------------------------------------------------
@unit
def enter(desk: Any, rules: Any, levels: Any, fills: Any, ends: Any, order: Any) -> None:
    """An order has reached the venue: reject it, let it wait for its trigger, or work it."""
    order.live_ns = desk.venue_ns
    reason = refusal_of(desk, rules, order)
    if reason == DONE and (order.flags & POST_ONLY) != 0 and would_take(desk, rules, order):
        reason = WOULD_TAKE
    if reason == DONE:
        spends = rules.spot != 0 and order.side == BUY and not has_limit(order) and not is_conditional(order)
        cost = cost_of_taking(desk, rules, levels, order.left) if spends else 0
        reason = set_aside(desk, rules, order, cost)
    if reason != DONE:
        end_order(desk, ends, order, REJECTED, reason, 0)
        return
    if order.time_in_force == GTD and order.expire_ns <= desk.venue_ns:
        end_order(desk, ends, order, EXPIRED, GTD_OVER, 0)
    elif is_conditional(order):
        order.status = WAITING
        order.extreme_ticks = trigger_price(order, desk, desk.traded_ticks)
    else:
        work(desk, rules, levels, fills, ends, order)


@either_way
def work(desk: Any, rules: Any, levels: Any, fills: Any, ends: Any, order: Any) -> None:
    """Match a working order; rest what remains, or end it by its time in force."""
    at_once = order.time_in_force == IOC or order.time_in_force == FOK or not has_limit(order)
    whole = order.time_in_force == FOK and has_limit(order)
    if whole and takeable_lots(desk, rules, levels, order) < order.left:
        end_order(desk, ends, order, EXPIRED, FOK_UNFILLED, 0)
        return
    handle = order.handle
    take(desk, rules, levels, fills, ends, order)
    if order.handle != handle:
        return
    if rules.of_bars != 0 and is_conditional(order) and at_once and bounded(desk, rules, order.left) == 0:
        order.status = WAITING  # the share of this bar's volume is used up: on in the next
    elif at_once:
        reason = IOC_REMAINDER if has_limit(order) else NO_LIQUIDITY
        end_order(desk, ends, order, EXPIRED, reason, 0)
    else:
        rest(desk, rules, levels, order)


@either_way
def rest(desk: Any, rules: Any, levels: Any, order: Any) -> None:
    """Stand at the back of the queue at the order's price."""
    order.status = RESTING
    desk.queue_number += 1
    order.queued = desk.queue_number
    best = desk.bid_ticks if order.side == BUY else desk.ask_ticks
    inside = best != 0 and order.side * (order.ticks - best) > 0
    if rules.depth == FULL_DEPTH or (rules.depth != NO_DEPTH and (inside or order.ticks == best)):
        order.ahead = market.lots_at(rules, levels, order.side, order.ticks)
    else:
        order.ahead = NEVER_NS if rules.assumed < 0 else rules.assumed
    order.joined = order.ahead if order.ahead != NEVER_NS else -1


# --- taking ----------------------------------------------------------------------------------------------
@either_way
def best_offer(desk: Any, side: int) -> int:
    """The market's best price for a taker of `side`; 0 when there is none."""
    return desk.ask_ticks if side == BUY else desk.bid_ticks  # type: ignore[no-any-return]


@either_way
def would_take(desk: Any, rules: Any, order: Any) -> bool:
    """True when a limit order would trade at once."""
    offer = best_offer(desk, order.side)
    if offer != 0 and order.side * (order.ticks - offer) >= 0:
        return True
    own = best_own(desk, -order.side)
    return own >= 0 and order.side * (order.ticks - desk.orders[own].ticks) >= 0


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
def slipped_ticks(desk: Any, rules: Any, side: int, lots: int) -> int:
    """What a taker pays where the book shows no sizes: the best price plus slippage and impact."""
    reference = desk.last_ticks if rules.of_bars != 0 else best_offer(desk, side)
    if reference == 0:
        return 0
    costs = rules.costs
    sigma = np.sqrt(desk.variance)
    slippage = slippage_of(lots * rules.step_size, desk.volume * rules.step_size, sigma, costs)
    return int(taker_price_ticks(side, float(reference), 1.0, slippage))


@either_way
def within(order: Any, ticks: int) -> bool:
    """True when an order may trade at a price."""
    return order.ticks == 0 or order.side * (order.ticks - ticks) >= 0  # type: ignore[no-any-return]


@either_way
def bounded(desk: Any, rules: Any, lots: int) -> int:
    """`lots`, or what is left of the share of a bar's volume the account may take."""
    if rules.of_bars == 0 or rules.costs.participation <= 0.0:
        return lots
    return max(0, min(lots, desk.budget))  # type: ignore[no-any-return]


@either_way
def take(desk: Any, rules: Any, levels: Any, fills: Any, ends: Any, order: Any) -> None:
    """Trade an order against the book, up to its limit, and expire own orders that it would meet."""
    handle = order.handle
    if rules.depth != NO_DEPTH:
        _take_shown(desk, rules, levels, fills, ends, order)
    if rules.depth != FULL_DEPTH and order.handle == handle:
        ticks = slipped_ticks(desk, rules, order.side, order.left)
        if ticks != 0 and within(order, ticks):
            _expire_own(desk, ends, order, ticks)
            lots = bounded(desk, rules, order.left)
            if lots > 0:
                fill(desk, rules, fills, ends, order, lots, ticks, 0)
    if order.handle == handle and (has_limit(order) or rules.depth == FULL_DEPTH):
        _expire_own(desk, ends, order, order.ticks)


@either_way
def _take_shown(desk: Any, rules: Any, levels: Any, fills: Any, ends: Any, order: Any) -> None:
    """Take what the book shows, price by price."""
    handle, side = order.handle, order.side
    price = best_offer(desk, side)
    while price != 0 and within(order, price):
        _meet_own(desk, ends, order, price, rules, levels, fills)
        if order.handle != handle:
            return
        lots = min(order.left, market.lots_at(rules, levels, -side, price))
        if lots > 0:
            traded = fill(desk, rules, fills, ends, order, lots, price, 0)
            market.take_from_level(desk, rules, levels, -side, price, traded)
        if order.handle != handle:
            return
        best = best_offer(desk, side)
        price = best if best != price else 0


@either_way
def _meet_own(desk: Any, ends: Any, order: Any, price: int, rules: Any, levels: Any, fills: Any) -> None:
    """Own resting orders at a price or better: trade what stands ahead of each, then expire it."""
    handle, side = order.handle, order.side
    own = best_own(desk, -side)
    while own >= 0:
        resting = desk.orders[own]
        if side * (resting.ticks - price) > 0:
            return
        if resting.ticks == price and resting.ahead > 0:
            shown = market.lots_at(rules, levels, -side, price)
            lots = min(order.left, min(resting.ahead, shown))
            if lots > 0:
                traded = fill(desk, rules, fills, ends, order, lots, price, 0)
                _advance_queues(desk, -side, price, traded)
                market.take_from_level(desk, rules, levels, -side, price, traded)
            if order.handle != handle:
                return
        prevent_self_trade(desk, ends, resting)
        own = best_own(desk, -side)


@either_way
def _expire_own(desk: Any, ends: Any, order: Any, price: int) -> None:
    """Expire own resting orders that a taker would reach on its way to a price (0: to any price)."""
    own = best_own(desk, -order.side)
    while own >= 0 and (price == 0 or order.side * (desk.orders[own].ticks - price) <= 0):
        prevent_self_trade(desk, ends, desk.orders[own])
        own = best_own(desk, -order.side)


@either_way
def takeable_lots(desk: Any, rules: Any, levels: Any, order: Any) -> int:
    """How many lots the market would give an order within its limit, at once."""
    if rules.depth == NO_DEPTH:
        ticks = slipped_ticks(desk, rules, order.side, order.left)
        return bounded(desk, rules, order.left) if ticks != 0 and within(order, ticks) else 0
    found = 0
    price = best_offer(desk, order.side)
    while price != 0 and found < order.left and within(order, price):
        found += market.lots_at(rules, levels, -order.side, price)
        price = market.next_offer(desk, rules, levels, order.side, price)
    return found


@either_way
def cost_of_taking(desk: Any, rules: Any, levels: Any, lots: int) -> int:
    """Quote units a market buy will spend at most on the present book."""
    cost = 0
    if rules.depth != NO_DEPTH:
        price = best_offer(desk, BUY)
        while price != 0 and lots > 0:
            taken = min(lots, market.lots_at(rules, levels, SELL, price))
            cost += value_up(taken, price, rules)
            lots -= taken
            price = market.next_offer(desk, rules, levels, BUY, price)
        if rules.depth == FULL_DEPTH:
            return cost
    ticks = slipped_ticks(desk, rules, BUY, lots)
    return cost + value_up(lots, ticks, rules)


# --- being reached ---------------------------------------------------------------------------------------
@unit
def print_reaches(
    desk: Any, rules: Any, levels: Any, fills: Any, ends: Any, side: int, ticks: int, lots: int, strict: int
) -> None:
    """A trade of the market meets own resting orders of a side, best price first, then the earlier one.

    With `strict` only prices that it went through count: its aggressor was not on the other side.
    """
    left = lots
    while left > 0:
        own = best_own(desk, side)
        if own < 0 or side * (desk.orders[own].ticks - ticks) < 0:
            break
        order = desk.orders[own]
        if order.ticks == ticks:
            break
        left -= fill(desk, rules, fills, ends, order, min(left, order.left), order.ticks, 1)
    consumed = 0
    while left > 0 and strict == 0:
        own = _next_at(desk, side, ticks, consumed, left)
        if own < 0:
            break
        order = desk.orders[own]
        consumed_here = max(0, order.ahead - consumed)
        left -= consumed_here
        consumed += consumed_here
        left -= fill(desk, rules, fills, ends, order, min(left, order.left), ticks, 1)
    if strict == 0:
        _advance_queues(desk, side, ticks, consumed + left)
    refresh(desk)


@either_way
def _next_at(desk: Any, side: int, ticks: int, consumed: int, left: int) -> int:
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
def _advance_queues(desk: Any, side: int, ticks: int, lots: int) -> None:
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


@either_way
def sweep(desk: Any, rules: Any, levels: Any, fills: Any, ends: Any, side: int) -> None:
    """Fill own resting orders of a side that the market's new depth has reached, at their own prices."""
    own = best_own(desk, side)
    while own >= 0:
        order = desk.orders[own]
        offer = best_offer(desk, side)
        if offer == 0 or side * (order.ticks - offer) < 0:
            break
        shown = market.lots_at(rules, levels, -side, offer)
        if shown <= 0:
            break
        traded = fill(desk, rules, fills, ends, order, min(order.left, shown), order.ticks, 1)
        market.take_from_level(desk, rules, levels, -side, offer, traded)
        own = best_own(desk, side)
    refresh(desk)


# --- triggers --------------------------------------------------------------------------------------------
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
