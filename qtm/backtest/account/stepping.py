"""Compiled steps on an account: asked bar by bar, or ahead where they do not look at the account."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from qtm.backtest.account.lines import want_target
from qtm.backtest.account.memory import margin_of_quote
from qtm.backtest.intrabar import arm
from qtm.compiled import inlined
from qtm.market.bars import Bar
from qtm.strategies.contract import StepStrategy
from qtm.strategies.machine_code import load_kernel
from qtm.trading.book import Account
from qtm.trading.costs import nearest_ticks
from qtm.trading.plan import plan_of

SOURCES = (
    "qtm.backtest.account",
    "qtm.backtest.deciding",
    "qtm.backtest.intrabar",
    "qtm.backtest.session",
    "qtm.backtest.sinks",
)
"""What the machine code of an account depends on, besides the strategies."""

_TOGETHER = 8
"""Legs that go through the bars together: as many closes as a cache line holds."""

_ANSWER = '''"""Generated: a strategy's step over many bars."""
from qtm.compiled import kernel


@kernel()
def answer(
    params, states, blank, account, sleeve, legs, lines, targets, exits, changes, signals, tick_sizes,
    columns, first, last
):
    step_ahead(
        step, params, states, blank, account, sleeve, legs, lines, targets, exits, changes, signals,
        tick_sizes, columns, first, last
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
    legs: Any,
    lines: Any,
    targets: Any,
    exits: Any,
    changes: Any,
    signals: Any,
    tick_sizes: Any,
    columns: Any,
    first: int,
    last: int,
) -> None:
    """Let a step that does not look at the account answer to bars `first` to `last` (exclusive).

    Written down is what changes something: another target than the last one, and protective exits. A symbol
    that comes back after it was written off is another coin: its step begins afresh, with nothing wanted.
    """
    times, opens, highs, lows, closes, volumes, _ = columns
    begins, dead_ms, keeps = account.trade_from_ms, account.write_off_ms, signals.shape[0] > 0
    for s in range(sleeve.first, sleeve.last):
        line = lines[s]
        n, at = np.uint64(line.instrument), s - sleeve.first
        tick_size = tick_sizes[n]
        state = states[at]
        desired, stepped = legs[s].desired, line.stepped_ms
        for number in range(first, last):
            i = np.uint64(number)
            close, opened = closes[i, n], times[i]
            if np.isnan(close):
                continue
            if stepped != 0 and opened - stepped > dead_ms:
                states[at] = blank[0]
                desired = 0.0
            stepped = opened
            bar = Bar(
                opened, opens[i, n], highs[i, n], lows[i, n], close, volumes[i, n],
                nearest_ticks(close, tick_size),
            )  # fmt: skip
            plan = plan_of(step(params, state, bar, Account(0.0, 0.0, 0.0)))
            if opened < begins:
                continue
            if keeps:
                signals[i, s] = plan.target
            if not np.isnan(plan.target) and plan.target != desired:
                desired = plan.target
                targets[number - first, s] = desired
                changes[number - first, 0] += 1
            if not (np.isnan(plan.stop) and np.isnan(plan.take_profit) and np.isnan(plan.trail)):
                answer = exits[number - first, s]
                answer.stop, answer.take_profit, answer.trail = plan.stop, plan.take_profit, plan.trail
                answer.given = True
                changes[number - first, 1] += 1
        line.stepped_ms = stepped


@inlined
def run_step(
    step: Any,
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
    opens: Any,
    highs: Any,
    lows: Any,
    closes: Any,
    volumes: Any,
    ticks: Any,
    opened_ms: int,
    i: int,
) -> None:
    """Let a strategy answer to bar `i` of its instruments, whose rows these are."""
    for s in range(sleeve.first, sleeve.last):
        leg, line = legs[s], lines[s]
        n, at = line.instrument, s - sleeve.first
        close = closes[n]
        if np.isnan(close):
            continue
        if line.stepped_ms != 0 and opened_ms - line.stepped_ms > account.write_off_ms:
            states[at] = blank[0]
        line.stepped_ms = opened_ms
        bar = Bar(opened_ms, opens[n], highs[n], lows[n], close, volumes[n], ticks[n])
        plan = plan_of(step(params, states[at], bar, Account(leg.qty, leg.entry_price, worth)))
        if opened_ms >= account.trade_from_ms:
            if signals.shape[0] > 0:
                signals[i, s] = plan.target
            want_target(account, leg, line, plan.target)
            if not (np.isnan(plan.stop) and np.isnan(plan.take_profit) and np.isnan(plan.trail)):
                arm(leg, leg, plan, margin_of_quote(quotes[n]))
                account.watched = account.watched or leg.armed
