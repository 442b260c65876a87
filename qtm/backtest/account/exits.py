"""Protective exits of one leg inside a bar, as on an account of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.account.depth import take, taken_in_bar
from qtm.backtest.account.ledger import note_order
from qtm.backtest.account.memory import rules_of
from qtm.backtest.intrabar import NOTHING, live_through
from qtm.backtest.session import FILLED, PARTIAL
from qtm.compiled import either_way
from qtm.trading.book import on_exit
from qtm.trading.exits import disarm, trail_behind


@either_way
def spot_exits(
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
    """Let every spot leg with exits live through bar `i`, whose rows these are."""
    for s in range(legs.size):
        leg = legs[s]
        n = leg.instrument
        if quotes[n].spot and (leg.armed or leg.leaving != 0) and not np.isnan(opens[n]):
            live_alone(
                account,
                sleeves,
                quotes[n],
                leg,
                s,
                orders,
                opens[n],
                highs[n],
                lows[n],
                volumes[n],
                opened_ms,
                i,
            )


@either_way
def watch_again(account: Any, quotes: Any, legs: Any) -> None:
    """Note whether an exit or a liquidation may be met inside a later bar."""
    account.watched = False
    for s in range(legs.size):
        leg = legs[s]
        exposed = leg.qty != 0.0 and not quotes[leg.instrument].spot
        account.watched = account.watched or leg.armed or leg.leaving != 0 or exposed


@either_way
def live_alone(
    account: Any,
    sleeves: Any,
    quote: Any,
    leg: Any,
    s: int,
    orders: Any,
    opened: float,
    high: float,
    low: float,
    volume: float,
    opened_ms: int,
    i: int,
) -> None:
    """Leg number `s` through bar `i`."""
    purse = sleeves[leg.strategy].cash
    before = purse[quote.purse]
    leg.cash, leg.variance = before, quote.variance
    cause, asked, lots, paid, fee = live_through(
        leg, leg, opened, high, low, volume, taken_in_bar(account, quote), rules_of(quote, leg.limits)
    )
    if cause == NOTHING:
        if leg.armed:
            trail_behind(leg, leg.qty, high if leg.qty > 0.0 else low)
        return
    take(account, quote, lots)
    purse[quote.purse] = leg.cash
    leg.flow += leg.cash - before
    note_exit(account, orders, leg, s, cause, asked, lots, paid, fee, opened_ms, i)


@either_way
def note_exit(
    account: Any,
    orders: Any,
    leg: Any,
    s: int,
    cause: int,
    asked: float,
    lots: float,
    paid: float,
    fee: float,
    opened_ms: int,
    i: int,
) -> None:
    """Write down what an exit closed of a leg, and forget the exits when that was all."""
    leg.working_sequence = leg.orders
    status = FILLED if lots == asked else PARTIAL
    note_order(
        account, orders, i - 1, opened_ms, asked, lots, np.nan, status, cause, 0, paid, fee, 0.0, s, leg,
        leg.cash,
    )  # fmt: skip
    if status == FILLED:
        disarm(leg)
        on_exit(leg)
