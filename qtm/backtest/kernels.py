"""The compiled kernel of a strategy: its step inlined into the event loop, cached across processes."""

from __future__ import annotations

from types import ModuleType

from qtm.backtest import loop
from qtm.strategies.contract import StepStrategy
from qtm.strategies.machine_code import load_kernel

_KERNEL = '''"""Generated: the event loop with one strategy's step inlined."""
from numba import njit


@njit(cache=True, nogil=True, error_model="numpy")
def run(params, state, book, session, rules, bars, signals, worth, orders):
    return run_bars(step, params, state, book, session, rules, bars, signals, worth, orders)
'''


def loop_kernel(strategy: StepStrategy) -> ModuleType:
    """A module with `run`, the event loop of `strategy` as machine code (compiled at its first call)."""
    return load_kernel(
        f"run_{strategy.name}",
        _KERNEL,
        {"step": strategy.inlined_step, "run_bars": loop.run_bars},
        strategy_version=strategy.version,
        modules=("qtm.backtest.loop",),
    )
