"""The compiled kernels of an account: the phases of a bar, its two halves, and the loop over the bars.

Most bars only mark the account and step the strategies; what trades, pays funding or may meet an exit goes
through the phases, which are compiled once for all strategies. The loop stops where Python has something to
say: at the bars of `wake` (a strategy that is not compiled decides there), when the ledger has no room left,
and for what is rare. Steps that do not look at the account have answered ahead of it
(`qtm.backtest.account.stepping`); a loop that asks the others is compiled for them alone, around halves of a
bar that all share.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from qtm.backtest.account import closing, exits, isolated_bar, lines, margin_bar, marking, opening
from qtm.backtest.account.loop_source import FUTURES_EXITS, asking_source, halves_source, loop_source
from qtm.backtest.account.stepping import SOURCES, run_step
from qtm.strategies.contract import StepStrategy
from qtm.strategies.machine_code import load_kernel
from qtm.trading.margin import MarginMode

_SHARED = "what all strategies share in the account engine"

_PHASE = '''"""Generated: a phase of a bar of an account."""
from qtm.compiled_kernels import kernel


@kernel(makes_arrays=False)
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
    "isolated_exits": (isolated_bar.isolated_exits, _EXITS),
    "send_orders": (
        closing.send_orders,
        "account, sleeves, sessions, quotes, legs, queue, waiting, orders, seen_bars, closes, opened_ms, i",
    ),
}


def phase(name: str) -> Any:
    """One phase as machine code, cached for every kernel."""
    plain, arguments = _PHASES[name]
    module = load_kernel(
        f"account_{name}",
        _PHASE.format(arguments=arguments),
        {"plain": plain},
        purpose=_SHARED,
        strategy_version="",
        strategy_module="",
        modules=SOURCES,
    )
    return module.phase


def account_kernel(
    strategies: Sequence[StepStrategy | None], *, margin: MarginMode | None, watching: bool, counting: bool
) -> ModuleType:
    """A module with `run`, the loop of an account on which these strategies trade.

    Parameters
    ----------
    strategies
        The account's strategies. One that is None is not asked by the loop: it decides at the bars of `wake`,
        or has answered ahead. The others each add the arguments (parameters, states, blank state) in their
        order.
    margin
        How the margin account is kept; None when there is none.
    watching
        Whether the loop minds protective exits; one that does not comes back when it meets the first.
    counting
        Whether somebody asks for the closes in ticks; compiled steps do.
    """
    asked = {k: strategy for k, strategy in enumerate(strategies) if strategy is not None}
    if not asked:
        source = loop_source(margin=margin, watching=watching, counting=counting)
        return _load("account", source, _parts(margin=margin, watching=watching))
    halves = _load(
        "account_bar",
        halves_source(margin=margin, watching=watching),
        _parts(margin=margin, watching=watching),
    )
    names = {name: getattr(halves, name) for name in ("prepare", "begin", "take_answer", "end")}
    names |= {"run_step": run_step}
    names |= {f"step_{k}": strategy.inlined_step for k, strategy in asked.items()}
    # The loop calls the halves it was compiled with, so another pair needs another loop.
    source = f"{asking_source(tuple(asked))}\n# {halves.__name__}\n"
    return _load("account", source, names, tuple(asked.values()))


def _parts(*, margin: MarginMode | None, watching: bool) -> dict[str, Any]:
    """What the source of a bar names."""
    wanted = {
        "trade_at_open": True,
        "send_orders": True,
        "spot_exits": watching,
    }
    if margin is not None:
        wanted[FUTURES_EXITS[margin]] = watching
    phases = {name: phase(name) for name, is_wanted in wanted.items() if is_wanted}
    return phases | {
        "pay_funding": opening.pay_funding,
        "is_dying": opening.is_dying,
        "take_stock": lines.take_stock,
        "note_trades": lines.note_trades,
        "take_targets": lines.take_targets,
        "take_exits": lines.take_exits,
        "take_plan": lines.take_plan,
        "queue_unmet": lines.queue_unmet,
        "show_closes": marking.show_closes,
        "take_closes": marking.take_closes,
        "count_ticks": marking.count_ticks,
        "mark_sleeves": marking.mark_sleeves,
        "watch_again": exits.watch_again,
    }


def _load(
    stem: str, source: str, names: dict[str, Any], strategies: Sequence[StepStrategy] = ()
) -> ModuleType:
    return load_kernel(
        "_".join((stem, *(strategy.name for strategy in strategies))),
        source,
        names,
        purpose=f"{', '.join(one.name for one in strategies)} for the account engine"
        if strategies
        else _SHARED,
        strategy_version=" ".join(strategy.version for strategy in strategies),
        strategy_module=" ".join(strategy.step.__module__ for strategy in strategies),
        modules=SOURCES,
    )
