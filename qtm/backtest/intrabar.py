"""What happens to a position inside a bar: protective exits and liquidation, on the pessimistic path.

Inside a bar only open, high, low and close are known. Whatever hurts is assumed to come first: a stop before
a take-profit, liquidation before a stop that lies beyond it. A stop that the open has jumped fills at the
open. A take-profit rests as a maker and fills only when the price trades through it. A stop that the bar's
volume does not carry whole is a market order from then on: the rest leaves at the opens that follow.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.compiled import compiled, either_way
from qtm.trading.book import on_fill, on_reported_fill
from qtm.trading.costs import fillable_lots, price_of, slippage_of, taker_price_ticks
from qtm.trading.exits import TAKE_PROFIT, nearest_stop, profit_level, take_over, trail_behind
from qtm.trading.margin import liquidation_price

ENTRY, LIQUIDATION = 0, 4
CAUSES = ("target", "stop", "take-profit", "trailing stop", "liquidation")
"""Why an order was made."""

NOTHING = -1

_A_HAIR = 1e-9
"""More than the grid may move a level towards the market: see `qtm.trading.exits.further`."""


@compiled
def arm(session: Any, book: Any, plan: Any, margin: Any) -> None:
    """Take over the exits a step answered with, and where they leave the bars calm."""
    take_over(session, plan)
    rest_calm(session, book, margin)


@compiled
def rest_calm(session: Any, book: Any, margin: Any) -> None:
    """Work out between which prices nothing can happen to the position: the loop skips such bars.

    The edges err on the side of looking: a bar that reaches one goes through `live_through`, which decides.
    """
    session.calm_above, session.calm_below = -np.inf, np.inf
    qty = book.qty
    if qty == 0.0:
        return
    worse, better = liquidation_price(qty, book.cash, margin), session.take_profit
    if session.leaving != 0 or (session.trail > 0.0 and session.trail_level <= 0.0):
        session.calm_above = np.inf
    elif qty > 0.0:
        session.calm_above = max(worse, session.stop, session.trail_level) * (1.0 + _A_HAIR)
        best = (session.trail_level + session.trail) * (1.0 - 1e-12) if session.trail > 0.0 else np.inf
        session.calm_below = min(better if better > 0.0 else np.inf, best)
    else:
        best = (session.trail_level - session.trail) * (1.0 + 1e-12) if session.trail > 0.0 else 0.0
        session.calm_above = max(better, best)
        for level in (worse, session.stop, session.trail_level):
            if level > 0.0:
                session.calm_below = min(session.calm_below, level * (1.0 - _A_HAIR))


@either_way
def only_trails(session: Any, qty: float, high: float, low: float) -> bool:
    """True when a bar takes the trailing level along and reaches no level at which a position is closed.

    A take-profit rests on the side of the best price too: with one, `live_through` decides.
    """
    if (
        session.trail <= 0.0
        or session.trail_level <= 0.0
        or session.take_profit > 0.0
        or session.leaving != 0
    ):
        return False
    return bool(low > session.calm_above if qty > 0.0 else qty < 0.0 and high < session.calm_below)


@either_way
def trail_calm(session: Any, qty: float, high: float, low: float) -> None:
    """Take the trailing level along through a bar that does nothing else, and the calm edges with it.

    The edges are those of `rest_calm`: rounding keeps the order of levels, and the others have not moved.
    """
    trail_behind(session, qty, high if qty > 0.0 else low)
    level = session.trail_level
    if qty > 0.0:
        session.calm_above = max(session.calm_above, level * (1.0 + _A_HAIR))
        session.calm_below = (level + session.trail) * (1.0 - 1e-12)
    else:
        session.calm_below = min(session.calm_below, level * (1.0 - _A_HAIR))
        session.calm_above = max(session.take_profit, (level - session.trail) * (1.0 + 1e-12))


@either_way
def close_at(
    session: Any, book: Any, asked: float, price: float, maker: bool, volume: float, taken: float, rules: Any
) -> tuple[float, float, float]:
    """Close what the bar still carries of `asked` lots, `taken` being gone: (lots filled, fill price, fee).

    As taker at the worse tick of `price` with impact, or as maker at `price`.
    """
    grid, side = rules.grid, (1 if asked > 0.0 else -1)
    lots = fillable_lots(asked, volume, grid.step_size, rules.costs, taken)
    if lots == 0.0:
        return 0.0, np.nan, 0.0
    if maker:
        ticks = (
            np.floor(price / grid.tick_size + 1e-9) if side > 0 else np.ceil(price / grid.tick_size - 1e-9)
        )
    else:
        bps = slippage_of(lots * grid.step_size, volume, np.sqrt(session.variance), rules.costs)
        ticks = taker_price_ticks(side, price, grid.tick_size, bps)
    paid = price_of(ticks, grid.tick_size)
    return lots, paid, on_fill(book, lots, paid, maker, rules.costs, grid)


@either_way
def liquidate(book: Any, price: float, rules: Any) -> tuple[float, float, float]:
    """Close everything at `price` with the liquidation fee: (lots, price, fee); no debt is left."""
    lots = -np.rint(book.qty / rules.grid.step_size)
    charged = abs(book.qty) * price * rules.margin.liquidation_fee
    left = book.cash + book.qty * price
    fee = on_reported_fill(book, lots, price, 0.0, max(0.0, min(charged, left)), rules.grid)
    book.qty = 0.0
    book.cash = max(0.0, book.cash)
    return lots, price, fee


@either_way
def live_through(
    session: Any, book: Any, opened: float, high: float, low: float, volume: float, taken: float, rules: Any
) -> tuple[int, float, float, float, float]:
    """Let a position live through a bar: (cause or NOTHING, lots asked, lots filled, fill price, fee).

    Earlier orders have taken `taken` lots of the bar's volume.
    """
    qty = book.qty
    if abs(qty) < rules.grid.step_size:
        return NOTHING, 0.0, 0.0, 0.0, 0.0
    long = qty > 0.0
    worst = low if long else high
    stop, cause = nearest_stop(session, qty, rules.grid.tick_size)
    ruin = liquidation_price(qty, book.cash, rules.margin)
    stop_hit = stop > 0.0 and (worst <= stop if long else worst >= stop)
    ruined = ruin > 0.0 and (worst <= ruin if long else worst >= ruin)
    stop_first = stop_hit and (ruin <= 0.0 or (stop >= ruin if long else stop <= ruin))
    at_stop = (min(opened, stop) if long else max(opened, stop)) if stop_hit else 0.0
    if session.leaving != 0:
        stop_hit, stop_first, at_stop, cause = True, True, opened, session.leaving
    if stop_first and ruined and (at_stop < ruin if long else at_stop > ruin):
        stop_first = False  # the open has jumped past both
    if ruined and not stop_first:
        lots, paid, fee = liquidate(book, min(opened, ruin) if long else max(opened, ruin), rules)
        return LIQUIDATION, lots, lots, paid, fee
    asked = -np.trunc(qty / rules.grid.step_size + np.copysign(1e-9, qty))
    if stop_hit:
        filled, paid, fee = close_at(session, book, asked, at_stop, False, volume, taken, rules)
        session.leaving = 0 if filled == asked else cause
        return (cause if filled != 0.0 else NOTHING), asked, filled, paid, fee
    target = profit_level(session, qty, rules.grid.tick_size)
    if target > 0.0 and (high > target if long else low < target):
        filled, paid, fee = close_at(session, book, asked, target, True, volume, taken, rules)
        return (TAKE_PROFIT if filled != 0.0 else NOTHING), asked, filled, paid, fee
    return NOTHING, 0.0, 0.0, 0.0, 0.0
