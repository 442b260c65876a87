"""The compiled kernels of a strategy: its step inlined into the event loop, cached across processes."""

from __future__ import annotations

from types import ModuleType

from qtm.backtest import bar_events, deciding, loop, sinks
from qtm.backtest.intrabar import rest_calm
from qtm.strategies.contract import StepStrategy
from qtm.strategies.machine_code import load_kernel

_SOURCES = (
    "qtm.backtest.bar_events",
    "qtm.backtest.deciding",
    "qtm.backtest.intrabar",
    "qtm.backtest.kernels",
    "qtm.backtest.loop",
    "qtm.backtest.session",
    "qtm.backtest.sinks",
)

_PARTS = '''"""Generated: what the event loops of all strategies share."""
from qtm.compiled_kernels import kernel


@kernel(makes_arrays=False)
def written_bar(session, book, i, opened_ms, opened, high, low, volume, rate, rules, sink):
    through_bar(write_order, session, book, i, opened_ms, opened, high, low, volume, rate, rules, sink)


@kernel(makes_arrays=False)
def written_close(session, book, i, now_ms, close, rules, sink):
    at_close(write_order, session, book, i, now_ms, close, rules, sink)


@kernel(makes_arrays=False)
def tallied_bar(session, book, i, opened_ms, opened, high, low, volume, rate, rules, sink):
    through_bar(tally_order, session, book, i, opened_ms, opened, high, low, volume, rate, rules, sink)


@kernel(makes_arrays=False)
def tallied_close(session, book, i, now_ms, close, rules, sink):
    at_close(tally_order, session, book, i, now_ms, close, rules, sink)


@kernel(makes_arrays=False)
def calm(session, book, rules):
    rest_calm(session, book, rules.margin)
'''

_RUN = '''"""Generated: the event loop with one strategy's step inlined."""
from qtm.compiled_kernels import by_address, kernel


@kernel()
def run(params, state, book, session, rules, bars, first, ledger):
    return run_bars(
        step, written_bar, written_close, calm, write_close, write_day, lacks_room,
        params, state, book, session, rules, by_address(rules), bars, first, bars[0].size,
        ledger, by_address(ledger),
    )
'''

_SWEEP = '''"""Generated: the event loop over many parameter combinations, a block of bars at a time."""
from qtm.compiled_kernels import by_address, kernel


@kernel()
def sweep(values, states, books, sessions, tallies, rules, bars, block):
    length = bars[0].size
    rules_by_address = by_address(rules)
    for first in range(0, length, block):
        last = min(first + block, length)
        for j in range(values.shape[0]):
            params = Params({arguments})
            run_bars(
                step, tallied_bar, tallied_close, calm, tally_close, tally_day, never_full,
                params, states[j], books[j], sessions[j], rules, rules_by_address, bars, first, last,
                tallies[j], tallies[j],
            )
    for j in range(values.shape[0]):
        tally_day(tallies[j], sessions[j].day_start_equity, sessions[j].last_equity)
'''


def _shared_parts() -> ModuleType:
    """The strategy-independent functions of the loop, compiled once and cached for every kernel."""
    return load_kernel(
        "parts",
        _PARTS,
        {
            "through_bar": bar_events.through_bar,
            "at_close": deciding.at_close,
            "rest_calm": rest_calm,
            "write_order": sinks.write_order,
            "tally_order": sinks.tally_order,
        },
        purpose="what all strategies share in the step engine",
        strategy_version="",
        strategy_module="",
        modules=_SOURCES,
    )


def loop_kernel(strategy: StepStrategy) -> ModuleType:
    """A module with `run`, the event loop of `strategy` as machine code (compiled at its first call)."""
    parts = _shared_parts()
    return load_kernel(
        f"run_{strategy.name}",
        _RUN,
        {
            "step": strategy.inlined_step,
            "run_bars": loop.run_bars,
            "written_bar": parts.written_bar,
            "written_close": parts.written_close,
            "calm": parts.calm,
            "write_close": sinks.write_close,
            "write_day": sinks.write_day,
            "lacks_room": sinks.lacks_room,
        },
        purpose=f"{strategy.name} for the step engine",
        strategy_version=strategy.version,
        strategy_module=strategy.step.__module__,
        modules=_SOURCES,
    )


def sweep_kernel(strategy: StepStrategy) -> ModuleType:
    """A module with `sweep`, which runs the rows of a (combinations, parameters) array of values."""
    parts = _shared_parts()
    kinds = [type(value).__name__ for value in strategy.params_type._field_defaults.values()]
    arguments = ", ".join(f"{kind}(values[j, {column}])" for column, kind in enumerate(kinds))
    return load_kernel(
        f"sweep_{strategy.name}",
        _SWEEP.format(arguments=arguments),
        {
            "step": strategy.inlined_step,
            "Params": strategy.params_type,
            "run_bars": loop.run_bars,
            "tallied_bar": parts.tallied_bar,
            "tallied_close": parts.tallied_close,
            "calm": parts.calm,
            "tally_close": sinks.tally_close,
            "tally_day": sinks.tally_day,
            "never_full": sinks.never_full,
        },
        purpose=f"{strategy.name} for sweeps",
        strategy_version=strategy.version,
        strategy_module=strategy.step.__module__,
        modules=_SOURCES,
    )
