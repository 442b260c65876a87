"""The short form of the legs, which spares most bars a look at their records.

Positions change where orders or exits fill, and targets where a step answers something new: only then are
the lists of held and of unmet legs made again.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.account.memory import NOBODY, margin_of_quote
from qtm.backtest.intrabar import arm
from qtm.compiled import either_way
from qtm.trading.book import set_desired
from qtm.trading.plan import Plan


@either_way
def take_stock(account: Any, legs: Any, lines: Any) -> None:
    """Read all of it off the legs."""
    account.unmet = 0
    for s in range(lines.size):
        leg, line = legs[s], lines[s]
        line.qty = leg.qty
        line.unmet = leg.desired != leg.achieved
        if line.unmet:
            account.unmet += 1
    list_held(account, lines)


@either_way
def note_trades(account: Any, quotes: Any, legs: Any, lines: Any, waiting: Any, orders: int) -> None:
    """Follow the positions of the first `orders` instruments in `waiting`, whose orders have traded."""
    if account.working > 0:  # some wait on, and have moved to the front of the list
        for s in range(lines.size):
            lines[s].qty = legs[s].qty
    else:
        for at in range(orders):
            s = quotes[waiting[at]].first_leg
            while s != NOBODY:
                lines[s].qty = legs[s].qty
                s = legs[s].next
    list_held(account, lines)


@either_way
def list_held(account: Any, lines: Any) -> None:
    """List the legs with a position."""
    held, invested = 0, False
    for s in range(lines.size):
        qty = lines[s].qty
        if qty != 0.0:
            line = lines[held]
            line.held, line.held_qty, line.held_in = s, qty, lines[s].instrument
            held += 1
            invested |= abs(qty) >= lines[s].step_size
    account.held = held
    account.invested = invested


@either_way
def want_target(account: Any, leg: Any, line: Any, target: float) -> None:
    """Take over a step's target for a leg; NaN means no change."""
    set_desired(leg, target)
    if leg.desired != leg.achieved and not line.unmet:
        line.unmet = True
        account.unmet += 1


@either_way
def take_targets(account: Any, legs: Any, lines: Any, targets: Any) -> None:
    """Take over the targets that steps have answered ahead to a bar, whose row this is, and clear it."""
    for s in range(lines.size):
        if not np.isnan(targets[s]):
            want_target(account, legs[s], lines[s], targets[s])
            targets[s] = np.nan


@either_way
def take_exits(account: Any, quotes: Any, legs: Any, exits: Any) -> None:
    """Take over the exits that steps have answered ahead to a bar, whose row this is, and clear it."""
    for s in range(legs.size):
        answer = exits[s]
        if answer.given:
            leg = legs[s]
            plan = Plan(np.nan, answer.stop, answer.take_profit, answer.trail)
            arm(leg, leg, plan, margin_of_quote(quotes[leg.instrument]))
            account.watched = account.watched or leg.armed
            answer.given = False


@either_way
def queue_unmet(account: Any, legs: Any, lines: Any, queue: Any, closes: Any) -> None:
    """List the legs whose target is unmet and whose instrument has a bar, whose closes these are."""
    account.queued = 0
    for s in range(lines.size):
        if lines[s].unmet:
            leg = legs[s]
            if leg.desired == leg.achieved:
                lines[s].unmet = False
                account.unmet -= 1
            elif not np.isnan(closes[leg.instrument]):
                queue[account.queued] = s
                account.queued += 1
