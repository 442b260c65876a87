"""What happens to a position inside a bar: protective exits and liquidation, on the pessimistic path.

Inside a bar only open, high, low and close are known. Whatever hurts is assumed to come first: a stop before
a take-profit, liquidation before a stop that lies beyond it. A stop that the open has jumped fills at the
open. A take-profit rests as a maker and fills only when the price trades through it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.compiled import inlined
from qtm.trading.book import on_fill, on_reported_fill
from qtm.trading.costs import price_of, taker_price_ticks
from qtm.trading.margin import liquidation_price

ENTRY, STOP, TAKE_PROFIT, TRAIL, LIQUIDATION = 0, 1, 2, 3, 4
CAUSES = ("target", "stop", "take-profit", "trailing stop", "liquidation")
"""Why an order was made."""

NOTHING = -1


@inlined
def arm(session: Any, plan: Any) -> None:
    """Take over the exits a step answered with."""
    if not np.isnan(plan.stop):
        session.stop = plan.stop
    if not np.isnan(plan.take_profit):
        session.take_profit = plan.take_profit
    if not np.isnan(plan.trail):
        session.trail = plan.trail
        session.trail_level = 0.0
    session.armed = session.stop > 0.0 or session.take_profit > 0.0 or session.trail > 0.0


@inlined
def disarm(session: Any) -> None:
    """Forget all exits."""
    session.stop = session.take_profit = session.trail = session.trail_level = 0.0
    session.armed = False


@inlined
def trail_behind(session: Any, qty: float, best: float) -> None:
    """Pull the trailing level along behind the best price of a closed bar (or the entry)."""
    if session.trail <= 0.0 or qty == 0.0:
        return
    if qty > 0.0:
        session.trail_level = max(session.trail_level, best - session.trail)
    else:
        level = best + session.trail
        session.trail_level = level if session.trail_level <= 0.0 else min(session.trail_level, level)


@inlined
def nearest_stop(session: Any, qty: float) -> tuple[float, int]:
    """The stop that is hit first and its cause; level 0.0 for none."""
    level, cause = session.stop, STOP
    trailed = session.trail_level
    if trailed > 0.0 and (level <= 0.0 or (trailed > level if qty > 0.0 else trailed < level)):
        return trailed, TRAIL
    return level, cause


@inlined
def close_at(book: Any, lots: float, price: float, maker: bool, rules: Any) -> tuple[float, float]:
    """Close `lots` as taker at the worse tick of `price`, or as maker at it: (fill price, fee)."""
    tick_size, side = rules.grid.tick_size, (1 if lots > 0.0 else -1)
    if maker:
        ticks = np.floor(price / tick_size + 1e-9) if side > 0 else np.ceil(price / tick_size - 1e-9)
    else:
        ticks = taker_price_ticks(side, price, tick_size, rules.costs.slippage_bps)
    paid = price_of(ticks, tick_size)
    return paid, on_fill(book, lots, paid, maker, rules.costs, rules.grid)


@inlined
def liquidate(book: Any, price: float, rules: Any) -> tuple[float, float, float]:
    """Close everything at `price` with the liquidation fee: (lots, price, fee); no debt is left."""
    lots = -np.rint(book.qty / rules.grid.step_size)
    charged = abs(book.qty) * price * rules.margin.liquidation_fee
    left = book.cash + book.qty * price
    fee = on_reported_fill(book, lots, price, 0.0, max(0.0, min(charged, left)), rules.grid)
    book.qty = 0.0
    book.cash = max(0.0, book.cash)
    return lots, price, fee


@inlined
def live_through(
    session: Any, book: Any, opened: float, high: float, low: float, rules: Any
) -> tuple[int, float, float, float]:
    """Let a position live through a bar: (cause or NOTHING, lots, fill price, fee)."""
    qty = book.qty
    if abs(qty) < rules.grid.step_size:
        return NOTHING, 0.0, 0.0, 0.0
    long = qty > 0.0
    worst = low if long else high
    stop, cause = nearest_stop(session, qty)
    ruin = liquidation_price(qty, book.cash, rules.margin)
    stop_hit = stop > 0.0 and (worst <= stop if long else worst >= stop)
    ruined = ruin > 0.0 and (worst <= ruin if long else worst >= ruin)
    stop_first = stop_hit and (ruin <= 0.0 or (stop >= ruin if long else stop <= ruin))
    at_stop = (min(opened, stop) if long else max(opened, stop)) if stop_hit else 0.0
    if stop_first and ruined and (at_stop < ruin if long else at_stop > ruin):
        stop_first = False  # the open has jumped past both
    if ruined and not stop_first:
        lots, paid, fee = liquidate(book, min(opened, ruin) if long else max(opened, ruin), rules)
        return LIQUIDATION, lots, paid, fee
    lots = -np.trunc(qty / rules.grid.step_size + np.copysign(1e-9, qty))
    if stop_hit:
        paid, fee = close_at(book, lots, at_stop, False, rules)
        return cause, lots, paid, fee
    target = session.take_profit
    if target > 0.0 and (high > target if long else low < target):
        paid, fee = close_at(book, lots, target, True, rules)
        return TAKE_PROFIT, lots, paid, fee
    return NOTHING, 0.0, 0.0, 0.0
