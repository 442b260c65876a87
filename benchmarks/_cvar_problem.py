"""The problem every CVaR method is timed on: least CVaR 95 % at a required return, long only, 25 % a name.

Needs numpy alone, so that a peer's own interpreter can import it.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ALPHA, MOST_WEIGHT = 0.95, 0.25


def scenarios(symbols: int, count: int, seed: int = 0) -> np.ndarray:
    """Multivariate t(4) returns with a factor structure, daily size, shape (count, symbols)."""
    rng = np.random.default_rng(seed + 7919 * symbols + count)
    factors = max(3, symbols // 25)
    loadings = rng.normal(0, 0.006 / np.sqrt(factors), (symbols, factors))
    loadings[:, 0] = 0.008 + 0.004 * rng.random(symbols)
    own = 0.008 + 0.017 * rng.random(symbols)
    mean = 0.0001 + 0.03 * np.sqrt(own**2 + (loadings**2).sum(axis=1)) * rng.uniform(0.2, 1.6, symbols)
    returns = np.empty((count, symbols))
    for start in range(0, count, 20_000):
        rows = returns[start : start + 20_000]
        fat = np.sqrt(2.0 / rng.chisquare(4, rows.shape[0]))[:, None]
        common = rng.standard_normal((rows.shape[0], factors)) @ loadings.T
        rows[:] = mean + fat * (common + rng.standard_normal(rows.shape) * own)
    return returns


def required_return(mean: np.ndarray) -> float:
    """Half way between the mean symbol and the four best."""
    return float(0.5 * (mean.mean() + np.sort(mean)[-4:].mean()))


def cvar(returns: np.ndarray, weights: np.ndarray) -> float:
    """CVaR with the fractional tail; one evaluator for every method."""
    ordered = np.sort(returns @ weights)
    tail = (1 - ALPHA) * ordered.shape[0]
    whole = int(np.floor(tail + 1e-9))
    share = tail - whole
    return float(-(ordered[:whole].sum() + (share * ordered[whole] if share > 1e-9 else 0.0)) / tail)


def peak_mb() -> float:
    """Largest resident memory of this process; `getrusage` would count what its parent held when it began."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024


def measure(method: str, solve: Callable[[np.ndarray, np.ndarray, float], np.ndarray]) -> None:
    """Time `solve(returns, mean, required)` on the saved problem and print one JSON line.

    Arguments of the process: path of the scenarios, repetitions.
    """
    returns = np.load(Path(sys.argv[1]))
    mean = returns.mean(axis=0)
    required = required_return(mean)
    solve(returns[:500, :10].copy(), mean[:10], float(mean[:10].min()))
    seconds, processor = [], []
    for _ in range(int(sys.argv[2])):
        started, used = time.perf_counter(), time.process_time()
        weights = solve(returns, mean, required)
        seconds.append(time.perf_counter() - started)
        processor.append(time.process_time() - used)
    weights = np.clip(np.asarray(weights, dtype=float).ravel(), 0.0, None)
    line = {
        "method": method,
        "seconds": statistics.median(seconds),
        "processor": statistics.median(processor),
        "cvar": cvar(returns, weights / weights.sum()),
        "return_short": max(required - float(mean @ weights), 0.0) / abs(required),
        "peak_mb": peak_mb(),
    }
    print(json.dumps(line))
