"""The event loop: every bar's open fills what the last close decided, every close decides anew.

These functions are compiled into one kernel per strategy (`qtm.backtest.kernels`), with the strategy's step,
the sub-book and the risk gate inlined. All memory of a run is in arrays handed in from outside, so a run can
stop after any bar and go on from the bytes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.backtest.intrabar import ENTRY, NOTHING, arm, disarm, trail_behind
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
from qtm.trading.costs import CostModel, nearest_ticks, price_of, taker_price_ticks
from qtm.trading.margin import Margin, is_covered
from qtm.trading.plan import plan_of

DAY_MS = 86_400_000

FILLED, EXPIRED, REFUSED, REJECTED = 0, 1, 2, 3
ORDER_STATUS = ("FILLED", "EXPIRED", "REFUSED", "REJECTED")
"""Filled; beyond its limit; refused by the gate; rejected by the venue for want of margin."""

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
        ("stop", "f8"),
        ("take_profit", "f8"),
        ("trail", "f8"),
        ("trail_level", "f8"),
        ("armed", "?"),
        ("funding_paid", "f8"),
        ("messages", "i8"),
        ("message_ms", "i8", (MESSAGE_RING,)),
    ],
    align=True,
)
"""What the loop remembers between bars: the working order, the exits, and what the gate must know."""


class Rules(NamedTuple):
    """Everything about a run that does not change from bar to bar."""

    grid: Grid
    sizing: Sizing
    costs: CostModel
    limits: GateLimits
    gated: bool
    margin: Margin
    funded: bool
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
    paid = price_of(ticks, rules.grid.tick_size)
    fee = on_fill(book, lots, paid, False, rules.costs, rules.grid)
    on_complete(book)
    return FILLED, paid, fee


@inlined
def mark_close(session: Any, book: Any, open_time_ms: int, close: float, step_size: float) -> float:
    """Mark the book at a close; returns the equity."""
    worth = equity(book, close)
    mark_equity(session, open_time_ms, worth)
    if abs(book.qty) >= step_size:
        session.bars_invested += 1
    return worth


@inlined
def mark_equity(session: Any, open_time_ms: int, worth: float) -> None:
    """Keep last, peak and start-of-day equity up to date.

    A day begins with the first bar opened on it; its starting equity is that of the close before.
    """
    day = open_time_ms // DAY_MS
    if day != session.day:
        session.day = day
        session.day_start_equity = session.last_equity
    session.last_equity = worth
    if worth > session.peak_equity:
        session.peak_equity = worth
    session.bars += 1


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
    return judge_change(session, book.qty, lots, limit, close, now_ms, rules)


@inlined
def judge_change(
    session: Any, held: float, lots: float, limit: float, close: float, now_ms: int, rules: Any
) -> int:
    """As `judge`, for a position of `held` base units that is nobody's book."""
    view = GateView(
        close,
        0.0,
        held,
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
def decide(
    judge: Any, session: Any, book: Any, close: float, now_ms: int, rules: Any
) -> tuple[float, float, int, int]:
    """Turn the desired target into a working order: (lots, limit ticks, status, breached controls).

    The status is REFUSED or REJECTED for an order that was not sent; lots 0.0 means there was none.
    """
    lots = order_lots(book, close, rules.sizing, rules.grid, rules.band)
    if lots == 0.0:
        return 0.0, 0.0, FILLED, 0
    side = 1 if lots > 0.0 else -1
    ticks = limit_price_ticks(side, close, rules.grid.tick_size, rules.band)
    breached = 0
    if rules.gated:
        breached = judge(session, book, lots, ticks * rules.grid.tick_size, close, now_ms, rules)
    if breached != 0:
        on_refused(book)
        return lots, ticks, REFUSED, breached
    after = book.qty + lots * rules.grid.step_size
    if not is_covered(book.qty, after, close, session.last_equity, rules.margin):
        on_refused(book)
        return lots, ticks, REJECTED, 0
    session.message_ms[session.messages % MESSAGE_RING] = now_ms
    session.messages += 1
    session.working_lots = lots
    session.working_limit_ticks = ticks
    session.working_since_ms = now_ms
    session.working_sequence = book.orders
    return lots, ticks, FILLED, 0


@inlined
def pay_funding(session: Any, book: Any, rate: float, price: float) -> None:
    """Longs pay a positive rate on the position carried into the bar, shorts receive it."""
    paid = book.qty * price * rate
    book.cash -= paid
    session.funding_paid += paid


@inlined
def run_bars(
    step: Any,
    meet_open: Any,
    live_through: Any,
    judge: Any,
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
    meet_open, live_through, judge
        The functions of those names, compiled once for all strategies (see `qtm.backtest.kernels`); they are
        called only when there is an order or a position at risk.
    note_order
        Called for each finished order: `note_order(sink, bar, decided_ms, sequence, lots, limit_ticks,
        status, cause, breached, fill_price, fee, book)`; `bar` is the last one closed
        before the order was made, so a fill happens inside bar + 1.
    note_close
        Called for each bar: `note_close(sink, i, open_time_ms, target, equity)`; the target is NaN for
        "no change" and before `rules.trade_from_ms`.
    bars
        Columns open time, open, high, low, close, volume, funding rate; each of shape (T,), the last empty
        unless `rules.funded`.
    """
    times, opens, highs, lows, closes, volumes, rates = bars
    tick_size = rules.grid.tick_size
    for i in range(first, last):
        opened, close = times[i], closes[i]
        if rules.funded and rates[i] != 0.0 and book.qty != 0.0:
            pay_funding(session, book, rates[i], opens[i])
        if session.working_lots != 0.0:
            lots = session.working_lots
            status, paid, fee = meet_open(session, book, opens[i], rules)
            note_order(
                sink, i - 1, session.working_since_ms, session.working_sequence, lots,
                session.working_limit_ticks, status, ENTRY, 0, paid, fee, book,
            )  # fmt: skip
            if status == FILLED and session.armed:
                trail_behind(session, book.qty, paid)
        if session.armed or (rules.margin.leverage > 0.0 and book.qty != 0.0):
            cause, lots, paid, fee = live_through(session, book, opens[i], highs[i], lows[i], rules)
            if cause != NOTHING:
                disarm(session)
                note_order(sink, i - 1, opened, book.orders, lots, np.nan, FILLED, cause, 0, paid, fee, book)
            elif session.armed:
                trail_behind(session, book.qty, highs[i] if book.qty > 0.0 else lows[i])
        marked = mark_close(session, book, opened, close, rules.grid.step_size)
        bar = Bar(opened, opens[i], highs[i], lows[i], close, volumes[i], nearest_ticks(close, tick_size))
        plan = plan_of(step(params, state, bar, Account(book.qty, book.entry_price, marked)))
        if opened < rules.trade_from_ms:
            note_close(sink, i, opened, np.nan, marked)
            continue
        note_close(sink, i, opened, plan.target, marked)
        set_desired(book, plan.target)
        arm(session, plan)
        now_ms = opened + rules.interval_ms
        if book.desired == book.achieved:
            continue
        lots, ticks, status, breached = decide(judge, session, book, close, now_ms, rules)
        if status != FILLED:
            note_order(
                sink, i, now_ms, book.orders, lots, ticks, status, ENTRY, breached, np.nan, 0.0, book
            )  # fmt: skip
