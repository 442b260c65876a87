"""Where orders meet the market: takers walk the book, prints reach resting orders.

A resting order is filled only by a trade: one through its price, or one at its price when everything ahead of
it in the queue has gone. A trade fills no more than its own quantity, the account's better prices first, then
the earlier order. An order never trades with the account's own: the resting one is expired, as on Binance.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.tape import market
from qtm.backtest.tape.events import FULL_DEPTH, NO_DEPTH
from qtm.backtest.tape.ledger import (
    DONE,
    FOK_UNFILLED,
    GTD_OVER,
    IOC_REMAINDER,
    NO_LIQUIDITY,
    WOULD_TAKE,
)
from qtm.backtest.tape.orders import (
    end_order,
    fill,
    has_limit,
    is_conditional,
    prevent_self_trade,
    refresh,
    refusal_of,
    set_aside,
    trigger_price,
)
from qtm.backtest.tape.queues import advance_queues, best_own, next_at
from qtm.backtest.tape.rules import NEVER_NS
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
                advance_queues(desk, -side, price, traded)
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
        own = next_at(desk, side, ticks, consumed, left)
        if own < 0:
            break
        order = desk.orders[own]
        consumed_here = max(0, order.ahead - consumed)
        left -= consumed_here
        consumed += consumed_here
        left -= fill(desk, rules, fills, ends, order, min(left, order.left), ticks, 1)
    if strict == 0:
        advance_queues(desk, side, ticks, consumed + left)
    refresh(desk)


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
