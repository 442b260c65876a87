"""The short form of the legs, which spares most bars a look at their records.

Positions change where orders or exits fill, and targets where a step answers something new: only then do the
lists of held and of unmet legs change, by the legs that it concerns. Both are kept in the order of the legs.
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
    account.unmet = account.held = account.invested = 0
    for s in range(lines.size):
        leg, line = legs[s], lines[s]
        line.qty = 0.0
        line.unmet = False
        hold(account, lines, s, leg.qty)
        if leg.desired != leg.achieved:
            list_unmet(account, lines, s)


@either_way
def note_trades(account: Any, quotes: Any, legs: Any, lines: Any, waiting: Any, orders: int) -> None:
    """Follow the positions of the first `orders` instruments in `waiting`, whose orders have traded."""
    if account.working > 0:  # some wait on, and have moved to the front of the list
        for s in range(lines.size):
            hold(account, lines, s, legs[s].qty)
        return
    for at in range(orders):
        s = quotes[waiting[at]].first_leg
        while s != NOBODY:
            hold(account, lines, s, legs[s].qty)
            s = legs[s].next


@either_way
def hold(account: Any, lines: Any, s: int, qty: float) -> None:
    """Leg `s` has a position of `qty` now: keep the list of those that have one."""
    line = lines[s]
    before = line.qty
    if qty == before:
        return
    line.qty = qty
    account.invested += int(abs(qty) >= line.step_size) - int(abs(before) >= line.step_size)
    if before == 0.0:
        at = account.held
        account.held += 1
        while at > 0 and lines[at - 1].held > s:
            copy_holding(lines, at - 1, at)
            at -= 1
    else:
        at = 0
        while lines[at].held != s:
            at += 1
        if qty == 0.0:
            account.held -= 1
            for other in range(at, account.held):
                copy_holding(lines, other + 1, other)
            return
    holding = lines[at]
    holding.held, holding.held_qty, holding.held_in = s, qty, line.instrument


@either_way
def copy_holding(lines: Any, of: int, to: int) -> None:
    """Repeat row `of` of the list of positions in row `to`."""
    source, target = lines[of], lines[to]
    target.held, target.held_qty, target.held_in = source.held, source.held_qty, source.held_in


@either_way
def want_target(account: Any, legs: Any, lines: Any, s: int, target: float) -> None:
    """Take over a step's target for leg `s`; NaN means no change."""
    leg = legs[s]
    set_desired(leg, target)
    if leg.desired != leg.achieved and not lines[s].unmet:
        list_unmet(account, lines, s)


@either_way
def list_unmet(account: Any, lines: Any, s: int) -> None:
    """Put leg `s` on the list of those whose target is unmet, where it is not."""
    lines[s].unmet = True
    at = account.unmet
    account.unmet += 1
    while at > 0 and lines[at - 1].pending > s:
        lines[at].pending = lines[at - 1].pending
        at -= 1
    lines[at].pending = s


@either_way
def take_plan(
    account: Any,
    quotes: Any,
    legs: Any,
    lines: Any,
    s: int,
    target: float,
    stop: float,
    take_profit: float,
    trail: float,
) -> None:
    """Take over what a step has answered for leg `s`."""
    want_target(account, legs, lines, s, target)
    if not (np.isnan(stop) and np.isnan(take_profit) and np.isnan(trail)):
        leg = legs[s]
        plan = Plan(np.nan, stop, take_profit, trail)
        arm(leg, leg, plan, margin_of_quote(quotes[leg.instrument]))
        account.watched = account.watched or leg.armed


@either_way
def take_targets(account: Any, legs: Any, lines: Any, targets: Any, count: int) -> None:
    """Take over the first `count` of the `targets` that steps have answered ahead to a bar."""
    for at in range(count):
        want_target(account, legs, lines, targets[at].leg, targets[at].target)


@either_way
def take_exits(account: Any, quotes: Any, legs: Any, exits: Any, count: int) -> None:
    """Take over the first `count` of the `exits` that steps have answered ahead to a bar."""
    for at in range(count):
        answer = exits[at]
        leg = legs[answer.leg]
        plan = Plan(np.nan, answer.stop, answer.take_profit, answer.trail)
        arm(leg, leg, plan, margin_of_quote(quotes[leg.instrument]))
        account.watched = account.watched or leg.armed


@either_way
def queue_unmet(account: Any, legs: Any, lines: Any, queue: Any, closes: Any) -> None:
    """List the legs whose target is unmet and whose instrument has a bar, whose closes these are."""
    account.queued = kept = 0
    for at in range(account.unmet):
        s = lines[at].pending
        leg = legs[s]
        if leg.desired == leg.achieved:
            lines[s].unmet = False
            continue
        lines[kept].pending = s
        kept += 1
        if not np.isnan(closes[leg.instrument]):
            queue[account.queued] = s
            account.queued += 1
    account.unmet = kept
