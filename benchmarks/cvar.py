"""CVaR optimisation beside cvxpy, skfolio, riskfolio-lib and PyPortfolioOpt: seconds, agreement, memory.

    python -m benchmarks.cvar                                  three sizes
    python -m benchmarks.cvar --sizes 500x50000                one size
    python -m benchmarks.cvar --sizes 500x200000 --methods ours --bare

The packaged peers are installed into an environment of their own on first use. Every method runs in its own
process, one after another, on the same scenarios. Ratios are of processor time, which other work on the
machine moves less than it moves the clock. At the end come the tables of docs/explanation/cvar.md.
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
from typing import Any, NamedTuple

import numpy as np

from benchmarks._cvar_problem import ALPHA, MOST_WEIGHT, required_return, scenarios
from benchmarks._peers import PORTFOLIO_PACKAGES, peer_python
from qtm.portfolio.allocation import Allocation
from qtm.portfolio.optimise import optimise
from qtm.portfolio.problem import Distribution, Group, Objective, PortfolioProblem, TailCap

OURS = "ours"
PACKAGED = ("skfolio", "riskfolio-lib", "PyPortfolioOpt")
METHODS = (OURS, "cvxpy, Clarabel", "cvxpy, HiGHS", *PACKAGED)
DEFAULT_SIZES = "20x1000,50x5000,100x20000"
FRONTIER = 20
LONG = 500_000
"""Scenario entries from which a method is run once instead of several times."""


class Size(NamedTuple):
    """All figures of one size."""

    name: str
    lines: dict[str, dict[str, float]]
    uses: dict[str, str]
    general: list[tuple[str, ...]]


def run_method(method: str, file: Path, repetitions: int, interpreter: str) -> dict[str, float] | None:
    """The measurement of one method in its own process; None if it failed."""
    command = [interpreter, "-m", "benchmarks._cvar_peers", str(file), str(repetitions), method]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"  {method}: failed, {last[:120]}")
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def compare(symbols: int, count: int, methods: list[tuple[str, str]], folder: Path, bare: bool) -> Size:
    """Time every method at one size and, unless `bare`, what else a desk does with ours."""
    returns = scenarios(symbols, count)
    file = folder / f"scenarios_{symbols}_{count}.npy"
    np.save(file, returns)
    print(f"\n{symbols} symbols x {count:,} scenarios, least CVaR {ALPHA:.0%} at a required return")
    print(f"  {'method':18} {'median s':>10} {'CPU s':>10} {'x ours':>8} {'CVaR vs ours':>13} {'peak MB':>9}")
    lines: dict[str, dict[str, float]] = {}
    for method, interpreter in methods:
        own = method == OURS
        repetitions = (9 if own else 3) if symbols * count < LONG else (5 if own else 1)
        line = run_method(method, file, repetitions, interpreter)
        if line is None:
            continue
        lines[method] = line
        first = lines[OURS]
        print(
            f"  {method:18} {line['seconds']:10.4f} {line['processor']:10.4f} "
            f"{line['processor'] / first['processor']:8.1f} "
            f"{line['cvar'] / first['cvar'] - 1:13.1e} {line['peak_mb']:9.0f}",
            flush=True,
        )
    name = f"{symbols:,} x {count:,}"
    if bare:
        return Size(name, lines, {}, [])
    return Size(name, lines, _own_uses(returns), _general(returns))


def _own_uses(returns: np.ndarray) -> dict[str, str]:
    """What a desk does with it day by day: roll, cap the risk, draw the frontier."""
    from qtm.portfolio.fast.frontier import efficient_frontier
    from qtm.portfolio.fast.solve import solve_fast

    mean = returns.mean(axis=0)
    posed = mandate(returns, mean, return_floor=required_return(mean))
    solve_fast(posed)
    cold_s, cold = _timed(lambda: solve_fast(posed), 9)
    uses = {"from scratch, seconds": f"{cold_s:.4f}"}
    worst = returns[np.argmin(returns @ cold.weights)]
    for label, newest in (
        ("an ordinary day", returns[returns.shape[0] // 2]),
        ("a crash of every symbol", 0.8 * returns.min(axis=0)),
        ("half as bad again as the book's worst day", 1.5 * worst),
    ):
        rolled = np.vstack((returns[1:], newest))
        tomorrow = mandate(rolled, rolled.mean(axis=0), return_floor=required_return(mean))
        solve_fast(tomorrow, start=cold.weights)
        warm_s, warm = _timed(lambda tomorrow=tomorrow: solve_fast(tomorrow, start=cold.weights), 9)
        assert warm.gap <= 1e-6
        uses[f"re-solved after {label}, times faster"] = f"{cold_s / warm_s:.1f}"
    capped = mandate(returns, mean, objective=Objective.MAX_RETURN, tail_caps=(TailCap(ALPHA, cold.cvar),))
    capped_s, best = _timed(lambda: solve_fast(capped))
    frontier_s, points = _timed(lambda: efficient_frontier(mandate(returns, mean), FRONTIER), 1)
    assert max(best.gap, *(point.gap for point in points)) <= 1e-6
    uses[f"{FRONTIER}-point frontier, in solves from scratch"] = f"{frontier_s / cold_s:.1f}"
    uses["most return under a cap, seconds"] = f"{capped_s:.3f}"
    return uses


def _general(returns: np.ndarray) -> list[tuple[str, ...]]:
    """Every other kind of mandate: seconds, solver, gap, and where it is small enough the whole reference."""
    from qtm.portfolio.fast.solve import solve_fast
    from qtm.portfolio.reference import objective_value, solve_reference

    mean = returns.mean(axis=0)
    cold = solve_fast(mandate(returns, mean, return_floor=required_return(mean)))
    rows: list[tuple[str, ...]] = []
    for label, changes in general_mandates(returns, mean, cold).items():
        posed = mandate(returns, mean, **changes)
        seconds, answer = _timed(lambda posed=posed: optimise(posed), 1 if returns.size >= LONG else 3)
        row = [label, f"{seconds:.3f}", answer.solver, f"{answer.gap:.0e}"]
        if returns.size < LONG:
            whole_s, whole = _timed(lambda posed=posed: solve_reference(posed), 1)
            value = objective_value(posed, whole.weights)
            apart = abs(objective_value(posed, answer.weights) / value - 1.0)
            row += [f"{whole_s:.2f}", f"{apart:.0e}"]
        rows.append(tuple(row))
        print("    " + "  ".join(row), flush=True)
    return rows


def print_tables(sizes: list[Size]) -> None:
    """The tables of docs/explanation/cvar.md."""
    methods = [name for name in METHODS if any(name in size.lines for size in sizes)]
    peers = [name for name in methods if name != OURS]
    print("\nMedian seconds; ratio of processor time; whole processes' peak memory:\n")
    _table(
        ["symbols x scenarios", *methods, "fastest peer / ours", "memory, ours", "leanest peer", "share"],
        [_compared(size, methods, peers) for size in sizes],
    )
    whole = [size for size in sizes if size.uses]
    if whole:
        print()
        _table(
            ["", *(size.name for size in whole)],
            [[use, *(size.uses[use] for size in whole)] for use in whole[0].uses],
        )
    for size in whole:
        print(f"\n{size.name}, processor seconds:\n")
        heads = ["mandate", "product", "by", "gap", "reference", "relative difference"]
        _table(heads[: len(size.general[0])], [list(row) for row in size.general])


def _compared(size: Size, methods: list[str], peers: list[str]) -> list[str]:
    seconds = [f"{size.lines[name]['seconds']:.4g}" if name in size.lines else "" for name in methods]
    own, others = size.lines[OURS], [size.lines[name] for name in peers if name in size.lines]
    if not others:
        return [size.name, *seconds, "", f"{own['peak_mb']:.0f} MB", "", ""]
    fastest = min(line["processor"] for line in others)
    leanest = min(line["peak_mb"] for line in others)
    return [
        size.name,
        *seconds,
        f"{fastest / own['processor']:.1f}",
        f"{own['peak_mb']:.0f} MB",
        f"{leanest:.0f} MB",
        f"{own['peak_mb'] / leanest:.0%}",
    ]


def _table(heads: list[str], rows: list[list[str]]) -> None:
    for cells in (heads, ["---"] * len(heads), *rows):
        print("| " + " | ".join(cells) + " |")


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
        "most return under a cap": most,
        "turnover cap and proportional costs": {**most, **trading},
        "long/short, gross cap, group": {**most, **short},
        "caps at three levels": {**most, "tail_caps": several},
        "utility": {"objective": Objective.MAX_UTILITY, "risk_aversion": 0.02},
        "utility under a cap": {**most, "objective": Objective.MAX_UTILITY, "risk_aversion": 0.02},
        "weighted scenarios": {
            **most, "tail_caps": (TailCap(ALPHA, 1.1 * cap),), "probabilities": recent / recent.sum(),
        },
        "worst of two distributions": {"rivals": (Distribution(1.1 * returns[: days // 2]),)},
        "square-root costs (on bands)": {**most, "held": equal, "impact": 5e-4},
        "Euclidean margin (on bands)": {"radius": 2e-4},
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
    parser.add_argument("--bare", action="store_true", help="the comparison alone")
    chosen = parser.parse_args()
    peers = peer_python("peers-portfolio", PORTFOLIO_PACKAGES)
    methods = [(name, sys.executable) for name in METHODS if name not in PACKAGED]
    if peers is not None:
        methods += [(name, str(peers)) for name in PACKAGED]
    wanted = {name.strip() for name in chosen.methods.split(";") if name.strip()}
    kept = [entry for entry in methods if not wanted or entry[0] in {*wanted, OURS}]
    sizes = []
    with tempfile.TemporaryDirectory() as folder:
        for size in chosen.sizes.split(","):
            symbols, count = (int(part) for part in size.split("x"))
            sizes.append(compare(symbols, count, kept, Path(folder), chosen.bare))
    print_tables(sizes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
