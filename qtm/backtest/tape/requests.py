"""From the strategy's desk to the venue: the gate's judgement, the way there, the arrival."""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.tape import accounts
from qtm.backtest.tape.ledger import BREACH, BY_REQUEST, GTD_OVER, PARENT_ENDED
from qtm.backtest.tape.matching import enter
from qtm.backtest.tape.orders import (
    cancel_with_group,
    end_order,
    has_limit,
    is_conditional,
    refresh,
    reject_group,
)
from qtm.backtest.tape.triggers import fire_if_traded, settle_families
from qtm.backtest.tape.units import unit
from qtm.compiled import either_way
from qtm.risk.rules import ACTIVE, HALTED, PT_01, GateView, breaches, loss_limit_passed
from qtm.trading.desk import (
    AMEND,
    BUY,
    CANCEL,
    EXPIRED,
    GTD,
    HELD,
    PLACE,
    REDUCE_ONLY,
    REFUSED,
    REJECTED,
    RESTING,
    SELL,
    SENT,
    cancel,
    is_open,
)
from qtm.trading.desk_memory import REQUESTS
from qtm.trading.exact import UNITS

MESSAGE_RING = 256
_MS = 1_000_000
_GAMMA, _MIX_1, _MIX_2 = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
)


@either_way
def draw(seed: int, number: int, count: int) -> int:
    """The `number`-th draw from 0 to `count` - 1 (SplitMix64; Steele, Lea and Flood 2014)."""
    z = np.uint64(seed) + np.uint64(number + 1) * _GAMMA
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    z = z ^ (z >> np.uint64(31))
    return int(z % np.uint64(count))


@either_way
def feed_delay(desk: Any, rules: Any) -> int:
    """How long the next message takes to the strategy."""
    if rules.feeds == 1:
        return rules.feed_ns[0]  # type: ignore[no-any-return]
    desk.draws += 1
    return rules.feed_ns[draw(rules.seed, desk.draws, rules.feeds)]  # type: ignore[no-any-return]


@either_way
def route_delay(desk: Any, rules: Any) -> int:
    """How long the next request takes to the venue."""
    if rules.routes == 1:
        return rules.order_ns[0]  # type: ignore[no-any-return]
    desk.draws += 1
    return rules.order_ns[draw(rules.seed, desk.draws, rules.routes)]  # type: ignore[no-any-return]


# --- leaving ---------------------------------------------------------------------------------------------
@unit
def dispatch(desk: Any, rules: Any, ends: Any) -> None:
    """Judge what the strategy has just asked for and send it on its way."""
    while desk.judged < desk.asked:
        request = desk.requests[desk.judged % REQUESTS]
        desk.judged += 1
        if request.what != CANCEL and desk.now_ns < rules.trade_from_ns:
            _forget(desk, request)
        elif request.what != CANCEL and rules.gated != 0:
            _pass_gate(desk, rules, ends, request)
        arrives = desk.now_ns + route_delay(desk, rules)
        if arrives < desk.last_arrival_ns:
            arrives = desk.last_arrival_ns
        desk.last_arrival_ns = arrives
        request.arrives_ns = arrives


@either_way
def _forget(desk: Any, request: Any) -> None:
    """A request made while the strategy only warms up."""
    if request.what == PLACE:
        slot = request.handle % 256
        desk.orders[slot].handle = 0
        for k in range(desk.count):
            if desk.active[k] == slot:
                desk.count -= 1
                desk.active[k] = desk.active[desk.count]
                desk.free[desk.count] = slot
                break
    request.handle = 0


@either_way
def _pass_gate(desk: Any, rules: Any, ends: Any, request: Any) -> None:
    if not is_open(desk, request.handle):
        request.handle = 0
        return
    order = desk.orders[request.handle % 256]
    lots, ticks = order.left, accounts.price_of_order(order, desk)
    if request.what == AMEND:
        lots, ticks = request.lots, request.ticks
    breached = judge(desk, rules, order, lots, ticks)
    if breached == 0:
        desk.message_ns[desk.messages % MESSAGE_RING] = desk.now_ns
        desk.messages += 1
        return
    request.handle = 0
    if request.what == PLACE:
        end_order(desk, ends, order, REFUSED, BREACH, breached)


@either_way
def judge(desk: Any, rules: Any, order: Any, lots: int, ticks: int) -> int:
    """The gate's answer to an order: 0, or the mask of breached controls.

    Everything else that is open counts at its worst case. The collar of a conditional order is not judged:
    its price lies beyond the market by intent.
    """
    accounts.roll_day(desk, rules, desk.now_ns)
    watch_losses(desk, rules, desk.now_ns)
    books = desk.books
    view = GateView(
        desk.last_ticks * rules.tick_size,
        0.0,
        books.base / UNITS,
        _open_qty(desk, rules, BUY, order.handle),
        _open_qty(desk, rules, SELL, order.handle),
        books.last_worth / UNITS,
        books.peak / UNITS,
        books.day_start / UNITS,
        _messages_in_window(desk, rules.limits.message_window_ms * 1e6),
        HALTED if books.loss_limit_ms != 0 and rules.limits.at_loss_limit == HALTED else ACTIVE,
    )
    claims = (order.flags & REDUCE_ONLY) != 0
    mask = int(
        breaches(order.side, lots * rules.step_size, ticks * rules.tick_size, claims, rules.limits, view)
    )
    return mask & ~PT_01 if is_conditional(order) else mask


@either_way
def watch_losses(desk: Any, rules: Any, ts_ns: int) -> None:
    """Keep when a loss first was above its limit, on bars the close; a halt then withdraws the entries."""
    books = desk.books
    if rules.gated == 0 or books.loss_limit_ms != 0:
        return
    worth, peak, day_start = books.last_worth / UNITS, books.peak / UNITS, books.day_start / UNITS
    if loss_limit_passed(worth, peak, day_start, rules.limits):
        grid_ns = rules.sample_ns if rules.of_bars != 0 else _MS
        books.loss_limit_ms = -(-ts_ns // grid_ns) * grid_ns // _MS
        if rules.limits.at_loss_limit == HALTED:
            _withdraw_entries(desk, rules)


@either_way
def _withdraw_entries(desk: Any, rules: Any) -> None:
    """Ask to cancel every open order but those that can only close the position: stops still work."""
    held = accounts.lots_held(desk.books, rules)
    for k in range(desk.count):
        order = desk.orders[desk.active[k]]
        closes = order.side * held < 0 and order.left <= abs(held)
        if not (closes and (is_conditional(order) or (order.flags & REDUCE_ONLY) != 0)):
            cancel(desk, order.handle)


@either_way
def _open_qty(desk: Any, rules: Any, side: int, but: int) -> float:
    """Base units of one side that may still trade, the order `but` left out; a group counts once."""
    total = 0
    for k in range(desk.count):
        order = desk.orders[desk.active[k]]
        if order.side != side or order.handle == but:
            continue
        counted = False
        if order.group != 0:
            for j in range(k):
                other = desk.orders[desk.active[j]]
                same = other.group == order.group and other.side == side and other.handle != but
                counted = counted or same
        if not counted:
            total += order.left
    return total * rules.step_size  # type: ignore[no-any-return]


@either_way
def _messages_in_window(desk: Any, window_ns: float) -> float:
    counted = 0
    kept = min(desk.messages, MESSAGE_RING)
    for back in range(1, kept + 1):
        if desk.now_ns - desk.message_ns[(desk.messages - back) % MESSAGE_RING] >= window_ns:
            break
        counted += 1
    return float(counted)


# --- arriving --------------------------------------------------------------------------------------------
@unit
def arrive(desk: Any, rules: Any, levels: Any, fills: Any, ends: Any) -> None:
    """The next request reaches the venue."""
    before = desk.traded_ticks
    request = desk.requests[desk.arrived % REQUESTS]
    desk.arrived += 1
    if not is_open(desk, request.handle):
        return
    order = desk.orders[request.handle % 256]
    if request.what == CANCEL:
        cancel_with_group(desk, ends, order, BY_REQUEST)
    elif request.what == AMEND:
        _amend(desk, rules, levels, fills, ends, order, request.lots, request.ticks)
    elif order.parent > 0 and is_open(desk, order.parent):
        order.status = HELD
    elif order.parent > 0:
        end_order(desk, ends, order, EXPIRED, PARENT_ENDED, 0)
    else:
        order.parent = 0
        group = order.group
        enter(desk, rules, levels, fills, ends, order)
        if group != 0 and order.handle == 0 and order.status == REJECTED:
            reject_group(desk, ends, group)
    refresh(desk)
    fire_if_traded(desk, rules, levels, fills, ends, before)
    if desk.family_due != 0:
        settle_families(desk, rules, levels, fills, ends)


@either_way
def _amend(
    desk: Any, rules: Any, levels: Any, fills: Any, ends: Any, order: Any, lots: int, ticks: int
) -> None:
    """Fewer lots at the same price keep the queue; anything else enters anew."""
    if lots <= 0:
        cancel_with_group(desk, ends, order, BY_REQUEST)
        return
    keeps = order.status == RESTING and ticks == order.ticks and lots <= order.left
    if keeps and rules.spot != 0:
        before = order.left
        share = order.locked // before if order.side == SELL else 0
        accounts.release(desk, order, share * (before - lots))
    order.lots += lots - order.left
    order.left = lots
    if keeps:
        return
    if has_limit(order):
        order.ticks = ticks
    else:
        order.trigger_ticks = ticks
    if order.status != HELD:
        accounts.unlock(desk, order)
        order.status = SENT
        order.locked = 0
        enter(desk, rules, levels, fills, ends, order)


@either_way
def expire_due(desk: Any, ends: Any, now_ns: int) -> None:
    """End the orders whose date is over."""
    k = desk.count - 1
    while k >= 0:
        order = desk.orders[desk.active[k]]
        if order.time_in_force == GTD and order.status != SENT and order.expire_ns <= now_ns:
            end_order(desk, ends, order, EXPIRED, GTD_OVER, 0)
            k = desk.count
        k -= 1
    refresh(desk)
