"""What a bar's close does before anybody decides: its prices are taken over and the account is marked."""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.account.memory import MARGIN, NOBODY, SPOT, limits_of
from qtm.backtest.session import DAY_MS
from qtm.compiled import either_way
from qtm.risk.rules import loss_limit_passed
from qtm.trading.costs import nearest_ticks, next_variance


@either_way
def count_ticks(ticks: Any, closes: Any, tick_sizes: Any) -> None:
    """Count the closes of a bar in ticks."""
    for n in range(ticks.size):
        ticks[n] = nearest_ticks(closes[n], tick_sizes[n])


@either_way
def take_closes(
    account: Any, quotes: Any, legs: Any, lines: Any, marks: Any, seen: Any, closes: Any, opened_ms: int
) -> None:
    """Take over the closes of a bar, whose row this is."""
    present = 0
    for n in range(marks.size):
        present += closes[n] == closes[n]
    if account.impacted:
        for n in range(marks.size):
            quote = quotes[n]
            if closes[n] == closes[n]:
                before = 0.0 if quote.gone else marks[n]
                quote.variance = next_variance(quote.variance, before, closes[n])
    if present == marks.size and account.dead == 0:
        account.absent = 0
        for n in range(marks.size):
            marks[n] = closes[n]
            seen[n] = opened_ms
    else:
        take_some(account, quotes, legs, lines, marks, seen, closes, opened_ms)
    account.seen_ms = opened_ms
    account.bars += 1


@either_way
def take_some(
    account: Any, quotes: Any, legs: Any, lines: Any, marks: Any, seen: Any, closes: Any, opened_ms: int
) -> None:
    """Take over the closes of a bar that not every instrument has, or that raises one from the dead."""
    account.absent = 0
    for n in range(marks.size):
        if np.isnan(closes[n]):
            account.absent += seen[n] != 0 and not quotes[n].gone
            continue
        marks[n] = closes[n]
        seen[n] = opened_ms
        if quotes[n].gone:
            quotes[n].gone = False
            account.dead -= 1
            s = quotes[n].first_leg
            while s != NOBODY:
                if lines[s].compiled:
                    legs[s].relisted = False  # its step knows by the time that has passed
                s = legs[s].next


@either_way
def show_closes(quotes: Any, marks: Any, seen: Any) -> None:
    """Let the quotes' closes follow the marks."""
    for n in range(marks.size):
        quotes[n].close = marks[n]
        quotes[n].seen_ms = seen[n]


@either_way
def mark_sleeves(
    account: Any, sleeves: Any, sessions: Any, lines: Any, marks: Any, opened_ms: int
) -> tuple[float, float]:
    """Mark every sleeve and the account at the last closes; returns (equity, sum of absolute positions)."""
    whole = gross = 0.0
    at = 0
    for k in range(sleeves.size):
        sleeve = sleeves[k]
        worth = sleeve.cash[SPOT]
        if account.margined:
            worth += sleeve.cash[MARGIN]
        while at < account.held and lines[at].held < sleeve.last:
            value = lines[at].held_qty * marks[lines[at].held_in]
            worth += value
            gross += abs(value)
            at += 1
        mark(sessions[k], opened_ms, worth)
        if account.gated:
            watch_losses(sessions[k], sleeve.limits, opened_ms + account.interval_ms)
        whole = worth if k == 0 else whole + worth
    firm = sessions[sleeves.size]
    mark(firm, opened_ms, whole)
    if account.gated:
        watch_losses(firm, account.limits, opened_ms + account.interval_ms)
    if account.invested > 0:
        firm.bars_invested += 1
    return whole, gross


@either_way
def mark(session: Any, opened_ms: int, worth: float) -> None:
    """Keep last, peak and start-of-day equity; a day starts with the equity of the close before it."""
    if opened_ms >= session.day_end_ms:
        session.day_start_equity = session.last_equity
        session.day_end_ms = (opened_ms // DAY_MS + 1) * DAY_MS
    session.last_equity = worth
    if worth > session.peak_equity:
        session.peak_equity = worth
    session.bars += 1


@either_way
def watch_losses(session: Any, limits: Any, closed_ms: int) -> None:
    """Keep the first close at which a loss is above its limit."""
    if session.loss_limit_ms == 0 and loss_limit_passed(
        session.last_equity, session.peak_equity, session.day_start_equity, limits_of(limits)
    ):
        session.loss_limit_ms = closed_ms
