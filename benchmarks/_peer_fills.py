"""Fills of a W4 strategy here and in hftbacktest as bags of (time, tick, side, lots)."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np

from benchmarks._peers import FOLDER, run_order_peer
from qtm.backtest.tape.result import OrdersResult

FEED_NS = 5_000_000
_SPACING_NS = 20_000_000
Fill = tuple[int, int, int, int]


def fills_here(result: OrdersResult) -> Counter[Fill]:
    """Every fill of a run, of an order's fills at one instant the last: the peer's order shows no others."""
    rows = result.fill_rows
    last: dict[tuple[int, int], Fill] = {}
    for row in rows[["handle", "ts_ns", "ticks", "side", "lots"]].tolist():
        last[row[:2]] = row[1:]
    return Counter(last.values())


def fills_there(
    path: Path,
    *,
    step_ns: int,
    lots: int = 1_000,
    most: int = 10_000,
    most_short: int = 10_000,
    behind: int = 1,
    partial: bool = False,
    queue_power: float = 0.0,
    late_ns: int = FEED_NS,
) -> tuple[Counter[Fill], float] | None:
    """Every fill of hftbacktest's run on the events in a file, and its fees; None without the peer.

    It looks at the market `late_ns` after each step. `queue_power` 0 is its risk-averse queue.
    """  # fmt: skip
    answer = FOLDER / f"_{path.stem}_fills.npz"
    options = {
        "step_ns": step_ns, "late_ns": late_ns, "look_ns": min(step_ns, _SPACING_NS), "lots": lots,
        "most": most, "most_short": most_short, "behind": behind, "partial": partial,
        "queue_power": queue_power,
    }  # fmt: skip
    told = run_order_peer("_hftbacktest_fills.py", str(path), str(answer), json.dumps(options))
    if not told:
        return None
    rows = np.load(answer)["fills"]
    return Counter(tuple(row) for row in rows.tolist()), float(told[0]["fee"])


def agreement(mine: Counter[Fill], theirs: Counter[Fill]) -> str:
    """How many fills are the same, and how many only one engine has."""
    both = mine & theirs
    return (
        f"{mine.total():,} here, {theirs.total():,} there, {both.total():,} the same to the nanosecond, "
        f"tick and lot"
    )
