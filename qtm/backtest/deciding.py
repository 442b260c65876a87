"""What a close decides: the order that brings the book to its target, judged by gate and margin."""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.intrabar import ENTRY
from qtm.backtest.session import FILLED, MESSAGE_RING, REFUSED, REJECTED
from qtm.compiled import inlined
from qtm.risk.rules import ACTIVE, HALTED, GateView, breaches, halts
from qtm.risk.sized_targets import sized_target
from qtm.risk.sizing import UNSIZED
from qtm.trading.book import LargestOrder, Sizing, limit_price_ticks, on_refused, order_lots
from qtm.trading.margin import is_covered


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
def largest_order(limits: Any) -> LargestOrder:
    """What an order that leads out of a position is cut to (PT-03, PT-04)."""
    return LargestOrder(limits.max_order_value, limits.max_order_qty)


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
        HALTED if session.loss_limit_ms != 0 and rules.limits.at_loss_limit == HALTED else ACTIVE,
    )
    side = 1 if lots > 0.0 else -1
    return int(breaches(side, abs(lots) * rules.grid.step_size, limit, False, rules.limits, view))


@inlined
def decide(
    session: Any, book: Any, i: int, close: float, now_ms: int, rules: Any
) -> tuple[float, float, int, int]:
    """Turn the desired target into a working order: (lots, limit ticks, status, breached controls).

    The status is REFUSED or REJECTED for an order that was not sent; lots 0.0 means there was none.
    """
    sizing = Sizing(rules.sizing.mode, rules.sizing.amount, rules.sizing.drift)
    if rules.sizer.kind != UNSIZED:
        if session.leaving != 0 and np.isnan(book.achieved):
            return 0.0, 0.0, FILLED, 0  # an exit under way is not resized
        most = rules.limits.max_position_value / (1.0 + rules.band)  # the gate judges the limit price
        sizing = sized_target(
            sizing,
            rules.sizer,
            rules.seen,
            0,
            i,
            session.last_equity,
            session.peak_equity,
            session.stop,
            most,
        )
    lots = order_lots(book, close, sizing, rules.grid, rules.band, largest_order(rules.limits))
    if lots == 0.0:
        return 0.0, 0.0, FILLED, 0
    side = 1 if lots > 0.0 else -1
    ticks = limit_price_ticks(side, close, rules.grid.tick_size, rules.band)
    breached = 0
    if rules.gated:
        breached = judge(session, book, lots, ticks * rules.grid.tick_size, close, now_ms, rules)
    if breached != 0:
        on_refused(book, lots, rules.grid, halts(breached))
        return lots, ticks, REFUSED, breached
    after = book.qty + lots * rules.grid.step_size
    if not is_covered(book.qty, after, close, session.last_equity, rules.margin):
        on_refused(book, lots, rules.grid, False)
        return lots, ticks, REJECTED, 0
    session.message_ms[session.messages % MESSAGE_RING] = now_ms
    session.messages += 1
    session.working_lots = lots
    session.working_limit_ticks = ticks
    session.working_since_ms = now_ms
    session.working_sequence = book.orders
    return lots, ticks, FILLED, 0


@inlined
def at_close(
    note_order: Any, session: Any, book: Any, i: int, now_ms: int, close: float, rules: Any, sink: Any
) -> None:
    """Order what the close of bar `i` decided, or note why it was not sent."""
    lots, ticks, status, breached = decide(session, book, i, close, now_ms, rules)
    if status != FILLED:
        note_order(
            sink, i, now_ms, book.orders, lots, 0.0, ticks, status, ENTRY, breached, np.nan, 0.0, book
        )  # fmt: skip
