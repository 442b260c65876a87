"""The compiled kernels of a strategy: its step inlined into the event loop, cached across processes."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from qtm.backtest import intrabar, loop, sinks
from qtm.strategies.contract import StepStrategy
from qtm.strategies.machine_code import load_kernel

_SOURCES = ("qtm.backtest.loop", "qtm.backtest.intrabar", "qtm.backtest.sinks")

_PARTS = '''"""Generated: what the event loops of all strategies share."""
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def meet_open(session, book, price, rules):
    return meet_open_inlined(session, book, price, rules)


@njit(cache=True, nogil=True, error_model="numpy")
def live_through(session, book, opened, high, low, rules):
    return live_through_inlined(session, book, opened, high, low, rules)


@njit(cache=True, nogil=True, error_model="numpy")
def judge(session, book, lots, limit, close, now_ms, rules):
    return judge_inlined(session, book, lots, limit, close, now_ms, rules)
'''

_RUN = '''"""Generated: the event loop with one strategy's step inlined."""
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def run(params, state, book, session, rules, bars, ledger):
    last = bars[0].size
    run_bars(
        step, meet_open, live_through, judge, write_order, write_close,
        params, state, book, session, rules, bars, 0, last, ledger,
    )
'''

_SWEEP = '''"""Generated: the event loop over many parameter combinations, a block of bars at a time."""
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def sweep(values, states, books, sessions, tallies, rules, bars, block):
    length = bars[0].size
    for first in range(0, length, block):
        last = min(first + block, length)
        for j in range(values.shape[0]):
            params = Params({arguments})
            run_bars(
                step, meet_open, live_through, judge, tally_order, tally_close,
                params, states[j], books[j], sessions[j], rules, bars, first, last, tallies[j],
            )
    for j in range(values.shape[0]):
        end_day(tallies[j])
'''


def _shared_parts() -> dict[str, Any]:
    """The strategy-independent functions of the loop, compiled once and cached for every kernel."""
    parts = load_kernel(
        "parts",
        _PARTS,
        {
            "meet_open_inlined": loop.meet_open,
            "live_through_inlined": intrabar.live_through,
            "judge_inlined": loop.judge,
        },
        strategy_version="",
        strategy_module="",
        modules=_SOURCES,
    )
    return {name: getattr(parts, name) for name in ("meet_open", "live_through", "judge")}


def loop_kernel(strategy: StepStrategy) -> ModuleType:
    """A module with `run`, the event loop of `strategy` as machine code (compiled at its first call)."""
    return load_kernel(
        f"run_{strategy.name}",
        _RUN,
        {
            "step": strategy.inlined_step,
            **_shared_parts(),
            "run_bars": loop.run_bars,
            "write_order": sinks.write_order,
            "write_close": sinks.write_close,
        },
        strategy_version=strategy.version,
        strategy_module=strategy.step.__module__,
        modules=_SOURCES,
    )


def sweep_kernel(strategy: StepStrategy) -> ModuleType:
    """A module with `sweep`, which runs the rows of a (combinations, parameters) array of values."""
    kinds = [type(value).__name__ for value in strategy.params_type._field_defaults.values()]
    arguments = ", ".join(f"{kind}(values[j, {column}])" for column, kind in enumerate(kinds))
    return load_kernel(
        f"sweep_{strategy.name}",
        _SWEEP.format(arguments=arguments),
        {
            "step": strategy.inlined_step,
            **_shared_parts(),
            "Params": strategy.params_type,
            "run_bars": loop.run_bars,
            "tally_order": sinks.tally_order,
            "tally_close": sinks.tally_close,
            "end_day": sinks.end_day,
        },
        strategy_version=strategy.version,
        strategy_module=strategy.step.__module__,
        modules=_SOURCES,
    )
