"""How a bar is lived through: its four prices as a path that assumes the worst order of events.

Inside a bar only open, high, low and close are known. With a position the side that hurts comes first, so a
stop trades before a target. A flat account whose working orders could open a position sees the favourable
side first and the adverse one after the entry. Otherwise a rising bar goes to its low first, a falling one to
its high. Along each leg orders are met in order of price, a trigger before a resting order, and what a fill
brings to life is met on the rest of the leg.

The open is a jump: a stop it has passed trades at the open, a resting order at its own price. A resting order
needs a price beyond it. Requests that arrive during a bar meet its open.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.tape import accounts
from qtm.backtest.tape.matching import bounded
from qtm.backtest.tape.orders import fill, liquidate, refresh, waits_above
from qtm.backtest.tape.requests import arrive
from qtm.backtest.tape.triggers import fires, follow, level_of, settle_families, trigger
from qtm.backtest.tape.units import unit
from qtm.compiled import either_way
from qtm.trading.costs import next_variance, taker_price_ticks
from qtm.trading.desk import BUY, ON_MARK, RESTING, SELL, TRAILING, WAITING
from qtm.trading.desk_memory import REQUESTS

RUIN = -2


@either_way
def stand(desk: Any, rules: Any, ticks: int) -> None:
    """The market stands at a price; half the spread is the cost model's slippage."""
    desk.last_ticks = desk.traded_ticks = ticks
    if rules.costs.slippage_bps == 0.0:
        desk.ask_ticks = desk.bid_ticks = ticks
        return
    desk.ask_ticks = int(taker_price_ticks(BUY, float(ticks), 1.0, rules.costs.slippage_bps))
    desk.bid_ticks = int(taker_price_ticks(SELL, float(ticks), 1.0, rules.costs.slippage_bps))


@unit
def live_through(desk: Any, rules: Any, levels: Any, fills: Any, ends: Any, bar: Any) -> None:
    """Let all orders and the position live through a bar."""
    before = desk.last_ticks
    desk.volume = bar.volume
    desk.budget = int(np.floor(rules.costs.participation * bar.volume + 1e-9))
    if before != 0 and desk.count + abs(desk.books.base) != 0:
        walk(desk, rules, levels, fills, ends, before, bar.open, True)
    stand(desk, rules, bar.open)
    while desk.arrived < desk.asked:
        request = desk.requests[desk.arrived % REQUESTS]
        if request.arrives_ns > bar.close_ns:
            break
        arrive(desk, rules, levels, fills, ends)
    if desk.count + abs(desk.books.base) != 0:
        near, far = bar.low, bar.high
        if not falls_first(desk, rules, bar):
            near, far = bar.high, bar.low
        walk(desk, rules, levels, fills, ends, bar.open, near, False)
        walk(desk, rules, levels, fills, ends, near, far, False)
        walk(desk, rules, levels, fills, ends, far, bar.close, False)
    stand(desk, rules, bar.close)
    if rules.costs.impact > 0.0:
        desk.variance = next_variance(desk.variance, float(before), float(bar.close))


@either_way
def falls_first(desk: Any, rules: Any, bar: Any) -> bool:
    """Whether the path visits the low before the high."""
    held = accounts.lots_held(desk.books, rules)
    if held != 0:
        return held > 0
    buys = sells = False
    for k in range(desk.count):
        order = desk.orders[desk.active[k]]
        if order.status == RESTING:
            buys = buys or (order.side == BUY and order.ticks > bar.low)
            sells = sells or (order.side == SELL and order.ticks < bar.high)
        elif order.status == WAITING:
            worst = bar.high if waits_above(order) else bar.low
            buys = buys or (order.side == BUY and fires(order, worst))
            sells = sells or (order.side == SELL and fires(order, worst))
    if buys != sells:
        return sells
    return bar.close >= bar.open  # type: ignore[no-any-return]


@unit
def walk(desk: Any, rules: Any, levels: Any, fills: Any, ends: Any, start: int, end: int, jump: bool) -> None:
    """One leg of the path from `start` to `end`; a `jump` passes over all prices between at once."""
    if start == end and not jump:
        return
    way = 1 if end >= start else -1
    here = start
    while True:
        slot = first_met(desk, rules, way, here, end)
        if slot == -1:
            break
        if slot == RUIN:
            level = desk.books.ruin_low if way < 0 else desk.books.ruin_high
            here = end if jump else _further(level, here, way)
            stand(desk, rules, here)
            liquidate(desk, rules, fills, ends, here)
            continue
        order = desk.orders[slot]
        if order.status == RESTING:
            if order.side != way:
                here = _further(order.ticks, here, way)
            here = end if jump else here
            stand(desk, rules, here)
            lots = bounded(desk, rules, order.left)
            fill(desk, rules, fills, ends, order, lots, order.ticks, 1)
        else:
            if not fires(order, here):
                here = _further(level_of(order), here, way)
            here = end if jump else here
            stand(desk, rules, here)
            trigger(desk, rules, levels, fills, ends, order)
        refresh(desk)
        if desk.family_due != 0:
            settle_families(desk, rules, levels, fills, ends)
    if desk.trailing != 0:
        for k in range(desk.count):
            order = desk.orders[desk.active[k]]
            if order.status == WAITING and order.kind == TRAILING:
                follow(order, end)


@either_way
def _further(ticks: int, here: int, way: int) -> int:
    """The later of two prices on the way."""
    return ticks if way * (ticks - here) > 0 else here


@either_way
def first_met(desk: Any, rules: Any, way: int, here: int, end: int) -> int:
    """Slot of the order that the way from `here` to `end` meets first, `RUIN`, or -1 for none."""
    found, met = -1, 0
    exhausted = rules.costs.participation > 0.0 and desk.budget <= 0
    for k in range(desk.count):
        slot = desk.active[k]
        order = desk.orders[slot]
        if exhausted:
            continue
        if order.status == WAITING:
            if (order.flags & ON_MARK) != 0 and rules.marked != 0:
                continue
            level = level_of(order)
            if fires(order, here):  # it had no volume to trade against before
                level = here
            elif waits_above(order) != (way > 0) or way * (end - level) < 0:
                continue
        elif order.status == RESTING:
            level = order.ticks
            if order.side == way:
                level = here
            if order.side * (order.ticks - (here if order.side == way else end)) <= 0:
                continue
        else:
            continue
        level = _further(level, here, way)
        sooner = way * (met - level)
        if found == -1 or sooner > 0:
            found, met = slot, level
        elif sooner == 0:
            other = desk.orders[found]
            waits, waited = order.status == WAITING, other.status == WAITING
            if (waits and not waited) or (waits == waited and order.handle < other.handle):
                found = slot
    if rules.marked == 0:
        ruin = desk.books.ruin_low if way < 0 else desk.books.ruin_high
        if ruin != 0 and way * (end - ruin) >= 0:
            level = _further(ruin, here, way)
            if found == -1 or way * (met - level) > 0:
                return RUIN
    return found
