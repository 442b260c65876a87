"""The compiled kernels of an account: the phases of a bar, and the loop with the steps of its strategies.

Most bars only mark the account and step the strategies; what trades, pays funding or may meet an exit goes
through the phases, which are compiled once for all strategies. The loop stops where Python has something to
say: at the bars of `wake` (a strategy that is not compiled decides there) and when the ledger has no room
left.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from qtm.backtest.account import closing, exits, margin_bar, opening
from qtm.backtest.account.ledger import ROWS_PER_LEG
from qtm.backtest.account.memory import margin_of_quote
from qtm.backtest.intrabar import arm
from qtm.compiled import inlined
from qtm.market.bars import Bar
from qtm.strategies.contract import StepStrategy
from qtm.strategies.machine_code import load_kernel
from qtm.trading.book import Account, set_desired
from qtm.trading.plan import plan_of

DONE, FULL, AWAKE, WATCHED = range(4)
"""Why the loop came back: the bars are done, the ledger is full, a decision is due, or a protective exit asks
for the loop that minds them."""

_SOURCES = (
    "qtm.backtest.account",
    "qtm.backtest.deciding",
    "qtm.backtest.intrabar",
    "qtm.backtest.session",
    "qtm.backtest.sinks",
)

_PHASE = '''"""Generated: a phase of a bar of an account."""
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def phase({arguments}):
    return plain({arguments})
'''

_EXITS = "account, sleeves, quotes, legs, orders, opens, highs, lows, volumes, opened_ms, i"

_PHASES = {
    "write_off_dead": (
        opening.write_off_dead,
        "account, sleeves, quotes, legs, waiting, orders, opened_ms, i",
    ),
    "trade_at_open": (
        opening.trade_at_open,
        "account, sleeves, quotes, legs, waiting, orders, opens, volumes, i",
    ),
    "spot_exits": (exits.spot_exits, _EXITS),
    "margin_exits": (margin_bar.margin_exits, _EXITS),
    "send_orders": (
        closing.send_orders,
        "account, sleeves, sessions, quotes, legs, queue, waiting, orders, closes, opened_ms, i",
    ),
}

_RUN = '''"""Generated: the loop over the bars of an account with the steps of its strategies."""
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def run(
    accounts, sleeves, sessions, quotes, legs, marks, seen, tick_sizes, ticks, queue, waiting,
    columns, ledger, wake, first, last, decided{arguments}
):
    times, opens, highs, lows, closes, volumes, rates = columns
    account, orders = accounts[0], ledger.orders
    i = first
    if decided:
        queue_unmet(account, legs, queue, closes[i])
        show_closes(quotes, marks, seen)
        send_orders(
            account, sleeves, sessions, quotes, legs, queue, waiting, orders, closes[i], times[i], i
        )
        i += 1
    while i < last:
        opened = times[i]
        if orders.size - account.written < {rows} * (legs.size + 1):
            return i, {full}
{unwatched}
        if account.absent > 0 or (account.seen_ms != 0 and opened - account.seen_ms > account.write_off_ms):
            show_closes(quotes, marks, seen)
            write_off_dead(account, sleeves, quotes, legs, waiting, orders, opened, i)
        if account.funded:
            pay_funding(sleeves, quotes, legs, opens[i], rates[i])
        if account.working > 0:
            trade_at_open(account, sleeves, quotes, legs, waiting, orders, opens[i], volumes[i], i)
{watch}
        take_closes(account, quotes, marks, seen, tick_sizes, ticks, closes[i], opened)
        ledger.equity[i], ledger.gross[i] = mark_sleeves(
            account, sleeves, sessions, quotes, legs, marks, opened
        )
        if account.netted:
            for k in range(sleeves.size):
                ledger.sleeves[i, k] = sessions[k].last_equity
{steps}
{plain}
        if wake.size > 0 and wake[i] != 0:
            return i, {awake}
        if account.queued > 0:
            if account.margined:
                show_closes(quotes, marks, seen)
            send_orders(
                account, sleeves, sessions, quotes, legs, queue, waiting, orders, closes[i], opened, i
            )
        i += 1
    return last, {done}
'''

_UNWATCHED = """        if account.watched:
            return i, {watched}"""

_WATCH = """        if account.watched:
            spot_exits(
                account, sleeves, quotes, legs, orders, opens[i], highs[i], lows[i], volumes[i], opened, i
            )
{margin}
            watch_again(account, quotes, legs)"""

_PLAIN = """        queue_unmet(account, legs, queue, closes[i])"""

_MARGIN = """            show_closes(quotes, marks, seen)
            margin_exits(
                account, sleeves, quotes, legs, orders, opens[i], highs[i], lows[i], volumes[i], opened, i
            )"""

_STEP = """        run_step(
            step_{k}, params_{k}, states_{k}, blank_{k}, account, sleeves[{k}], quotes, legs, queue,
            sessions[{k}].last_equity, ledger.signals, opens[i], highs[i], lows[i], closes[i], volumes[i],
            ticks, opened, i,
        )"""


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
    queue: Any,
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
    """Let a strategy answer to bar `i` of its instruments, and queue the legs whose target is unmet."""
    for s in range(sleeve.first, sleeve.last):
        leg = legs[s]
        n = leg.instrument
        close = closes[n]
        if np.isnan(close):
            continue
        at = s - sleeve.first
        if leg.relisted:
            states[at] = blank[0]
            leg.relisted = False
        bar = Bar(opened_ms, opens[n], highs[n], lows[n], close, volumes[n], ticks[n])
        plan = plan_of(step(params, states[at], bar, Account(leg.qty, leg.entry_price, worth)))
        if opened_ms >= account.trade_from_ms:
            if signals.shape[0] > 0:
                signals[i, s] = plan.target
            set_desired(leg, plan.target)
            if not (np.isnan(plan.stop) and np.isnan(plan.take_profit) and np.isnan(plan.trail)):
                arm(leg, leg, plan, margin_of_quote(quotes[n]))
                account.watched = account.watched or leg.armed
            if leg.desired != leg.achieved:
                queue[account.queued] = s
                account.queued += 1


def _phase(name: str) -> Any:
    """One phase as machine code, cached for every kernel."""
    plain, arguments = _PHASES[name]
    module = load_kernel(
        f"account_{name}",
        _PHASE.format(arguments=arguments),
        {"plain": plain},
        strategy_version="",
        strategy_module="",
        modules=_SOURCES,
    )
    return module.phase


def account_kernel(
    strategies: Sequence[StepStrategy | None], *, margined: bool, watching: bool
) -> ModuleType:
    """A module with `run`, the loop of an account on which these strategies trade.

    Parameters
    ----------
    strategies
        The account's strategies. One that is None is not compiled: it decides at the bars of `wake`. The
        compiled ones each add the arguments (parameters, states, blank state) in their order.
    margined
        Whether there is a margin account.
    watching
        Whether the loop minds protective exits; one that does not comes back when it meets the first.
    """
    compiled = [(k, strategy) for k, strategy in enumerate(strategies) if strategy is not None]
    wanted = {
        "write_off_dead": True,
        "trade_at_open": True,
        "send_orders": True,
        "spot_exits": watching,
        "margin_exits": watching and margined,
    }
    names: dict[str, Any] = {name: _phase(name) for name, is_wanted in wanted.items() if is_wanted}
    names |= {
        "pay_funding": opening.pay_funding,
        "queue_unmet": closing.queue_unmet,
        "show_closes": closing.show_closes,
        "take_closes": closing.take_closes,
        "mark_sleeves": closing.mark_sleeves,
        "watch_again": exits.watch_again,
        "run_step": run_step,
    }
    names |= {f"step_{k}": strategy.inlined_step for k, strategy in compiled}
    return load_kernel(
        "account_" + "_".join(strategy.name for _, strategy in compiled),
        _RUN.format(
            arguments="".join(f", params_{k}, states_{k}, blank_{k}" for k, _ in compiled),
            steps="\n".join(_STEP.format(k=k) for k, _ in compiled),
            plain=_PLAIN if len(compiled) < len(strategies) else "",
            unwatched="" if watching else _UNWATCHED.format(watched=WATCHED),
            watch=_WATCH.format(margin=_MARGIN if margined else "") if watching else "",
            rows=ROWS_PER_LEG,
            full=FULL,
            awake=AWAKE,
            done=DONE,
        ),
        names,
        strategy_version=" ".join(strategy.version for _, strategy in compiled),
        strategy_module=" ".join(strategy.step.__module__ for _, strategy in compiled),
        modules=_SOURCES,
    )
