"""Resting quotes over 1 M trades and 0.8 M depth updates, with latency and queue; beside hftbacktest."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._bars import HEADER, INSTRUMENT, peak_mb, row, seconds
from benchmarks._peer_fills import agreement, fills_here, fills_there
from benchmarks._peers import run_order_peer
from benchmarks._w4_market import per_trade, saved_events, timed
from qtm.backtest.tape.engine import run_orders_backtest
from qtm.backtest.tape.events import Tape
from qtm.backtest.tape.result import OrdersResult
from qtm.backtest.tape.rules import PROPORTIONAL, Latency, Queue
from qtm.market.instruments import Instrument, Market
from qtm.risk.rules import GateLimits
from qtm.strategies.order_contract import OrderStrategy
from qtm.trading.costs import FEE_IN_QUOTE, CostModel
from qtm.trading.exact import UNITS
from qtm.trading.margin import NO_MARGIN, margin_of

COSTS = CostModel(-0.0001, 0.0004, 0.0, FEE_IN_QUOTE)
LATENCY = Latency.constant(feed_ms=5, order_ms=10)
LIMITS = GateLimits(1e9, 1e9, 0.03, 0.9, 0.9, 1e9, 1_000.0, 5_000.0)
CASH = 10_000_000.0


def contract() -> Instrument:
    """The instrument of the benchmarks with the peers' tick and lot, traded as a perpetual."""
    from dataclasses import replace
    from decimal import Decimal

    return replace(INSTRUMENT, market=Market.UM, tick_size=Decimal("0.1"), step_size=Decimal("0.001"))


def ours(
    strategy: OrderStrategy, tape: Tape, *, params: object = None, realistic: bool = False, **options: object
) -> OrdersResult:
    """One backtest; a realistic one has margin with brackets and the gate as well."""
    instrument = contract()
    if realistic:
        options |= {"margin": margin_of(instrument, 20), "limits": LIMITS}
    else:
        options |= {"margin": NO_MARGIN}
    return run_orders_backtest(
        strategy, params, tape, instrument, cash=CASH, costs=COSTS, latency=LATENCY,
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


def main() -> None:
    """Print the table."""
    tape, path = saved_events()
    count = len(tape)
    print(f"{count:,} events\n{HEADER}")
    measured = {}
    for name, strategy in (("every 100 ms", timed), ("every trade", per_trade)):
        result = ours(strategy, tape)
        best, median = seconds(lambda strategy=strategy: ours(strategy, tape), 15)
        measured[name] = median
        print(row(f"qtm: quotes {name}", best, median, count, median, peak_mb()))
        print(f"    {result.requests:,} requests, {len(result.fill_rows):,} fills")
    for name, options in (
        ("proportional queue", {"queue": Queue(PROPORTIONAL)}),
        ("margin and gate", {"realistic": True}),
    ):
        best, median = seconds(lambda options=options: ours(timed, tape, **options), 9)
        print(row(f"qtm: every 100 ms, {name}", best, median, count, measured["every 100 ms"], "-"))
    for peer in run_order_peer("_hftbacktest.py", str(path)):
        base = measured["every 100 ms" if "100 ms" in peer["name"] else "every trade"]
        print(row(f"hftbacktest: {peer['name']}", peer["best"], peer["median"], count, base, peer["peak_mb"]))
        print(f"    {peer['requests']:,} requests, {peer['fills']:,} fills")
    print(
        "the fills of both, hftbacktest looking when the step's last event is known, and at the step's end:"
    )
    for name, strategy, step_ns in (
        ("every 100 ms", timed, 100_000_000),
        ("every trade", per_trade, 20_000_000),
    ):
        compare(name, ours(strategy, tape), path, step_ns)
    for title, cache in (("nothing compiled yet", True), ("machine code from the cache", False)):
        print(f"a process with one backtest of 1,000 trades, {title}: {process_seconds(fresh=cache):.1f} s")


def compare(name: str, run: OrdersResult, path: Path, step_ns: int) -> None:
    """Print how many fills are the same here and there, and the difference of all fees."""
    for late_ns in (LATENCY.feed_ns[0], 0):
        found = fills_there(path, step_ns=step_ns, late_ns=late_ns)
        if found is not None:
            theirs, fee = found
            print(f"    {name}, {late_ns / 1e6:g} ms later: {agreement(fills_here(run), theirs)}")
            print(f"        fees {abs(float(run.books['fees']) / UNITS - fee):.1e} apart")


def process_seconds(*, fresh: bool) -> float:
    """Seconds of a whole process that runs one small backtest."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, **({"QTM_CACHE": folder} if fresh else {})}
        program = "from benchmarks import w4; w4.once()"
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", program], check=True, env=environment)
        return time.perf_counter() - started


def once() -> None:
    """One small backtest in a fresh process."""
    tape, _ = saved_events(1_000)
    _ = ours(timed, tape).statistics


if __name__ == "__main__":
    main()
