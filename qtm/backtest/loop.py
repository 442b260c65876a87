"""The event loop: every bar's open fills what the last close decided, every close decides anew.

These functions are compiled into one kernel per strategy (`qtm.backtest.kernels`), with the strategy's step,
the sub-book and the risk gate inlined. All memory of a run is in arrays handed in from outside, so a run can
stop after any bar and go on from the bytes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.compiled import inlined
from qtm.market.bars import Bar
from qtm.risk.rules import ACTIVE, GateLimits, GateView, breaches
from qtm.trading.book import (
    Account,
    Grid,
    Sizing,
    equity,
    limit_price_ticks,
    on_complete,
    on_fill,
    on_refused,
    order_lots,
    set_desired,
)
from qtm.trading.costs import CostModel, nearest_ticks, taker_price_ticks

DAY_MS = 86_400_000

FILLED, EXPIRED, REFUSED = 0, 1, 2
ORDER_STATUS = ("FILLED", "EXPIRED", "REFUSED")

MESSAGE_RING = 256

SESSION = np.dtype(
    [
        ("bars", "i8"),
        ("bars_invested", "i8"),
        ("working_lots", "f8"),
        ("working_limit_ticks", "f8"),
        ("working_since_ms", "i8"),
        ("working_sequence", "i8"),
        ("day", "i8"),
        ("day_start_equity", "f8"),
        ("peak_equity", "f8"),
        ("last_equity", "f8"),
        ("messages", "i8"),
        ("message_ms", "i8", (MESSAGE_RING,)),
    ],
    align=True,
)
"""What the loop itself remembers between bars: the working order and what the gate must know."""


class Rules(NamedTuple):
    """Everything about a run that does not change from bar to bar."""

    grid: Grid
    sizing: Sizing
    costs: CostModel
    limits: GateLimits
    gated: bool
    band: float
    interval_ms: int
    trade_from_ms: int


def new_session(cash: float) -> Any:
    """A session at its first bar, as a shape (1,) structured array."""
    session = np.zeros(1, SESSION)
    session["day"] = -1
    session["peak_equity"] = session["last_equity"] = session["day_start_equity"] = cash
    return session


@inlined
def meet_open(session: Any, book: Any, price: float, rules: Any) -> tuple[int, float, float]:
    """Match the working order against a bar's open: (status, fill price, fee); the order is then gone."""
    lots = session.working_lots
    side = 1 if lots > 0.0 else -1
    session.working_lots = 0.0
    ticks = taker_price_ticks(side, price, rules.grid.tick_size, rules.costs.slippage_bps)
    if side * ticks > side * session.working_limit_ticks:
        return EXPIRED, np.nan, 0.0
    paid = ticks * rules.grid.tick_size
    fee = on_fill(book, lots, paid, False, rules.costs, rules.grid)
    on_complete(book)
    return FILLED, paid, fee


@inlined
def mark_close(session: Any, book: Any, open_time_ms: int, close: float, step_size: float) -> float:
    """Mark the book at a close and keep peak and start-of-day equity up to date; returns the equity.

    A day begins with the first bar opened on it; its starting equity is that of the close before.
    """
    worth = equity(book, close)
    day = open_time_ms // DAY_MS
    if day != session.day:
        session.day = day
        session.day_start_equity = session.last_equity
    session.last_equity = worth
    if worth > session.peak_equity:
        session.peak_equity = worth
    session.bars += 1
    if abs(book.qty) >= step_size:
        session.bars_invested += 1
    return worth


@inlined
def messages_in_window(session: Any, now_ms: int, window_ms: float) -> float:
    """Orders sent in the trailing window, counted up to the last `MESSAGE_RING`."""
    counted = 0
    kept = min(session.messages, MESSAGE_RING)
    for back in range(1, kept + 1):
        if now_ms - session.message_ms[(session.messages - back) % MESSAGE_RING] >= window_ms:
            break
        counted += 1
    return float(counted)


@inlined
def judge(session: Any, book: Any, lots: float, limit: float, close: float, now_ms: int, rules: Any) -> int:
    """The gate's answer to an order at a close: 0, or the mask of breached controls."""
    if not rules.gated:
        return 0
    view = GateView(
        close,
        0.0,
        book.qty,
        0.0,
        0.0,
        session.last_equity,
        session.peak_equity,
        session.day_start_equity,
        messages_in_window(session, now_ms, rules.limits.message_window_ms),
        ACTIVE,
    )
    side = 1 if lots > 0.0 else -1
    return int(breaches(side, abs(lots) * rules.grid.step_size, limit, False, rules.limits, view))


@inlined
def decide(session: Any, book: Any, close: float, now_ms: int, rules: Any) -> tuple[float, float, int]:
    """Turn the desired target into an order: (lots, limit ticks, breached controls); lots 0.0 for none."""
    lots = order_lots(book, close, rules.sizing, rules.grid, rules.band)
    if lots == 0.0:
        return 0.0, 0.0, 0
    side = 1 if lots > 0.0 else -1
    ticks = limit_price_ticks(side, close, rules.grid.tick_size, rules.band)
    breached = judge(session, book, lots, ticks * rules.grid.tick_size, close, now_ms, rules)
    if breached != 0:
        on_refused(book)
        return lots, ticks, breached
    session.message_ms[session.messages % MESSAGE_RING] = now_ms
    session.messages += 1
    session.working_lots = lots
    session.working_limit_ticks = ticks
    session.working_since_ms = now_ms
    session.working_sequence = book.orders
    return lots, ticks, 0


@inlined
def run_bars(
    step: Any,
    note_order: Any,
    note_close: Any,
    params: Any,
    state: Any,
    book: Any,
    session: Any,
    rules: Any,
    bars: Any,
    first: int,
    last: int,
    sink: Any,
) -> None:
    """Run `step` over bars `first` to `last` (exclusive) and tell `sink` what happened.

    Parameters
    ----------
    step
        The strategy's step.
    note_order
        Called for each finished order: `note_order(sink, bar, decided_ms, sequence, lots, limit_ticks,
        status, breached, fill_price, fee, book)`.
    note_close
        Called for each bar: `note_close(sink, i, open_time_ms, target, equity)`; the target is NaN for
        "no change" and before `rules.trade_from_ms`.
    bars
        Columns open time, open, high, low, close, volume; each of shape (T,).
    """
    times, opens, highs, lows, closes, volumes = bars
    tick_size = rules.grid.tick_size
    for i in range(first, last):
        opened, close = times[i], closes[i]
        if session.working_lots != 0.0:
            lots = session.working_lots
            status, paid, fee = meet_open(session, book, opens[i], rules)
            note_order(
                sink, i - 1, session.working_since_ms, session.working_sequence, lots,
                session.working_limit_ticks, status, 0, paid, fee, book,
            )  # fmt: skip
        marked = mark_close(session, book, opened, close, rules.grid.step_size)
        bar = Bar(opened, opens[i], highs[i], lows[i], close, volumes[i], nearest_ticks(close, tick_size))
        target = step(params, state, bar, Account(book.qty, book.entry_price, marked))
        if opened < rules.trade_from_ms:
            note_close(sink, i, opened, np.nan, marked)
            continue
        note_close(sink, i, opened, target, marked)
        set_desired(book, target)
        now_ms = opened + rules.interval_ms
        lots, ticks, breached = decide(session, book, close, now_ms, rules)
        if breached != 0:
            note_order(sink, i, now_ms, book.orders, lots, ticks, REFUSED, breached, np.nan, 0.0, book)
