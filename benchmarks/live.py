"""Bar to order: from a kline frame read off the socket to the order handed to the connection.

The dataflow runs as in production (one Bytewax worker, recovery on, every decision committed with
`synchronous=FULL`) against the paper exchange on loopback, in lockstep. Beside it, in the same run, the floor
it cannot beat: one commit of the same size to the same disk.

    flock BENCH_LOCK python benchmarks/live.py [BARS]
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qtm.clock import SystemClock
from qtm.execution.journal import Journal
from qtm.store.database import open_database
from tests.execution.support import approve, open_run, order
from tests.parity.market import Exchange, Stream, minute_bars


def main() -> None:
    bars = int(sys.argv[1]) if len(sys.argv) > 1 else 1440
    folder = Path(tempfile.mkdtemp(prefix="qtm-live-"))
    started = time.perf_counter()
    with Exchange([minute_bars("BTCUSDT", bars, history=20)]) as exchange:
        stream = Stream(
            folder, exchange, "--strategy", "trend", "--symbols", "BTCUSDT", "--lockstep",
            "--param", "fast=2", "--param", "slow=5",
        )  # fmt: skip
        summary = stream.run()
    seconds = time.perf_counter() - started
    commit = _commits_us(folder)
    own = summary["tick_to_order_us"]
    print(json.dumps({"bars": summary["bars"], "orders": summary["orders"], "wall_s": round(seconds, 1)}))
    print(f"bar to order  p50 {own['p50']:8.0f} us   p99 {own['p99']:8.0f} us")
    ratio = own["p50"] / commit[0]
    print(f"one commit    p50 {commit[0]:8.0f} us   p99 {commit[1]:8.0f} us   ratio {ratio:.1f}")


def _commits_us(folder: Path) -> tuple[float, float]:
    database = open_database(f"sqlite:///{folder / 'floor.db'}")
    open_run(database, "run")
    journal = Journal(database, "paper", SystemClock(), folder)
    taken = []
    for number in range(300):
        outcome = approve(order(number))
        begin = time.perf_counter_ns()
        journal.record(outcome, "run", sending=True)
        taken.append((time.perf_counter_ns() - begin) / 1000)
    taken.sort()
    return taken[len(taken) // 2], taken[int(len(taken) * 0.99)]


if __name__ == "__main__":
    main()
