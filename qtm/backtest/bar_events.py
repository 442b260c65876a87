"""What a bar does to the book: funding and the working order at its open, exits and liquidation inside it."""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.intrabar import ENTRY, NOTHING, live_through, only_trails, rest_calm, trail_calm
from qtm.backtest.session import EXPIRED, FILLED, PARTIAL
from qtm.compiled import either_way, inlined
from qtm.trading.book import on_complete, on_exit, on_fill
from qtm.trading.costs import fillable_lots, price_of, slippage_of, taker_price_ticks
from qtm.trading.exits import disarm, trail_behind


@either_way
def pay_funding(session: Any, book: Any, rate: float, price: float) -> None:
    """Longs pay a positive rate on the position carried into the bar, shorts receive it."""
    paid = book.qty * price * rate
    book.cash -= paid
    session.funding_paid += paid


@either_way
def meet_open(
    session: Any, book: Any, price: float, volume: float, rules: Any
) -> tuple[int, float, float, float]:
    """Match the working order against a bar: (status, lots filled, fill price, fee); the order is then gone.

    It takes at most its participation of the bar's `volume`, at the open plus slippage and impact of what it
    takes, if that average price is within its limit.
    """
    asked = session.working_lots
    session.working_lots = 0.0
    lots = fillable_lots(asked, volume, rules.grid.step_size, rules.costs)
    if lots == 0.0:
        return EXPIRED, 0.0, np.nan, 0.0
    side = 1 if lots > 0.0 else -1
    bps = slippage_of(lots * rules.grid.step_size, volume, np.sqrt(session.variance), rules.costs)
    ticks = taker_price_ticks(side, price, rules.grid.tick_size, bps)
    if side * ticks > side * session.working_limit_ticks:
        return EXPIRED, 0.0, np.nan, 0.0
    paid = price_of(ticks, rules.grid.tick_size)
    fee = on_fill(book, lots, paid, False, rules.costs, rules.grid)
    if lots != asked:
        return PARTIAL, lots, paid, fee
    on_complete(book)
    return FILLED, lots, paid, fee


@inlined
def through_bar(
    note_order: Any,
    session: Any,
    book: Any,
    i: int,
    opened_ms: int,
    opened: float,
    high: float,
    low: float,
    volume: float,
    funding_rate: float,
    rules: Any,
    sink: Any,
) -> None:
    """Take the book through bar `i` up to its close.

    `note_order(sink, bar, decided_ms, sequence, lots, filled, limit_ticks, status, cause, breached,
    fill_price, fee, book)` is called for each finished order; `bar` is the last one closed before the order
    was made, so a fill happens inside bar + 1.
    """
    opens_calm = session.working_lots == 0.0 and funding_rate == 0.0
    if opens_calm and only_trails(session, book.qty, high, low):
        trail_calm(session, book.qty, high, low)
        return
    if funding_rate != 0.0 and book.qty != 0.0:
        pay_funding(session, book, funding_rate, opened)
    taken = 0.0
    if session.working_lots != 0.0:
        asked = session.working_lots
        status, filled, paid, fee = meet_open(session, book, opened, volume, rules)
        note_order(
            sink, i - 1, session.working_since_ms, session.working_sequence, asked, filled,
            session.working_limit_ticks, status, ENTRY, 0, paid, fee, book,
        )  # fmt: skip
        taken = abs(filled)
        if filled != 0.0 and session.armed:
            trail_behind(session, book.qty, paid)
    if session.armed or session.leaving != 0 or (rules.margin.leverage > 0.0 and book.qty != 0.0):
        cause, asked, filled, paid, fee = live_through(session, book, opened, high, low, volume, taken, rules)
        if cause != NOTHING:
            status = FILLED if filled == asked else PARTIAL
            note_order(
                sink, i - 1, opened_ms, book.orders, asked, filled, np.nan, status, cause, 0, paid, fee, book
            )
            if status == FILLED:
                disarm(session)
                on_exit(book)
        elif session.armed:
            trail_behind(session, book.qty, high if book.qty > 0.0 else low)
    rest_calm(session, book, rules.margin)
