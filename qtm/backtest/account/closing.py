"""What a bar's close decides: targets become orders for the next open.

An order is sized from its sleeve's equity. Orders that give up a position come first, because what they will
bring in at their limit price may be spent; then the others in the order of the legs, each reserving what it
may cost. Each leg's order is judged by the limits of its strategy and instrument on its own sub-book; where
several strategies share the account, the net order of an instrument is judged once more, by the firm's limits
on the whole account. A refused net refuses the legs on its side, and what is left is judged again. A net that
leads out of the account's position is first cut to the firm's largest order, as each leg's was to its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.account.ledger import note_order
from qtm.backtest.account.memory import (
    MARGIN,
    NOBODY,
    SPOT,
    grid_of_quote,
    limits_of,
    margin_of_quote,
    rule_of_sleeve,
    rules_of,
    sizing_of_sleeve,
)
from qtm.backtest.account.opening import grant
from qtm.backtest.account.wallets import (
    free_cash,
    free_cash_of,
    initial_margin,
    margin_to_add,
    net_position,
)
from qtm.backtest.deciding import judge_change, largest_order
from qtm.backtest.intrabar import ENTRY
from qtm.backtest.session import MESSAGE_RING, REFUSED, REJECTED
from qtm.compiled import either_way
from qtm.risk.rules import halts
from qtm.risk.sized_targets import sized_target
from qtm.risk.sizing import UNSIZED
from qtm.trading.book import leaving_lots, limit_price_ticks, lots_towards, on_refused, wanted_qty
from qtm.trading.margin import is_covered


@either_way
def send_orders(
    account: Any,
    sleeves: Any,
    sessions: Any,
    quotes: Any,
    legs: Any,
    queue: Any,
    waiting: Any,
    orders: Any,
    seen: Any,
    closes: Any,
    opened_ms: int,
    i: int,
) -> None:
    """Turn the unmet targets of the queue into orders that work from the next open on.

    `closes` is the row of bar `i`; `seen` are the bars that sizing rules look back on.
    """
    at = 0
    while at < account.queued:
        k, start = legs[queue[at]].strategy, at
        base, rule = sizing_of_sleeve(sleeves[k]), rule_of_sleeve(sleeves[k])
        worth, peak = sessions[k].last_equity, sessions[k].peak_equity
        spendable, enlarging = sleeves[k].cash[SPOT], False
        while at < account.queued and legs[queue[at]].strategy == k:
            leg = legs[queue[at]]
            close, sizing = closes[leg.instrument], base
            if rule.kind != UNSIZED:
                most = limits_of(leg.limits).max_position_value / (1.0 + account.band)
                sizing = sized_target(base, rule, seen, leg.instrument, i, worth, peak, leg.stop, most)
            leg.wanted = wanted_qty(leg, close, worth, sizing, grid_of_quote(quotes[leg.instrument]))
            leg.giving_up = abs(leg.wanted) < abs(leg.qty) or leg.wanted * leg.qty < 0.0
            if leg.giving_up:
                spendable += want(
                    account,
                    sleeves,
                    sessions,
                    quotes,
                    legs,
                    orders,
                    queue[at],
                    spendable,
                    close,
                    opened_ms,
                    i,
                )
            else:
                enlarging = True
            at += 1
        if enlarging:
            for other in range(start, at):
                leg = legs[queue[other]]
                if not leg.giving_up:
                    close = closes[leg.instrument]
                    spendable += want(
                        account, sleeves, sessions, quotes, legs, orders, queue[other], spendable, close,
                        opened_ms, i,
                    )  # fmt: skip
    for at in range(account.queued):
        n = legs[queue[at]].instrument
        if quotes[n].wants:
            quotes[n].wants = False
            send_net(account, sleeves, sessions, quotes, legs, waiting, orders, n, closes[n], opened_ms, i)
    account.queued = 0


@either_way
def want(
    account: Any,
    sleeves: Any,
    sessions: Any,
    quotes: Any,
    legs: Any,
    orders: Any,
    s: int,
    spendable: float,
    close: float,
    opened_ms: int,
    i: int,
) -> float:
    """Let leg `s` want the order that leads to its wanted position; returns what that adds to the cash."""
    leg = legs[s]
    quote, session = quotes[leg.instrument], sessions[leg.strategy]
    grid, drift = grid_of_quote(quote), sleeves[leg.strategy].drift
    if drift > 0.0 and leg.leaving != 0 and np.isnan(leg.achieved):
        return 0.0  # an exit under way is not resized
    largest = largest_order(limits_of(leg.limits))
    lots = lots_towards(leg, leg.wanted, spendable, close, grid, account.band, largest, drift)
    if lots == 0.0:
        return 0.0
    now_ms = opened_ms + account.interval_ms
    ticks = limit_price_ticks(1 if lots > 0.0 else -1, close, grid.tick_size, account.band)
    limit = ticks * grid.tick_size
    leg.working_sequence = leg.orders
    breached, covered = 0, True
    if account.gated:
        breached = judge_leg(session, leg, quote, lots, limit, close, now_ms)
    if not quote.spot and account.isolated:
        free = free_cash_of(sleeves, quotes, legs, leg.strategy)
        free -= added(sleeves, quotes, legs, leg.strategy, leg.instrument)
        covered = affords(free, margin_to_add(quote, leg.qty, lots))
    elif not quote.spot:
        carried = margin_equity(sleeves, quotes, legs, leg.strategy, leg.strategy + 1)
        carried -= committed(sleeves, quotes, legs, leg.strategy, leg.instrument)
        after = leg.qty + lots * grid.step_size
        covered = is_covered(leg.qty, after, close, carried, margin_of_quote(quote))
    if breached != 0 or not covered:
        on_refused(leg, lots, grid, halts(breached))
        note_order(
            account, orders, i, now_ms, lots, 0.0, ticks, REFUSED if breached != 0 else REJECTED, ENTRY,
            breached, np.nan, 0.0, 0.0, s, leg, sleeves[leg.strategy].cash[quote.purse],
        )  # fmt: skip
        return 0.0
    session.message_ms[session.messages % MESSAGE_RING] = now_ms
    session.messages += 1
    leg.asked_lots = leg.working_lots = lots
    quote.wants = True
    if not quote.spot:
        return 0.0
    value = -lots * grid.step_size * limit
    return value * (1.0 - quote.taker_rate) if lots < 0.0 else value


@either_way
def judge_leg(
    session: Any, leg: Any, quote: Any, lots: float, limit: float, close: float, now_ms: int
) -> int:
    """The gate's answer to the order of a leg on its own book: 0, or the mask of breached controls."""
    return int(judge_change(session, leg.qty, lots, limit, close, now_ms, rules_of(quote, leg.limits)))


@either_way
def margin_equity(sleeves: Any, quotes: Any, legs: Any, first: int, last: int) -> float:
    """Equity on the margin account of the sleeves `first` to `last` (exclusive)."""
    worth = 0.0
    for k in range(first, last):
        worth += sleeves[k].cash[MARGIN]
        for s in range(sleeves[k].first, sleeves[k].last):
            leg = legs[s]
            if leg.qty != 0.0 and not quotes[leg.instrument].spot:
                worth += leg.qty * quotes[leg.instrument].close
    return worth


@either_way
def committed(sleeves: Any, quotes: Any, legs: Any, k: int, but: int) -> float:
    """Initial margin of a sleeve's positions, and the orders on them, in all instruments but one."""
    used = 0.0
    for s in range(sleeves[k].first, sleeves[k].last):
        leg = legs[s]
        if leg.instrument != but and not quotes[leg.instrument].spot:
            used += margin_in_use(quotes[leg.instrument], leg.qty, leg.working_lots)
    return used


@either_way
def added(sleeves: Any, quotes: Any, legs: Any, k: int, but: int) -> float:
    """Margin that a sleeve's orders add to its isolated positions, in all instruments but one."""
    more = 0.0
    for s in range(sleeves[k].first, sleeves[k].last):
        leg = legs[s]
        if leg.instrument != but and leg.working_lots != 0.0 and not quotes[leg.instrument].spot:
            more += margin_to_add(quotes[leg.instrument], leg.qty, leg.working_lots)
    return more


@either_way
def margin_in_use(quote: Any, qty: float, lots: float) -> float:
    """Initial margin of a position and the order working on it, at the larger of before and after."""
    return initial_margin(quote, max(abs(qty), abs(qty + lots * quote.step_size)) * quote.close)


@either_way
def affords(free: float, needed: float) -> bool:
    """True when free cash carries the margin an order adds; an order that adds none always passes."""
    return needed <= 0.0 or bool(needed <= free * (1.0 + 1e-12))


@either_way
def net_lots(quote: Any, legs: Any) -> float:
    """What the legs of an instrument want on balance."""
    net, s = 0.0, quote.first_leg
    while s != NOBODY:
        net += legs[s].working_lots
        s = legs[s].next
    return net


@either_way
def send_net(
    account: Any,
    sleeves: Any,
    sessions: Any,
    quotes: Any,
    legs: Any,
    waiting: Any,
    orders: Any,
    n: int,
    close: float,
    opened_ms: int,
    i: int,
) -> None:
    """Make one order of what the legs of instrument `n` want."""
    quote = quotes[n]
    for _ in range(2):
        wanting, s = False, quote.first_leg
        while s != NOBODY:
            wanting = wanting or legs[s].working_lots != 0.0
            s = legs[s].next
        if not wanting:
            return
        if account.netted and account.gated:
            cut_leaving(account, quote, legs, close)
        net = net_lots(quote, legs)
        if (
            not account.netted
            or net == 0.0
            or approved(account, sleeves, sessions, quotes, legs, orders, n, net, close, opened_ms, i)
        ):
            break
    quote.side = 0 if net == 0.0 else (1 if net > 0.0 else -1)
    quote.buy_limit = limit_price_ticks(1, close, quote.tick_size, account.band)
    quote.sell_limit = limit_price_ticks(-1, close, quote.tick_size, account.band)
    quote.since_ms = opened_ms + account.interval_ms
    at = account.working
    while at > 0 and waiting[at - 1] > n:
        waiting[at] = waiting[at - 1]
        at -= 1
    waiting[at] = n
    account.working += 1


@either_way
def cut_leaving(account: Any, quote: Any, legs: Any, close: float) -> None:
    """Cut what the legs on the net's side want, where the net leads out of the account's position."""
    net = net_lots(quote, legs)
    side = 1 if net > 0.0 else -1
    limit = limit_price_ticks(side, close, quote.tick_size, account.band) * quote.tick_size
    largest = largest_order(limits_of(quote.limits))
    left_out = abs(net) - abs(
        leaving_lots(net_position(quote, legs), net, limit, grid_of_quote(quote), largest)
    )
    if left_out <= 0.0:
        return
    wanted, s = 0.0, quote.first_leg
    while s != NOBODY:
        wanted += max(0.0, side * legs[s].working_lots)
        s = legs[s].next
    grant(quote, legs, side, wanted, wanted - left_out)
    s = quote.first_leg
    while s != NOBODY:
        leg = legs[s]
        if leg.working_lots * side > 0.0 and leg.granted < abs(leg.working_lots):
            leg.part = 1
            leg.asked_lots = leg.working_lots = side * leg.granted
        s = leg.next


@either_way
def approved(
    account: Any,
    sleeves: Any,
    sessions: Any,
    quotes: Any,
    legs: Any,
    orders: Any,
    n: int,
    net: float,
    close: float,
    opened_ms: int,
    i: int,
) -> bool:
    """True when the firm's limits and the account's margin admit a net order; else its side is refused."""
    quote, firm, now_ms = quotes[n], sessions[sleeves.size], opened_ms + account.interval_ms
    side = 1 if net > 0.0 else -1
    ticks = limit_price_ticks(side, close, quote.tick_size, account.band)
    held, breached, covered = net_position(quote, legs), 0, True
    if account.gated:
        rules = rules_of(quote, quote.limits)
        breached = judge_change(firm, held, net, ticks * quote.tick_size, close, now_ms, rules)
    if not quote.spot and account.isolated:
        free = free_cash(sleeves, quotes)
        for other in range(quotes.size):
            if other != n and not quotes[other].spot:
                free -= margin_to_add(
                    quotes[other], net_position(quotes[other], legs), net_lots(quotes[other], legs)
                )
        covered = affords(free, margin_to_add(quote, held, net))
    elif not quote.spot:
        equity = margin_equity(sleeves, quotes, legs, 0, sleeves.size)
        for other in range(quotes.size):
            if other != n and not quotes[other].spot:
                equity -= margin_in_use(
                    quotes[other], net_position(quotes[other], legs), net_lots(quotes[other], legs)
                )
        covered = is_covered(held, held + net * quote.step_size, close, equity, margin_of_quote(quote))
    if breached == 0 and covered:
        firm.message_ms[firm.messages % MESSAGE_RING] = now_ms
        firm.messages += 1
        return True
    s = quote.first_leg
    while s != NOBODY:
        leg = legs[s]
        if leg.working_lots * side > 0.0:
            on_refused(leg, leg.asked_lots, grid_of_quote(quote), halts(breached))
            note_order(
                account, orders, i, now_ms, leg.asked_lots, 0.0, ticks,
                REFUSED if breached != 0 else REJECTED, ENTRY, breached, np.nan, 0.0, 0.0, s, leg,
                sleeves[leg.strategy].cash[quote.purse],
            )  # fmt: skip
            leg.asked_lots = leg.working_lots = 0.0
        s = leg.next
    return False
