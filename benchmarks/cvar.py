"""CVaR optimisation beside cvxpy, skfolio, riskfolio-lib and PyPortfolioOpt: seconds, agreement, memory.

    python -m benchmarks.cvar                                  three sizes
    python -m benchmarks.cvar --sizes 500x50000                one size

The packaged peers are installed into an environment of their own on first use. Every method runs in its own
process, one after another, on the same scenarios. Ratios are of processor time, which other work on the
machine moves less than it moves the clock.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._cvar_problem import ALPHA, MOST_WEIGHT, required_return, scenarios
from benchmarks._peers import PORTFOLIO_PACKAGES, peer_python
from qtm.portfolio.allocation import Allocation
from qtm.portfolio.optimise import optimise
from qtm.portfolio.problem import Distribution, Group, Objective, PortfolioProblem, TailCap

PACKAGED = ("skfolio", "riskfolio-lib", "PyPortfolioOpt")
DEFAULT_SIZES = "20x1000,50x5000,100x20000"
FRONTIER = 20
LONG = 500_000
"""Scenario entries from which a method is run once instead of several times."""


def run_method(method: str, file: Path, repetitions: int, interpreter: str) -> dict[str, float] | None:
    """The measurement of one method in its own process; None if it failed."""
    command = [interpreter, "-m", "benchmarks._cvar_peers", str(file), str(repetitions), method]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"  {method}: failed, {last[:120]}")
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(symbols: int, count: int, methods: list[tuple[str, str]], folder: Path) -> None:
    """Time every method at one size and print the table."""
    returns = scenarios(symbols, count)
    file = folder / f"scenarios_{symbols}_{count}.npy"
    np.save(file, returns)
    print(f"\n{symbols} symbols x {count:,} scenarios, least CVaR {ALPHA:.0%} at a required return")
    print(f"  {'method':18} {'median s':>10} {'CPU s':>10} {'x ours':>8} {'CVaR vs ours':>13} {'peak MB':>9}")
    lines = []
    for method, interpreter in methods:
        own = method == "ours"
        repetitions = (9 if own else 3) if symbols * count < LONG else (5 if own else 1)
        line = run_method(method, file, repetitions, interpreter)
        if line is None:
            continue
        lines.append(line)
        first = lines[0]
        print(
            f"  {method:18} {line['seconds']:10.4f} {line['processor']:10.4f} "
            f"{line['processor'] / first['processor']:8.1f} "
            f"{line['cvar'] / first['cvar'] - 1:13.1e} {line['peak_mb']:9.0f}",
            flush=True,
        )
    if len(lines) > 1:
        fastest = min(lines[1:], key=lambda line: line["processor"])
        leanest = min(line["peak_mb"] - line["base_mb"] for line in lines[1:])
        own_memory = max(lines[0]["peak_mb"] - lines[0]["base_mb"], 1.0)
        print(
            f"  against the fastest peer ({fastest['method']}): "
            f"{fastest['processor'] / lines[0]['processor']:.0f} x of processor time; "
            f"solve memory {own_memory:.0f} MB against {leanest:.0f} MB"
        )
    _own_uses(returns)


def _own_uses(returns: np.ndarray) -> None:
    """What a desk does with it: roll a day, cap the risk, draw the frontier, and every other mandate."""
    from qtm.portfolio.fast.frontier import efficient_frontier
    from qtm.portfolio.fast.solve import solve_fast

    mean = returns.mean(axis=0)
    posed = mandate(returns, mean, return_floor=required_return(mean))
    solve_fast(posed)
    cold_s, cold = _timed(lambda: solve_fast(posed))
    lines = [f"least CVaR at a required return {cold_s:.4f} s (gap {cold.gap:.0e})"]
    for label, newest in (
        ("an ordinary", returns[returns.shape[0] // 2]),
        ("a crash", 0.8 * returns.min(axis=0)),
    ):
        rolled = np.vstack((returns[1:], newest))
        tomorrow = mandate(rolled, rolled.mean(axis=0), return_floor=required_return(mean))
        warm_s, warm = _timed(lambda tomorrow=tomorrow: solve_fast(tomorrow, start=cold.weights))
        lines.append(
            f"rolled by {label} day {warm_s:.4f} s ({cold_s / warm_s:.1f} x faster, gap {warm.gap:.0e})"
        )
    cap = (TailCap(ALPHA, cold.cvar),)
    capped = mandate(returns, mean, objective=Objective.MAX_RETURN, tail_caps=cap)
    capped_s, best = _timed(lambda: solve_fast(capped))
    lines.append(f"most return under a cap {capped_s:.4f} s (gap {best.gap:.0e})")
    frontier_s, points = _timed(lambda: efficient_frontier(mandate(returns, mean), FRONTIER), 1)
    lines.append(
        f"{FRONTIER}-point frontier {frontier_s:.3f} s ({frontier_s / cold_s:.1f} solves, "
        f"largest gap {max(point.gap for point in points):.0e})"
    )
    print("  ours: " + "\n        ".join(lines))
    print("  general mandates, ours alone:")
    for label, changes in general_mandates(returns, mean, cold).items():
        seconds, answer = _timed(lambda changes=changes: optimise(mandate(returns, mean, **changes)), 1)
        print(f"    {label:46} {seconds:8.3f} s  {answer.solver:18} gap {answer.gap:.0e}", flush=True)


def mandate(returns: np.ndarray, mean: np.ndarray, **changes) -> PortfolioProblem:
    """The benchmark's long-only problem, changed as named."""
    count = mean.shape[0]
    fields = {
        "symbols": tuple(f"a{i}" for i in range(count)), "scenarios": returns, "mean": mean,
        "lower": np.zeros(count), "upper": np.full(count, MOST_WEIGHT), "alpha": ALPHA,
        "objective": Objective.MIN_CVAR,
    }  # fmt: skip
    return PortfolioProblem(**{**fields, **changes})


def general_mandates(returns: np.ndarray, mean: np.ndarray, cold: Allocation) -> dict[str, dict]:
    """What else a desk asks for, feasible at every size."""
    count, days = mean.shape[0], returns.shape[0]
    equal = np.full(count, 1.0 / count)
    plain = mandate(returns, mean)
    cap = cold.cvar + 0.4 * max(plain.tail_risk(equal, ALPHA) - cold.cvar, 0.1 * cold.cvar)
    most = {"objective": Objective.MAX_RETURN, "tail_caps": (TailCap(ALPHA, cap),)}
    levels = {0.9: 1.2, 0.95: 1.15, 0.99: 1.2}
    several = tuple(
        TailCap(level, room * plain.tail_risk(cold.weights, level)) for level, room in levels.items()
    )
    half = (Group("half", plain.symbols[: count // 2], 0.1, 0.6),)
    trading = {"held": equal, "turnover_cap": 0.9, "cost_rate": 2e-4}
    short = {"lower": np.full(count, -0.1), "gross_cap": 1.5, "groups": half}
    recent = np.exp2(-np.arange(days)[::-1] / (days / 4))
    return {
        "turnover cap and proportional costs": {**most, **trading},
        "long/short, gross cap, group": {**most, **short},
        "caps at three levels": {**most, "tail_caps": several},
        "utility under a cap": {**most, "objective": Objective.MAX_UTILITY, "risk_aversion": 0.02},
        "weighted scenarios": {
            **most, "tail_caps": (TailCap(ALPHA, 1.1 * cap),), "probabilities": recent / recent.sum(),
        },
        "worst of two distributions": {"rivals": (Distribution(1.1 * returns[: days // 2]),)},
        "square-root costs (reduced reference)": {**most, "held": equal, "impact": 5e-4},
        "Euclidean Wasserstein margin (reduced reference)": {"radius": 2e-4},
    }  # fmt: skip


def _timed(solve: Callable[[], Any], repetitions: int = 3) -> tuple[float, Any]:
    """Median seconds of processor time, and the answer."""
    seconds, answer = [], None
    for _ in range(repetitions):
        started = time.process_time()
        answer = solve()
        seconds.append(time.process_time() - started)
    return statistics.median(seconds), answer


def main() -> int:
    """Compare at the chosen sizes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cvar")
    parser.add_argument("--sizes", default=DEFAULT_SIZES, help="symbols x scenarios, e.g. 20x1000,500x50000")
    parser.add_argument("--methods", default="", help="only these, separated by semicolons")
    chosen = parser.parse_args()
    peers = peer_python("peers-portfolio", PORTFOLIO_PACKAGES)
    methods = [(name, sys.executable) for name in ("ours", "cvxpy, Clarabel", "cvxpy, HiGHS")]
    if peers is not None:
        methods += [(name, str(peers)) for name in PACKAGED]
    wanted = {name.strip() for name in chosen.methods.split(";") if name.strip()}
    with tempfile.TemporaryDirectory() as folder:
        for size in chosen.sizes.split(","):
            symbols, count = (int(part) for part in size.split("x"))
            kept = [entry for entry in methods if not wanted or entry[0] in wanted or entry[0] == "ours"]
            compare(symbols, count, kept, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
