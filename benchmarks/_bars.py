"""The market of the engine benchmarks, the bare loop it is held against, and measuring."""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numba
import numpy as np
import numpy.typing as npt

from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval

CASH, FEE = 1e7, 0.001
FAST, SLOW = 20, 50
GRID = {"fast": list(range(5, 45, 2)), "slow": list(range(50, 250, 10))}
TICK = 0.01

INSTRUMENT = Instrument(
    market=Market.SPOT,
    symbol="BENCH",
    base="BEN",
    quote="USDT",
    tick_size=Decimal("0.01"),
    step_size=Decimal("0.00001"),
    min_qty=Decimal("0.00001"),
    max_qty=Decimal(9000),
    min_notional=Decimal(5),
)


def one_year(bars: int = 525_600, seed: int = 42) -> BarSeries:
    """A year of one-minute bars: a random walk of about 60 % a year on a grid of cents."""
    random = np.random.default_rng(seed)
    close = np.round(30_000.0 * np.exp(np.cumsum(random.normal(0.0, 0.00083, bars))), 2)
    gaps = random.normal(0.0, 0.00004, bars)
    opened = np.round(np.concatenate(([30_000.0], close[:-1])) * np.exp(gaps), 2)
    reach = np.exp(np.abs(random.normal(0.0, 0.0004, (2, bars))))
    high = np.round(np.maximum(opened, close) * reach[0], 2)
    low = np.round(np.minimum(opened, close) / reach[1], 2)
    times = 1_704_067_200_000 + np.arange(bars, dtype=np.int64) * 60_000
    volume = np.round(random.gamma(2.0, 5.0, bars), 4)
    return BarSeries("BENCH", Interval.M1, times, opened, high, low, close, volume)


@numba.njit
def bare_loop(
    opened: Any, ticks: Any, close: Any, fast: int, slow: int, cash: float, fee: float, out: Any
) -> int:
    """The least that is this backtest: two running sums, one unit, next open, equity and fills out."""
    qty, fills, pending = 0.0, 0, 0
    fast_sum = slow_sum = 0.0
    for i in range(close.size):
        if pending != 0:
            cash -= pending * opened[i] + opened[i] * fee
            qty += pending
            fills += 1
        fast_sum += ticks[i] - (ticks[i - fast] if i >= fast else 0.0)
        slow_sum += ticks[i] - (ticks[i - slow] if i >= slow else 0.0)
        pending = 0
        if i >= slow - 1:
            wanted = 1.0 if fast_sum * slow > slow_sum * fast else 0.0
            pending = int(wanted - qty)
        out[i] = cash + qty * close[i]
    return fills


@numba.njit(nogil=True)
def bare_figures(opened: Any, ticks: Any, close: Any, fast: int, slow: int, cash: float, fee: float) -> Any:
    """The same with figures in registers: final equity, fills, drawdown and Sharpe of one combination."""
    qty, fills, pending = 0.0, 0, 0
    fast_sum = slow_sum = 0.0
    last, peak, fall, mean, square = cash, cash, 0.0, 0.0, 0.0
    for i in range(close.size):
        if pending != 0:
            cash -= pending * opened[i] + opened[i] * fee
            qty += pending
            fills += 1
        fast_sum += ticks[i] - (ticks[i - fast] if i >= fast else 0.0)
        slow_sum += ticks[i] - (ticks[i - slow] if i >= slow else 0.0)
        pending = 0
        if i >= slow - 1:
            wanted = 1.0 if fast_sum * slow > slow_sum * fast else 0.0
            pending = int(wanted - qty)
        worth = cash + qty * close[i]
        change = worth / last - 1.0
        mean += change
        square += change * change
        last = worth
        peak = max(peak, worth)
        fall = max(fall, 1.0 - worth / peak)
    mean /= close.size
    return last, fills, fall, mean / np.sqrt(square / close.size - mean * mean)


def seconds(
    work: Callable[[], object], rounds: int = 9, *, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, float]:
    """Best and median seconds of `work` by `clock`, after one call that is not counted."""
    work()
    taken = []
    for _ in range(rounds):
        started = clock()
        work()
        taken.append(clock() - started)
    return min(taken), statistics.median(taken)


def peak_mb() -> float:
    """Peak memory of this process in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def row(name: str, best: float, median: float, work: float, against: float, memory: float | str) -> str:
    """One line of the table; `against` is the median of our own run."""
    shown = f"{memory:,.0f}" if isinstance(memory, float) else memory
    rate, ratio = work / median / 1e6, median / against
    return f"{name:44} {best * 1e3:10,.1f} {median * 1e3:10,.1f} {rate:10,.1f} {ratio:8.2f} {shown:>9}"


HEADER = f"{'':44} {'best ms':>10} {'median ms':>10} {'M bars/s':>10} {'x ours':>8} {'peak MiB':>9}"


def ticks_of(close: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Closes counted in ticks."""
    return np.rint(close / TICK)
