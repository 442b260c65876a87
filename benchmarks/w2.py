"""A sweep of 400 combinations of the same backtest with drawdown and Sharpe of each; beside vectorbt."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks._bars import (
    CASH,
    FEE,
    GRID,
    HEADER,
    INSTRUMENT,
    bare_figures,
    one_year,
    peak_mb,
    row,
    seconds,
    ticks_of,
)
from benchmarks._peers import FOLDER, run_peer
from qtm.backtest.sweep import run_sweep
from qtm.strategies.registry import load_strategy
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import FEE_IN_QUOTE, CostModel

COSTS = CostModel(FEE, FEE, 0.0, FEE_IN_QUOTE)


def main() -> None:
    """Print the table."""
    bars = one_year()
    trend = load_strategy("trend")
    pairs = [(fast, slow) for fast in GRID["fast"] for slow in GRID["slow"]]
    work = len(bars) * len(pairs)

    def ours() -> object:
        return run_sweep(
            trend, GRID, bars, INSTRUMENT, cash=CASH, costs=COSTS, sizing=Sizing(SIZE_BY_UNITS, 1.0)
        )

    best, median = seconds(ours, 5)
    memory = peak_mb()
    ticks = ticks_of(bars.close)

    def bare() -> list[object]:
        with ThreadPoolExecutor() as pool:
            return list(
                pool.map(lambda pair: bare_figures(bars.open, ticks, bars.close, *pair, CASH, FEE), pairs)
            )

    hand = seconds(bare, 3)
    found = ours()
    finals = np.array([figures[0] for figures in bare()])
    print(HEADER.replace("M bars/s", "M bar-c/s"))
    print(row(f"qtm: run_sweep, {len(pairs)} combinations", best, median, work, median, memory))
    print(row("bare numba loop per combination, threads", *hand, work, median, "-"))
    print(
        f"    largest difference of final equity: {abs(finals - found['final_equity'].to_numpy()).max():.2e}"
    )
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / "w1.npz"
    np.savez(path, open=bars.open, close=bars.close)
    for peer in run_peer("_vectorbt.py", "w2", str(path), "rust"):
        share = peer["fills"] * len(bars)
        scaled = median * share / work
        print(row(peer["name"], peer["best"], peer["median"], share, scaled, peer["peak_mb"]))


if __name__ == "__main__":
    main()
