"""Compiled steps on an account: asked bar by bar, or ahead where they do not look at the account."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from qtm.backtest.account.marking import count_ticks
from qtm.compiled import fetch_ahead, inlined
from qtm.market.bars import Bar
from qtm.strategies.contract import StepStrategy
from qtm.strategies.machine_code import load_kernel
from qtm.trading.book import Account
from qtm.trading.plan import plan_of

SOURCES = (
    "qtm.backtest.account",
    "qtm.backtest.deciding",
    "qtm.backtest.intrabar",
    "qtm.backtest.session",
    "qtm.backtest.sinks",
)
"""What the machine code of an account depends on, besides the strategies."""

_ANSWER = '''"""Generated: a strategy's step over many bars."""
from qtm.compiled_kernels import kernel


@kernel()
def answer(
    params, states, blank, account, sleeve, lines, targets, exits, changes, ticks, counts, signals,
    tick_sizes, columns, first, last
):
    step_ahead(
        step, params, states, blank, account, sleeve, lines, targets, exits, changes, ticks, counts,
        signals, tick_sizes, columns, first, last
    )
'''


def answering_kernel(strategy: StepStrategy) -> ModuleType:
    """A module with `answer`, which asks a strategy's step many bars ahead."""
    return load_kernel(
        f"answer_{strategy.name}",
        _ANSWER,
        {"step": strategy.inlined_step, "step_ahead": step_ahead},
        purpose=f"{strategy.name} for the account engine",
        strategy_version=strategy.version,
        strategy_module=strategy.step.__module__,
        modules=SOURCES,
    )


@inlined
def step_ahead(
    step: Any,
    params: Any,
    states: Any,
    blank: Any,
    account: Any,
    sleeve: Any,
    lines: Any,
    targets: Any,
    exits: Any,
    changes: Any,
    ticks: Any,
    counts: bool,
    signals: Any,
    tick_sizes: Any,
    columns: Any,
    first: int,
    last: int,
) -> None:
    """Let a step that does not look at the account answer to bars `first` to `last` (exclusive).

    The strategy that is asked first counts the closes in ticks, `ticks` (R, N), for all (`counts`); that
    fetches each bar of the panel once and in order. The legs go through the bars one after the other.

    Written down is what changes something: another target than the last one, and protective exits. A symbol
    that comes back after it was written off is another coin: its step begins afresh, with nothing wanted.
    """
    times, opens, highs, lows, closes, volumes, _ = columns
    begins, dead_ms, keeps = account.trade_from_ms, account.write_off_ms, signals.shape[0] > 0
    if counts:
        for number in range(first, last):
            count_ticks(ticks[number - first], closes[number], tick_sizes)
    for s in range(sleeve.first, sleeve.last):
        line = lines[s]
        n, at = np.uint64(line.instrument), s - sleeve.first
        state = states[at]
        desired, stepped = line.answered, line.stepped_ms
        for number in range(first, last):
            i, row = np.uint64(number), np.uint64(number - first)
            close_ticks, opened = ticks[row, n], times[i]
            if np.isnan(close_ticks):
                continue
            if opened - stepped > dead_ms and stepped != 0:
                states[at] = blank[0]
                desired = 0.0
            stepped = opened
            bar = Bar(
                opened, opens[i, n], highs[i, n], lows[i, n], closes[i, n], volumes[i, n], close_ticks
            )  # fmt: skip
            plan = plan_of(step(params, state, bar, Account(0.0, 0.0, 0.0)))
            if opened < begins:
                continue
            if keeps:
                signals[i, s] = plan.target
            if not np.isnan(plan.target) and plan.target != desired:
                desired = plan.target
                count = changes[row, 0]
                answer = targets[row, count]
                answer.leg, answer.target = s, desired
                changes[row, 0] = count + 1
            if not (np.isnan(plan.stop) and np.isnan(plan.take_profit) and np.isnan(plan.trail)):
                armed = changes[row, 1]
                ordered = exits[row, armed]
                ordered.leg = s
                ordered.stop, ordered.take_profit, ordered.trail = plan.stop, plan.take_profit, plan.trail
                changes[row, 1] = armed + 1
        line.answered, line.stepped_ms = desired, stepped
    for number in range(first, min(last, times.size - 1)):
        for at in range(changes[number - first, 0]):
            fetch_ahead(opens[number + 1], lines[targets[number - first, at].leg].instrument)


@inlined
def run_step(
    step: Any,
    take_answer: Any,
    params: Any,
    states: Any,
    blank: Any,
    account: Any,
    sleeve: Any,
    quotes: Any,
    legs: Any,
    lines: Any,
    worth: float,
    signals: Any,
    columns: Any,
    ticks: Any,
    number: int,
) -> None:
    """Let a strategy answer to a bar; `take_answer` is called where that changes something."""
    times, opens, highs, lows, closes, volumes, _ = columns
    i = np.uint64(number)
    opened = times[i]
    for s in range(sleeve.first, sleeve.last):
        leg, line = legs[s], lines[s]
        n, at = np.uint64(line.instrument), s - sleeve.first
        close = closes[i, n]
        if np.isnan(close):
            continue
        if line.stepped_ms != 0 and opened - line.stepped_ms > account.write_off_ms:
            states[at] = blank[0]
        line.stepped_ms = opened
        bar = Bar(opened, opens[i, n], highs[i, n], lows[i, n], close, volumes[i, n], ticks[n])
        plan = plan_of(step(params, states[at], bar, Account(leg.qty, leg.entry_price, worth)))
        if opened < account.trade_from_ms:
            continue
        if signals.shape[0] > 0:
            signals[i, s] = plan.target
        exits = not (np.isnan(plan.stop) and np.isnan(plan.take_profit) and np.isnan(plan.trail))
        changed = plan.target != leg.desired and not np.isnan(plan.target)
        if changed or exits or (leg.desired != leg.achieved and not line.unmet):
            take_answer(account, quotes, legs, lines, s, plan.target, plan.stop, plan.take_profit, plan.trail)
