"""The compiled engine: shared by all strategies but for the step, cached across processes."""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any

from qtm.backtest.tape import bar_path, loop  # noqa: F401 - they define the units linked below
from qtm.backtest.tape.units import SHARED, SOURCES, link, symbol_of
from qtm.strategies.machine_code import load_kernel
from qtm.strategies.order_contract import OrderStrategy

_UNITS = (
    "find_ruin", "refresh", "end_order", "fill", "liquidate", "enter", "print_reaches", "trigger",
    "fire_triggers", "dispatch", "arrive", "walk", "live_through", "take_sample", "advance",
)  # fmt: skip
"""The engine's units, those that are called before those that call."""

_RUN = '''"""Generated: the engine with one strategy's step."""
from qtm.compiled_kernels import kernel


@kernel()
def run(params, state, desk, rules, levels, events, bars, fills, ends, equity):
    while True:
        reached = advance(desk, rules, levels, events, bars, fills, ends, equity)
        if reached != 0:
            return reached
        step(params, state, desk.event, desk.account, desk)
        if desk.judged != desk.asked:
            dispatch(desk, rules, ends)
'''

_CALLS = '''"""Generated: the engine's units as plain Python calls them."""
from qtm.compiled_kernels import kernel


@kernel()
def call_advance(desk, rules, levels, events, bars, fills, ends, equity):
    return advance(desk, rules, levels, events, bars, fills, ends, equity)


@kernel()
def call_dispatch(desk, rules, ends):
    dispatch(desk, rules, ends)


@kernel()
def call_take_sample(desk, rules, ends, equity):
    take_sample(desk, rules, ends, equity)
'''


@cache
def _linked() -> dict[str, Any]:
    return link(_UNITS)


def engine_calls() -> ModuleType:
    """A module with `call_advance`, `call_dispatch` and `call_take_sample`."""
    _linked()
    names = {"advance": loop.advance, "dispatch": loop.dispatch, "take_sample": loop.take_sample}
    return _load("tape_calls", _CALLS, names, SHARED, "", "")


def run_kernel(strategy: OrderStrategy) -> ModuleType:
    """A module with `run`, which runs `strategy` until the tape ends or the ledger is full."""
    _linked()
    names = {"step": strategy.jitable_step, "advance": loop.advance, "dispatch": loop.dispatch}
    purpose = f"{strategy.name} for the orders engine"
    return _load(f"orders_{strategy.name}", _RUN, names, purpose, strategy.version, strategy.step.__module__)


def _load(
    stem: str, template: str, names: dict[str, Any], purpose: str, version: str, module: str
) -> ModuleType:
    # The machine code names the units by their symbols, so it must not outlive them.
    keyed = f"{template}\n# {symbol_of('advance')}\n"
    return load_kernel(
        stem, keyed, names, purpose=purpose, strategy_version=version, strategy_module=module, modules=SOURCES
    )
