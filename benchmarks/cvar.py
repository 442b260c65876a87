"""CVaR optimisation beside cvxpy, skfolio, riskfolio-lib and PyPortfolioOpt: seconds, agreement, memory.

    python -m benchmarks.cvar                                  three sizes
    python -m benchmarks.cvar --sizes 500x50000                one size
    PEERS_PYTHON=/path/to/python python -m benchmarks.cvar     with the packaged peers

The packaged peers are no dependencies of this project: install them into an environment of their own
(`pip install skfolio riskfolio-lib pyportfolioopt`) and name its interpreter. Every method runs in its own
process, one after another, on the same scenarios.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks._cvar_problem import ALPHA, MOST_WEIGHT, required_return, scenarios

PACKAGED = ("skfolio", "riskfolio-lib", "PyPortfolioOpt")
DEFAULT_SIZES = "20x1000,50x5000,100x20000"
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
    print(
        f"  {'method':18} {'median s':>10} {'best s':>10} {'x ours':>8} {'CVaR vs ours':>13} {'peak MB':>9}"
    )
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
            f"  {method:18} {line['seconds']:10.4f} {line['best']:10.4f} "
            f"{line['seconds'] / first['seconds']:8.1f} "
            f"{line['cvar'] / first['cvar'] - 1:13.1e} {line['peak_mb']:9.0f}",
            flush=True,
        )
    if len(lines) > 1:
        fastest = min(lines[1:], key=lambda line: line["seconds"])
        leanest = min(line["peak_mb"] - line["base_mb"] for line in lines[1:])
        own_memory = max(lines[0]["peak_mb"] - lines[0]["base_mb"], 1.0)
        print(
            f"  against the fastest peer ({fastest['method']}): "
            f"{fastest['seconds'] / lines[0]['seconds']:.0f} x; "
            f"solve memory {own_memory:.0f} MB against {leanest:.0f} MB"
        )
    _own_uses(returns)


def _own_uses(returns: np.ndarray) -> None:
    """What a desk does with it: yesterday's start after a one-day roll, a capped return, a frontier."""
    from qtm.portfolio.fast.frontier import efficient_frontier, maximise_return
    from qtm.portfolio.fast.hybrid import minimise_cvar
    from qtm.portfolio.fast.shape import Polytope

    count = returns.shape[1]
    mean = returns.mean(axis=0)
    box = Polytope(
        np.zeros(count), np.full(count, MOST_WEIGHT), np.ones((1, count)), np.ones(1), np.ones(1), (("", ""),)
    )
    floor = box.with_row(mean, required_return(mean), "return")

    def timed(label: str, solve):
        started = time.perf_counter()
        answer = solve()
        return label, time.perf_counter() - started, answer

    _, cold_s, cold = timed("", lambda: minimise_cvar(returns, ALPHA, floor))
    rolled = np.vstack((returns[1:], -0.5 * returns[:1]))
    _, warm_s, _ = timed("", lambda: minimise_cvar(rolled, ALPHA, floor, start=cold.weights))
    _, capped_s, capped = timed("", lambda: maximise_return(returns, ALPHA, box, mean, cold.value))
    _, frontier_s, _ = timed("", lambda: efficient_frontier(returns, ALPHA, box, mean, 20))
    print(
        f"  ours, cold {cold_s:.4f} s (gap {cold.gap:.0e}); after a one-day roll {warm_s:.4f} s "
        f"({cold_s / warm_s:.1f} x faster); most return under the cap {capped_s:.4f} s "
        f"(gap {capped.gap:.0e}); "
        f"20-point frontier {frontier_s:.3f} s ({frontier_s / cold_s:.1f} solves)"
    )


def main() -> int:
    """Compare at the chosen sizes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cvar")
    parser.add_argument("--sizes", default=DEFAULT_SIZES, help="symbols x scenarios, e.g. 20x1000,500x50000")
    parser.add_argument("--methods", default="", help="only these, separated by semicolons")
    chosen = parser.parse_args()
    peers = os.environ.get("PEERS_PYTHON")
    methods = [(name, sys.executable) for name in ("ours", "cvxpy, Clarabel", "cvxpy, HiGHS")]
    if peers:
        methods += [(name, peers) for name in PACKAGED]
    else:
        print("skfolio, riskfolio-lib and PyPortfolioOpt are left out: PEERS_PYTHON names no interpreter")
    wanted = {name.strip() for name in chosen.methods.split(";") if name.strip()}
    with tempfile.TemporaryDirectory() as folder:
        for size in chosen.sizes.split(","):
            symbols, count = (int(part) for part in size.split("x"))
            kept = [entry for entry in methods if not wanted or entry[0] in wanted or entry[0] == "ours"]
            compare(symbols, count, kept, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
