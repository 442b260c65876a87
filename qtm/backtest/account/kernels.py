"""The compiled kernels of an account: the phases of a bar, and the loop with the steps of its strategies.

Most bars only mark the account and step the strategies; what trades, pays funding or may meet an exit goes
through the phases, which are compiled once for all strategies. The loop stops where Python has something to
say: at the bars of `wake` (a strategy that is not compiled decides there), when the ledger has no room left,
and for what is rare. Steps that do not look at the account have answered ahead of it
(`qtm.backtest.account.stepping`); the others are part of the loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from qtm.backtest.account import closing, exits, lines, margin_bar, marking, opening
from qtm.backtest.account.ledger import ROWS_PER_LEG
from qtm.backtest.account.stepping import SOURCES, run_step
from qtm.strategies.contract import StepStrategy
from qtm.strategies.machine_code import load_kernel

DONE, FULL, AWAKE, WATCHED, DYING = range(5)
"""Why the loop came back: the bars are done, the ledger is full, a decision is due, a protective exit asks
for the loop that minds them, or a symbol has not traded for so long that it is written off."""

_PHASE = '''"""Generated: a phase of a bar of an account."""
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy", _nrt=False)
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
        "account, sleeves, sessions, quotes, legs, queue, waiting, orders, seen_bars, closes, opened_ms, i",
    ),
}

_RUN = '''"""Generated: the loop over the bars of an account with the steps of its strategies."""
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy", _nrt={counts})
def run(
    accounts, sleeves, sessions, quotes, legs, marks, seen, tick_sizes, ticks, queue, waiting,
    lines, targets, exits, changes, columns, seen_bars, ledger, wake, base, first, last, decided{arguments}
):
    times, opens, highs, lows, closes, volumes, rates = columns
    account, orders = accounts[0], ledger.orders
    take_stock(account, legs, lines)
    i = first
    if decided:
        queue_unmet(account, legs, lines, queue, closes[i])
        show_closes(quotes, marks, seen)
        send_orders(
            account, sleeves, sessions, quotes, legs, queue, waiting, orders, seen_bars, closes[i], times[i],
            i
        )
        i += 1
    while i < last:
        opened = times[i]
        if orders.size - account.written < {rows} * (legs.size + 1):
            return i, {full}
{unwatched}
        if account.absent > 0 or (account.seen_ms != 0 and opened - account.seen_ms > account.write_off_ms):
            if is_dying(account, quotes, seen, opened):
                return i, {dying}
        if account.funded:
            pay_funding(sleeves, quotes, legs, opens[i], rates[i])
        working = account.working
        if working > 0:
            trade_at_open(account, sleeves, quotes, legs, waiting, orders, opens[i], volumes[i], i)
            note_trades(account, quotes, legs, lines, waiting, working)
{watch}
        take_closes(account, quotes, legs, lines, marks, seen, closes[i], opened)
{count}
        ledger.equity[i], ledger.gross[i] = mark_sleeves(account, sleeves, sessions, lines, marks, opened)
        if account.netted:
            for k in range(sleeves.size):
                ledger.sleeves[i, k] = sessions[k].last_equity
        if changes[i - base, 0] > 0:
            take_targets(account, legs, lines, targets[i - base])
            changes[i - base, 0] = 0
        if changes[i - base, 1] > 0:
            take_exits(account, quotes, legs, exits[i - base])
            changes[i - base, 1] = 0
{steps}
        if wake.size > 0 and wake[i] != 0:
            return i, {awake}
        if account.unmet > 0:
            queue_unmet(account, legs, lines, queue, closes[i])
        if account.queued > 0:
            if account.margined:
                show_closes(quotes, marks, seen)
            send_orders(
                account, sleeves, sessions, quotes, legs, queue, waiting, orders, seen_bars, closes[i],
                opened, i
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
            watch_again(account, quotes, legs)
            take_stock(account, legs, lines)"""

_COUNT = """        count_ticks(ticks, closes[i], tick_sizes)"""

_MARGIN = """            show_closes(quotes, marks, seen)
            margin_exits(
                account, sleeves, quotes, legs, orders, opens[i], highs[i], lows[i], volumes[i], opened, i
            )"""

_STEP = """        run_step(
            step_{k}, params_{k}, states_{k}, blank_{k}, account, sleeves[{k}], quotes, legs, lines,
            sessions[{k}].last_equity, ledger.signals, opens[i], highs[i], lows[i], closes[i], volumes[i],
            ticks, opened, i,
        )"""


def phase(name: str) -> Any:
    """One phase as machine code, cached for every kernel."""
    plain, arguments = _PHASES[name]
    module = load_kernel(
        f"account_{name}",
        _PHASE.format(arguments=arguments),
        {"plain": plain},
        strategy_version="",
        strategy_module="",
        modules=SOURCES,
    )
    return module.phase


def account_kernel(
    strategies: Sequence[StepStrategy | None], *, margined: bool, watching: bool, counting: bool
) -> ModuleType:
    """A module with `run`, the loop of an account on which these strategies trade.

    Parameters
    ----------
    strategies
        The account's strategies. One that is None is not asked by the loop: it decides at the bars of `wake`,
        or has answered ahead. The others each add the arguments (parameters, states, blank state) in their
        order.
    margined
        Whether there is a margin account.
    watching
        Whether the loop minds protective exits; one that does not comes back when it meets the first.
    counting
        Whether somebody asks for the closes in ticks.
    """
    compiled = [(k, strategy) for k, strategy in enumerate(strategies) if strategy is not None]
    wanted = {
        "trade_at_open": True,
        "send_orders": True,
        "spot_exits": watching,
        "margin_exits": watching and margined,
    }
    names: dict[str, Any] = {name: phase(name) for name, is_wanted in wanted.items() if is_wanted}
    names |= {
        "pay_funding": opening.pay_funding,
        "is_dying": opening.is_dying,
        "take_stock": lines.take_stock,
        "note_trades": lines.note_trades,
        "take_targets": lines.take_targets,
        "take_exits": lines.take_exits,
        "queue_unmet": lines.queue_unmet,
        "show_closes": marking.show_closes,
        "take_closes": marking.take_closes,
        "count_ticks": marking.count_ticks,
        "mark_sleeves": marking.mark_sleeves,
        "watch_again": exits.watch_again,
        "run_step": run_step,
    }
    names |= {f"step_{k}": strategy.inlined_step for k, strategy in compiled}
    return load_kernel(
        "_".join(("account", *(strategy.name for _, strategy in compiled))),
        _RUN.format(
            arguments="".join(f", params_{k}, states_{k}, blank_{k}" for k, _ in compiled),
            steps="\n".join(_STEP.format(k=k) for k, _ in compiled),
            count=_COUNT if counting else "",
            counts=bool(compiled),
            unwatched="" if watching else _UNWATCHED.format(watched=WATCHED),
            watch=_WATCH.format(margin=_MARGIN if margined else "") if watching else "",
            rows=ROWS_PER_LEG,
            full=FULL,
            awake=AWAKE,
            dying=DYING,
            done=DONE,
        ),
        names,
        strategy_version=" ".join(strategy.version for _, strategy in compiled),
        strategy_module=" ".join(strategy.step.__module__ for _, strategy in compiled),
        modules=SOURCES,
    )
