"""Isolated positions inside a bar: each lives and dies by itself.

The price of each instrument travels from its open to the end of its range that hurts the position: stops
close their legs in the order in which it meets them, and where what is left of the wallet falls to the
position's maintenance margin the position is liquidated. Take-profits come last.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.account.margin_bar import (
    NEVER,
    close_leg,
    liquidate_position,
    stop_point,
    take_profits,
    travelled,
)
from qtm.backtest.account.memory import MARGIN, NOBODY, margin_of_quote
from qtm.backtest.account.wallets import net_position, qty_on_side
from qtm.backtest.intrabar import NOTHING
from qtm.compiled import either_way
from qtm.trading.margin import liquidation_price


@either_way
def isolated_exits(
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
    """Let every isolated position live through bar `i`, whose rows these are."""
    for n in range(quotes.size):
        if not quotes[n].spot and not np.isnan(opens[n]):
            live_isolated(
                account, sleeves, quotes, legs, orders, opens, highs, lows, volumes, n, opened_ms, i
            )
    take_profits(account, sleeves, quotes, legs, orders, opens, highs, lows, volumes, opened_ms, i)


@either_way
def live_isolated(
    account: Any,
    sleeves: Any,
    quotes: Any,
    legs: Any,
    orders: Any,
    opens: Any,
    highs: Any,
    lows: Any,
    volumes: Any,
    n: int,
    opened_ms: int,
    i: int,
) -> None:
    """Let the legs of instrument `n` meet their stops, or their position its end."""
    quote, since = quotes[n], 0.0
    while True:
        ruin, at, jumped = isolated_ruin(quote, legs, opens[n], highs[n], lows[n], since)
        first, chosen, price, cause = NEVER, NOBODY, 0.0, NOTHING
        s = quote.first_leg
        while s != NOBODY:
            way, level, why = stop_point(account, quotes, legs[s], opens, highs, lows)
            if way < first:
                first, chosen, price, cause = way, s, level, why
            s = legs[s].next
        if chosen != NOBODY and (first < ruin or (first == ruin and not jumped)):
            close_leg(
                account, sleeves, quotes, quote, legs, chosen, orders, price, cause, volumes[n], opened_ms, i
            )
            since = max(since, first)
        elif ruin < NEVER:
            liquidate_isolated(account, sleeves, quote, legs, orders, at, opened_ms, i)
            return
        else:
            return


@either_way
def isolated_ruin(
    quote: Any, legs: Any, opened: float, high: float, low: float, since: float
) -> tuple[float, float, bool]:
    """Where the journey, from `since` on, ends a position: (share of the way, price, jumped past it).

    The share is 2.0 when the position survives the bar.
    """
    net = net_position(quote, legs)
    level = liquidation_price(net, quote.wallet - quote.cost, margin_of_quote(quote))
    if level <= 0.0:
        return NEVER, 0.0, False
    here = travelled(quote, net, opened, high, low, since)
    if (here - level) * net < 0.0:
        return since, here, True
    worst = low if net > 0.0 else high
    if (worst - level) * net > 0.0:
        return NEVER, 0.0, False
    way = (level - opened) / (worst - opened) if worst != opened else since
    return max(since, way), level, False


@either_way
def liquidate_isolated(
    account: Any, sleeves: Any, quote: Any, legs: Any, orders: Any, price: float, opened_ms: int, i: int
) -> None:
    """Close a position at `price` for no more than its wallet.

    What it owes beyond that the insurance fund pays, to the legs on its side in proportion to their size.
    """
    net = net_position(quote, legs)
    left, held = quote.wallet + net * price - quote.cost, qty_on_side(quote, legs, net)
    if left < 0.0:
        account.insured -= left
        s = quote.first_leg
        while s != NOBODY:
            if legs[s].qty * net > 0.0:
                sleeves[legs[s].strategy].cash[MARGIN] -= left * abs(legs[s].qty) / held
            s = legs[s].next
    liquidate_position(account, sleeves, quote, legs, orders, price, max(0.0, left), opened_ms, i)
    quote.wallet = quote.cost = 0.0
