"""Fifty assets on one account: 100,000 bars each, moving-average cross, shared cash; beside vectorbt."""

from __future__ import annotations

import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from benchmarks._bars import CASH, FAST, FEE, HEADER, SLOW, peak_mb, row, seconds
from benchmarks._peers import FOLDER, run_peer
from qtm.backtest.account.engine import run_account
from qtm.backtest.account.panel import Panel
from qtm.backtest.account.result import AccountResult
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.risk.rules import GateLimits
from qtm.strategies.registry import load_strategy
from qtm.trading.costs import FEE_IN_QUOTE, CostModel

ASSETS, BARS = 50, 100_000
TABLES = ("open", "high", "low", "close", "volume")
COSTS = CostModel(FEE, FEE, 0.0, FEE_IN_QUOTE)
LIMITS = GateLimits(1e9, 1e9, 0.03, 0.99, 0.99, 1e6, 10_000.0, 5_000.0)


def write_market(folder: Path) -> None:
    """Random walks on a grid of cents, one file per column of shape (bars, assets)."""
    folder.mkdir(parents=True, exist_ok=True)
    tables = {name: np.empty((BARS, ASSETS)) for name in TABLES}
    for asset in range(ASSETS):
        random = np.random.default_rng(1_000 + asset)
        close = np.round(100.0 * np.exp(np.cumsum(random.normal(0.0, 0.00083, BARS))), 2)
        gaps = np.exp(random.normal(0.0, 0.00004, BARS))
        opened = np.round(np.concatenate(([100.0], close[:-1])) * gaps, 2)
        reach = np.exp(np.abs(random.normal(0.0, 0.0004, (2, BARS))))
        tables["open"][:, asset], tables["close"][:, asset] = opened, close
        tables["high"][:, asset] = np.round(np.maximum(opened, close) * reach[0], 2)
        tables["low"][:, asset] = np.round(np.minimum(opened, close) / reach[1], 2)
        tables["volume"][:, asset] = np.round(random.gamma(2.0, 5.0, BARS), 4)
    for name, table in tables.items():
        np.save(folder / f"{name}.npy", table)


def market(folder: Path) -> Panel:
    """The market as mapped files, made by a process of its own so that its memory is not counted here."""
    if not (folder / "volume.npy").is_file():
        program = f"from benchmarks.w3 import *; write_market(Path({str(folder)!r}))"
        subprocess.run([sys.executable, "-c", program], check=True)
    columns = {name: np.load(folder / f"{name}.npy", mmap_mode="c") for name in TABLES}
    times = 1_704_067_200_000 + np.arange(BARS, dtype=np.int64) * 60_000
    instruments = tuple(_instrument(f"A{asset:02d}USDT") for asset in range(ASSETS))
    return Panel(instruments, Interval.M1, times, **columns, rates=np.zeros((0, ASSETS)))


def _instrument(symbol: str) -> Instrument:
    return Instrument(
        Market.SPOT, symbol, symbol.removesuffix("USDT"), "USDT",
        tick_size=Decimal("0.01"), step_size=Decimal("0.00001"), min_qty=Decimal("0.00001"),
        max_qty=Decimal(9_000_000), min_notional=Decimal(5),
    )  # fmt: skip


@numba.njit
def bare_loop(opens: Any, closes: Any, fast: int, slow: int, fee: float, cash: float, equity: Any) -> int:
    """The least that is this backtest: running sums, a fiftieth of the equity an asset, sells before buys."""
    length, assets = closes.shape
    fast_sum, slow_sum, held = np.zeros(assets), np.zeros(assets), np.zeros(assets)
    wanted = np.zeros(assets, np.int8)
    fills, worth = 0, cash
    for i in range(length):
        for a in range(assets):
            if wanted[a] == 0 and held[a] > 0.0:
                cash += held[a] * opens[i, a] * (1.0 - fee)
                held[a] = 0.0
                fills += 1
        for a in range(assets):
            if wanted[a] == 1 and held[a] == 0.0:
                spent = min(worth / assets, cash / (1.0 + fee))
                if spent > 0.0:
                    held[a] = spent / opens[i, a]
                    cash -= spent * (1.0 + fee)
                    fills += 1
        worth = cash
        for a in range(assets):
            close = closes[i, a]
            fast_sum[a] += close - (closes[i - fast, a] if i >= fast else 0.0)
            slow_sum[a] += close - (closes[i - slow, a] if i >= slow else 0.0)
            if i >= slow - 1:
                wanted[a] = 1 if fast_sum[a] * slow > slow_sum[a] * fast else 0
            worth += held[a] * close
        equity[i] = worth
    return fills


def main() -> None:
    """Print the table."""
    folder = FOLDER / "w3"
    panel = market(folder)
    trend = load_strategy("trend")

    def ours(limits: GateLimits | None) -> AccountResult:
        seat = Seat(trend, {"fast": FAST, "slow": SLOW})
        result = run_account([seat], panel, Conditions(CASH, costs=COSTS, limits=limits))
        _ = result.statistics
        return result

    started = time.perf_counter()
    figures = ours(None).statistics  # the result itself would count twice in the memory of the next run
    first = time.perf_counter() - started
    best, median = seconds(lambda: ours(None), 9)
    gated = seconds(lambda: ours(LIMITS), 9)
    memory = peak_mb()
    opens, closes = np.array(panel.open), np.array(panel.close)
    out: npt.NDArray[np.float64] = np.empty(BARS)
    fills = bare_loop(opens, closes, FAST, SLOW, FEE, CASH, out)
    bare = seconds(lambda: bare_loop(opens, closes, FAST, SLOW, FEE, CASH, out), 9)
    work = ASSETS * BARS
    print(HEADER)
    print(row("qtm: run_account and its statistics", best, median, work, median, memory))
    print(row("qtm: the same behind the risk gate", *gated, work, median, memory))
    print(row("bare numba loop (no orders, no rounding)", *bare, work, median, "-"))
    for engine in ("numba", "rust"):
        for peer in run_peer("_vectorbt.py", "w3", str(folder), engine):
            print(row(peer["name"], peer["best"], peer["median"], work, median, peer["peak_mb"]))
            print(f"    its final equity {peer['final']:,.2f}, {peer['fills']:,} fills")
    print(f"ours   final equity {figures.final_equity:,.2f}, {figures.fills:,} fills")
    print(f"bare   final equity {out[-1]:,.2f}, {fills:,} fills (sizes and rounding differ)")
    print(f"first call in this process, machine code from the cache or compiled: {first:.2f} s")


if __name__ == "__main__":
    main()
