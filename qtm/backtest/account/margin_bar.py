"""The margin account inside a bar: stops, liquidation and take-profits of all its positions together.

All prices are taken to travel from their open to the end of their range that hurts the position, in step:
stops close their legs in the order in which that journey meets them, and where the account's equity meets its
maintenance margin everything is liquidated at the prices of that point. Take-profits come last.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.account.depth import take, taken_in_bar
from qtm.backtest.account.exits import live_alone, note_exit
from qtm.backtest.account.memory import MARGIN, NOBODY, margin_of_quote, rules_of
from qtm.backtest.account.opening import book_fill
from qtm.backtest.account.wallets import follow_fill, net_position
from qtm.backtest.intrabar import LIQUIDATION, NOTHING, close_at
from qtm.compiled import either_way
from qtm.trading.exits import TAKE_PROFIT, nearest_stop, profit_level, trail_behind
from qtm.trading.margin import maintenance_margin

_HALVINGS = 60
NEVER = 2.0
"""A share of a journey that is never reached."""


@either_way
def margin_exits(
    account: Any,
    sleeves: Any,
    quotes: Any,
    legs: Any,
    orders: Any,
    opens: Any,
    highs: Any,
    lows: Any,
    volumes: Any,
    opened_ms: int,
    i: int,
) -> None:
    """Let the margin account live through bar `i`, whose rows these are.

    A strategy alone with one position is dealt with as on an account of its own.
    """
    positions, only = 0, NOBODY
    for s in range(legs.size):
        if legs[s].qty != 0.0 and not quotes[legs[s].instrument].spot:
            positions += 1
            only = s
    if positions == 0:
        return
    if positions == 1 and account.strategies == 1:
        leg = legs[only]
        n = leg.instrument
        if not np.isnan(opens[n]):
            live_alone(
                account,
                sleeves,
                quotes[n],
                leg,
                only,
                orders,
                opens[n],
                highs[n],
                lows[n],
                volumes[n],
                opened_ms,
                i,
            )
        return
    since = 0.0
    while True:
        ruin = ruin_point(account, sleeves, quotes, legs, opens, highs, lows, since)
        first, chosen, price, cause = NEVER, NOBODY, 0.0, NOTHING
        for s in range(legs.size):
            way, level, why = stop_point(account, quotes, legs[s], opens, highs, lows)
            if way < first:
                first, chosen, price, cause = way, s, level, why
        stopped = chosen != NOBODY and first <= ruin
        if stopped and first == ruin:  # a liquidation first where the prices have jumped past it
            stopped = room_left(sleeves, quotes, legs, opens, highs, lows, ruin) >= 0.0
        if stopped:
            n = legs[chosen].instrument
            close_leg(
                account, sleeves, quotes, quotes[n], legs, chosen, orders, price, cause, volumes[n],
                opened_ms, i,
            )  # fmt: skip
            since = max(since, first)
        elif ruin < NEVER:
            liquidate_all(account, sleeves, quotes, legs, orders, opens, highs, lows, ruin, opened_ms, i)
            return
        else:
            break
    take_profits(account, sleeves, quotes, legs, orders, opens, highs, lows, volumes, opened_ms, i)


@either_way
def travelled(quote: Any, net: float, opened: float, high: float, low: float, way: float) -> float:
    """The price after the share `way` of its journey; the last close where there is no bar."""
    if np.isnan(opened):
        return float(quote.close)
    return float(opened + way * ((low if net > 0.0 else high) - opened))


@either_way
def room_left(sleeves: Any, quotes: Any, legs: Any, opens: Any, highs: Any, lows: Any, way: float) -> float:
    """Equity of the margin account less its maintenance margin at a point of the journey."""
    left = 0.0
    for k in range(sleeves.size):
        left += sleeves[k].cash[MARGIN]
    for n in range(quotes.size):
        quote = quotes[n]
        if quote.spot:
            continue
        net = net_position(quote, legs)
        if net != 0.0:
            price = travelled(quote, net, opens[n], highs[n], lows[n], way)
            left += net * price
            left -= maintenance_margin(abs(net) * price, margin_of_quote(quote))
    return left


@either_way
def ruin_point(
    account: Any, sleeves: Any, quotes: Any, legs: Any, opens: Any, highs: Any, lows: Any, since: float
) -> float:
    """Share of the journey, from `since` on, at which the account is liquidated; 2.0 when it survives."""
    exposed = False
    for n in range(quotes.size):
        exposed = exposed or (not quotes[n].spot and net_position(quotes[n], legs) != 0.0)
    if not exposed or room_left(sleeves, quotes, legs, opens, highs, lows, 1.0) > 0.0:
        return NEVER
    if room_left(sleeves, quotes, legs, opens, highs, lows, since) <= 0.0:
        return since
    safe, ruined = since, 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (safe + ruined)
        if room_left(sleeves, quotes, legs, opens, highs, lows, middle) > 0.0:
            safe = middle
        else:
            ruined = middle
    return ruined


@either_way
def stop_point(
    account: Any, quotes: Any, leg: Any, opens: Any, highs: Any, lows: Any
) -> tuple[float, float, int]:
    """Where a leg's journey meets its stop: (share of the way, price met, cause); 2.0 when it does not."""
    n = leg.instrument
    if quotes[n].spot or leg.qty == 0.0 or leg.left_bar == account.bars or np.isnan(opens[n]):
        return NEVER, 0.0, NOTHING
    opened = opens[n]
    if leg.leaving != 0:
        return 0.0, opened, leg.leaving
    level, cause = nearest_stop(leg, leg.qty, quotes[n].tick_size)
    long = leg.qty > 0.0
    worst = lows[n] if long else highs[n]
    if level <= 0.0 or (worst > level if long else worst < level):
        return NEVER, 0.0, NOTHING
    if opened <= level if long else opened >= level:
        return 0.0, opened, cause
    return (level - opened) / (worst - opened), level, cause


@either_way
def close_leg(
    account: Any,
    sleeves: Any,
    quotes: Any,
    quote: Any,
    legs: Any,
    s: int,
    orders: Any,
    price: float,
    cause: int,
    volume: float,
    opened_ms: int,
    i: int,
) -> None:
    """Close what the bar carries of leg `s` by an exit; a take-profit is a maker, the others take."""
    leg = legs[s]
    rules = rules_of(quote, leg.limits)
    maker, purse = cause == TAKE_PROFIT, sleeves[leg.strategy].cash
    asked = -np.trunc(leg.qty / quote.step_size + np.copysign(1e-9, leg.qty))
    before = purse[MARGIN]
    leg.cash, leg.variance = before, quote.variance
    taken = taken_in_bar(account, quote)
    lots, paid, fee = close_at(leg, leg, asked, price, maker, volume, taken, rules)
    leg.left_bar = account.bars
    leg.leaving = 0 if maker or lots == asked else cause
    if lots == 0.0:
        return
    take(account, quote, lots)
    purse[MARGIN] = leg.cash
    leg.flow += leg.cash - before
    if account.isolated:
        follow_fill(sleeves, quotes, quote, legs, lots, paid)
    note_exit(account, orders, leg, s, cause, asked, lots, paid, fee, opened_ms, i)


@either_way
def take_profits(
    account: Any,
    sleeves: Any,
    quotes: Any,
    legs: Any,
    orders: Any,
    opens: Any,
    highs: Any,
    lows: Any,
    volumes: Any,
    opened_ms: int,
    i: int,
) -> None:
    """Close what traded through its take-profit and pull the trailing stops of the rest behind."""
    for s in range(legs.size):
        leg = legs[s]
        n = leg.instrument
        if quotes[n].spot or leg.qty == 0.0 or not leg.armed or np.isnan(opens[n]):
            continue
        if leg.left_bar == account.bars:
            continue
        target, long = profit_level(leg, leg.qty, quotes[n].tick_size), leg.qty > 0.0
        if target > 0.0 and (highs[n] > target if long else lows[n] < target):
            close_leg(
                account, sleeves, quotes, quotes[n], legs, s, orders, target, TAKE_PROFIT, volumes[n],
                opened_ms, i,
            )  # fmt: skip
        else:
            trail_behind(leg, leg.qty, highs[n] if long else lows[n])


@either_way
def liquidate_all(
    account: Any,
    sleeves: Any,
    quotes: Any,
    legs: Any,
    orders: Any,
    opens: Any,
    highs: Any,
    lows: Any,
    way: float,
    opened_ms: int,
    i: int,
) -> None:
    """Close every futures position where the account met its maintenance margin.

    The liquidation fee is charged on the account's net position in each instrument, up to what is left, and
    shared by the legs in proportion to their size. Debt beyond the account's cash is the insurance fund's.
    """
    left = 0.0
    for k in range(sleeves.size):
        left += sleeves[k].cash[MARGIN]
    for n in range(quotes.size):
        if not quotes[n].spot:
            net = net_position(quotes[n], legs)
            if net != 0.0:
                left += net * travelled(quotes[n], net, opens[n], highs[n], lows[n], way)
    left = max(0.0, left)
    for n in range(quotes.size):
        quote = quotes[n]
        if quote.spot:
            continue
        price = travelled(quote, net_position(quote, legs), opens[n], highs[n], lows[n], way)
        left -= liquidate_position(account, sleeves, quote, legs, orders, price, left, opened_ms, i)
    settle_debt(account, sleeves)


@either_way
def liquidate_position(
    account: Any,
    sleeves: Any,
    quote: Any,
    legs: Any,
    orders: Any,
    price: float,
    left: float,
    opened_ms: int,
    i: int,
) -> float:
    """Close all legs of an instrument at `price`; returns the liquidation fee, which is at most `left`."""
    net, gross, s = net_position(quote, legs), 0.0, quote.first_leg
    while s != NOBODY:
        gross += abs(legs[s].qty)
        s = legs[s].next
    charged = float(min(abs(net) * price * quote.liquidation_fee, left))
    s = quote.first_leg
    while s != NOBODY:
        leg = legs[s]
        if leg.qty != 0.0:
            lots = -np.rint(leg.qty / quote.step_size)
            fee = book_fill(sleeves, quote, leg, lots, price, 0.0, charged * abs(leg.qty) / gross)
            leg.qty = 0.0
            note_exit(account, orders, leg, s, LIQUIDATION, lots, lots, price, fee, opened_ms, i)
        s = leg.next
    return charged


@either_way
def settle_debt(account: Any, sleeves: Any) -> None:
    """Let the insurance fund pay what the margin account owes, to the sleeves that owe it."""
    total = owed = 0.0
    for k in range(sleeves.size):
        total += sleeves[k].cash[MARGIN]
        owed -= min(0.0, sleeves[k].cash[MARGIN])
    if total >= 0.0:
        return
    account.insured -= total
    for k in range(sleeves.size):
        purse = sleeves[k].cash
        if purse[MARGIN] < 0.0:
            purse[MARGIN] += total * (purse[MARGIN] / owed)
