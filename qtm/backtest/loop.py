"""The event loop: every bar's open fills what the last close decided, every close decides anew.

These functions are compiled into one kernel per strategy (`qtm.backtest.kernels`), with the strategy's step
inlined. Most bars only mark the book and step the strategy, so what they need stays in registers; a bar that
may trade, pay funding or touch an exit goes through `qtm.backtest.bar_events`, and a target that is not met
through `qtm.backtest.deciding`. All memory of a run is in arrays handed in from outside, so a run can stop
after any bar and go on from the bytes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.session import DAY_MS
from qtm.compiled import fetch_ahead, inlined
from qtm.market.bars import Bar
from qtm.risk.rules import loss_limit_passed
from qtm.trading.book import Account
from qtm.trading.costs import next_variance
from qtm.trading.exits import take_over
from qtm.trading.plan import plan_of

_AHEAD = 64
"""Bars by which opens and volumes are fetched ahead: only a bar with an order needs them, and would wait."""


@inlined
def calm_down_to(peak: float, day_start: float, limits: Any) -> float:
    """Equity down to which no loss limit can have been passed; `loss_limit_passed` decides below it."""
    return float(max(peak * (1.0 - limits.max_drawdown), day_start * (1.0 - limits.daily_loss)))


@inlined
def deeper(deepest: float, lowest: float, peak: float) -> float:
    """The largest drawdown with what `lowest`, the least equity since the `peak`, adds to it."""
    return max(deepest, 1.0 - lowest / peak)


@inlined
def run_bars(
    step: Any,
    through_bar: Any,
    at_close: Any,
    calm: Any,
    note_close: Any,
    note_day: Any,
    is_full: Any,
    params: Any,
    state: Any,
    book: Any,
    session: Any,
    rules: Any,
    rules_by_address: Any,
    bars: Any,
    first: int,
    last: int,
    sink: Any,
    sink_by_address: Any,
) -> int:
    """Run `step` over bars `first` to `last` (exclusive) and tell `sink` what happened.

    Returns the bar to go on with: `last`, unless the sink was full before.

    Parameters
    ----------
    step
        The strategy's step.
    through_bar, at_close, calm
        `through_bar` of `qtm.backtest.bar_events`, `at_close` of `qtm.backtest.deciding` and `rest_calm` of
        `qtm.backtest.intrabar`, compiled once for all strategies, the former two with the sink's way of
        noting orders (see `qtm.backtest.kernels`).
    rules_by_address, sink_by_address
        `rules` and `sink` as those three take them (`qtm.compiled_kernels.by_address`).
    note_close
        Called for each bar: `note_close(sink, i, target, equity)`; the target is NaN for "no change" and
        before `rules.trade_from_ms`.
    note_day
        Called when a UTC day is over: `note_day(sink, equity before it, equity at its end)`.
    is_full
        `is_full(sink)` tells, after orders were noted, that there may be no room for those of another bar.
    bars
        Columns open time, open, high, low, close, volume, close in ticks, funding rate; each of shape (T,),
        the last empty unless `rules.funded`.
    """
    times, opens, highs, lows, closes, volumes, ticks, rates = bars
    qty, cash, entry = book.qty, book.cash, book.entry_price
    desired, achieved = book.desired, book.achieved
    holding = 1 if abs(qty) >= rules.grid.step_size else 0
    marked, peak, deepest = session.last_equity, session.peak_equity, session.max_drawdown
    day_start, day_end, total, invested = (
        session.day_start_equity,
        session.day_end_ms,
        session.equity_sum,
        session.bars_invested,
    )
    lowest = peak  # a division at each new peak, none on the way down
    watched = rules.gated and session.loss_limit_ms == 0
    floor = calm_down_to(peak, day_start, rules.limits) if watched else -np.inf
    reached, full = last, False
    for number in range(first, last):
        if full:
            reached = number
            break
        i = np.uint64(number)  # an unsigned index needs no check for "from the end", column by column
        opened, close = times[i], closes[i]
        fetch_ahead(opens, number + _AHEAD)
        fetch_ahead(volumes, number + _AHEAD)
        if (
            lows[i] <= session.calm_above
            or highs[i] >= session.calm_below
            or session.working_lots != 0.0
            or (rules.funded and rates[i] != 0.0)
        ):
            rate = rates[i] if rules.funded else 0.0
            through_bar(
                session, book, number, opened, opens[i], highs[i], lows[i], volumes[i], rate,
                rules_by_address, sink_by_address,
            )  # fmt: skip
            qty, cash, entry, achieved = book.qty, book.cash, book.entry_price, book.achieved
            holding = 1 if abs(qty) >= rules.grid.step_size else 0
            full = is_full(sink)
        if opened >= day_end:
            if day_end > 0:
                note_day(sink, day_start, marked)
            day_start = marked
            day_end = (opened // DAY_MS + 1) * DAY_MS
            if watched:
                floor = calm_down_to(peak, day_start, rules.limits)
        marked = cash + qty * close
        total += marked
        invested += holding
        lowest = marked if marked < lowest else lowest
        if marked > peak:
            deepest = deeper(deepest, lowest, peak)
            peak = lowest = marked
            if watched:
                floor = calm_down_to(peak, day_start, rules.limits)
        elif not marked >= floor and watched and loss_limit_passed(marked, peak, day_start, rules.limits):
            watched, floor = False, -np.inf
            session.loss_limit_ms = opened + rules.interval_ms
        if rules.costs.impact > 0.0:
            session.variance = next_variance(session.variance, session.last_close, close)
            session.last_close = close
        bar = Bar(opened, opens[i], highs[i], lows[i], close, volumes[i], ticks[i])
        plan = plan_of(step(params, state, bar, Account(qty, entry, marked)))
        if opened < rules.trade_from_ms:
            note_close(sink, i, np.nan, marked)
            continue
        note_close(sink, i, plan.target, marked)
        if not np.isnan(plan.target):
            desired = plan.target
        if not (np.isnan(plan.stop) and np.isnan(plan.take_profit) and np.isnan(plan.trail)):
            take_over(session, plan)
            if qty != 0.0:  # without a position all bars are calm
                calm(session, book, rules_by_address)
        if desired != achieved:
            book.desired = desired
            session.last_equity, session.peak_equity, session.day_start_equity = marked, peak, day_start
            now_ms = opened + rules.interval_ms
            at_close(session, book, number, now_ms, close, rules_by_address, sink_by_address)
            achieved = book.achieved
            full = is_full(sink)
    book.desired = desired
    session.last_equity, session.peak_equity = marked, peak
    session.max_drawdown = deeper(deepest, lowest, peak)
    session.day_start_equity, session.day_end_ms, session.equity_sum = day_start, day_end, total
    session.bars_invested = invested
    session.bars += reached - first
    return reached
