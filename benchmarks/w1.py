"""One backtest: a year of one-minute bars, moving-average cross, fees, next-open fills; beside vectorbt."""

from __future__ import annotations

import subprocess
import sys
import time

import numpy as np

from benchmarks._bars import (
    CASH,
    FAST,
    FEE,
    HEADER,
    INSTRUMENT,
    SLOW,
    bare_loop,
    one_year,
    peak_mb,
    row,
    seconds,
    ticks_of,
)
from benchmarks._peers import FOLDER, run_peer
from qtm.backtest.engine import BacktestResult, run_backtest
from qtm.risk.rules import GateLimits
from qtm.strategies.registry import load_strategy
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import FEE_IN_QUOTE, CostModel

COSTS = CostModel(FEE, FEE, 0.0, FEE_IN_QUOTE)
LIMITS = GateLimits(1e9, 1e9, 0.03, 0.9, 0.9, 60.0, 10_000.0, 5_000.0)


def main() -> None:
    """Print the table."""
    bars = one_year()
    length = len(bars)
    trend = load_strategy("trend")
    params = trend.params({"fast": FAST, "slow": SLOW})

    def ours(limits: GateLimits | None) -> BacktestResult:
        result = run_backtest(
            trend,
            params,
            bars,
            INSTRUMENT,
            cash=CASH,
            costs=COSTS,
            sizing=Sizing(SIZE_BY_UNITS, 1.0),
            limits=limits,
        )
        _ = result.statistics
        return result

    started = time.perf_counter()
    result = ours(None)
    first = time.perf_counter() - started
    best, median = seconds(lambda: ours(None), 21)
    gated = seconds(lambda: ours(LIMITS), 21)
    memory = peak_mb()
    ticks, out = ticks_of(bars.close), np.empty(length)
    fills = bare_loop(bars.open, ticks, bars.close, FAST, SLOW, CASH, FEE, out)
    bare = seconds(lambda: bare_loop(bars.open, ticks, bars.close, FAST, SLOW, CASH, FEE, out), 21)

    print(HEADER)
    print(row("qtm: run_backtest and its statistics", best, median, length, median, memory))
    print(row("qtm: the same behind the risk gate", *gated, length, median, memory))
    print(row("bare numba loop (no statistics)", *bare, length, median, "-"))
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / "w1.npz"
    np.savez(path, open=bars.open, close=bars.close)
    for engine in ("rust", "numba"):
        for peer in run_peer("_vectorbt.py", "w1", str(path), engine):
            print(row(peer["name"], peer["best"], peer["median"], length, median, peer["peak_mb"]))
            print(f"    its final equity {peer['final']:,.6f}, {peer['fills']:,} fills")
    print(f"ours   final equity {result.equity[-1]:,.6f}, {result.statistics.fills:,} fills")
    print(
        f"bare   final equity {out[-1]:,.6f}, {fills:,} fills; "
        f"largest difference {abs(out - result.equity).max():.2e}"
    )
    print(f"first call in this process, machine code from the cache or compiled: {first:.2f} s")
    program = "from benchmarks import w1; w1.once()"
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True)
    print(f"a whole process with one backtest: {time.perf_counter() - started:.2f} s")


def once() -> None:
    """One backtest in a fresh process."""
    trend = load_strategy("trend")
    _ = run_backtest(
        trend, {}, one_year(), INSTRUMENT, cash=CASH, costs=COSTS, sizing=Sizing(SIZE_BY_UNITS, 1.0)
    ).statistics


if __name__ == "__main__":
    main()
