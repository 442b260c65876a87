"""Paper exchange: signed REST orders a second, acknowledgement latency, fan-out, replay speed, memory.

The exchange runs in a process of its own on one core; the load comes from this one, on another, over
loopback. What the rest of the machine took from either is stated beside each latency.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import uvloop

from benchmarks._paper_clients import WS_PATHS, fan_out, latency, mixed, place_and_cancel, readers, throughput
from benchmarks._paper_server import KEYS, SYMBOLS, Server, bars, pin, waited_s
from benchmarks._paper_stacks import compare_stacks
from qtm.paper.pacing import MAX
from qtm.paper.replay import BarReplay
from qtm.paper.server import AccountSpec, PaperExchange
from qtm.trading.costs import SPOT_COSTS

LANES = 16
SECONDS = 5


def middle(values: list[float]) -> str:
    """`median (best .. worst)` of several runs where larger is better."""
    return f"{statistics.median(values):,.0f} (best {max(values):,.0f}, worst {min(values):,.0f})"


def measure_orders(server: Server, venue: str, orders: int, runs: int, loop_name: str) -> None:
    """Orders a second, and the server's CPU for each."""
    rates, costs = [], []
    for run in range(runs + 1):
        _, cpu, _ = server.ask("usage")
        sources = [place_and_cancel(venue, lane, orders // LANES, f"t{run}") for lane in range(LANES)]
        rate, failures = uvloop.run(throughput(server.port, sources))
        if failures:
            raise SystemExit(f"{failures} orders failed")
        if run:  # the first one warms up
            rates.append(rate)
            costs.append(1e6 * (server.ask("usage")[1] - cpu) / orders)
    print(f"{venue} REST orders/s ({loop_name}, {LANES} connections, {runs} runs): {middle(rates)}; "
          f"{statistics.median(costs):.0f} us of server CPU each")  # fmt: skip


def measure_latency(server: Server, venue: str, runs: int, *, listeners: int = 0) -> None:
    """Acknowledgement latency at 500 orders/s, with every stream of a busy market going to listeners."""
    p50, p99, worst, lost, flow = [], [], [], [], []
    streams = "/".join(
        f"{symbol.lower()}@{kind}"
        for symbol in SYMBOLS
        for kind in ("trade", "bookTicker", "depth@100ms", "kline_1m")
    )

    async def one(run: int) -> np.ndarray:
        opened = await readers(server.port, f"/stream?streams={streams}", listeners)
        sent = server.ask("messages")
        took = await latency(server.port, venue, 500, SECONDS, f"l{listeners}-{run}")
        flow.append((server.ask("messages") - sent) / SECONDS)
        for reader in opened:
            reader.transport.close()
        return took

    for run in range(runs):
        before = server.ask("usage")[2] + waited_s()
        took = uvloop.run(one(run))
        lost.append(1000 * (server.ask("usage")[2] + waited_s() - before))
        p50.append(float(np.percentile(took, 50)))
        p99.append(float(np.percentile(took, 99)))
        worst.append(float(took.max()))
    beside = (
        f" beside a market of 20 symbols, {statistics.median(flow):,.0f} messages/s to {listeners} clients"
        if listeners
        else ""
    )
    print(
        f"{venue} acknowledgement at 500/s{beside} ({runs} runs): p50 {statistics.median(p50):.2f} ms, "
        f"p99 {statistics.median(p99):.2f} ms (best {min(p99):.2f}, worst {max(p99):.2f}), "
        f"max {min(worst):.2f}..{max(worst):.2f} ms; "
        f"waited for a core {statistics.median(lost):.0f} ms a run"
    )


def measure_memory(venue: str, orders: int, loop_name: str, state: Path | None) -> None:
    """Memory over one long run: resting and cancelled, market and crossing orders of several accounts."""
    server = Server(venue, loop_name, state)
    marks = [server.ask("usage")[0]]
    parts = 20
    started = time.perf_counter()
    for part in range(parts):
        sources = [mixed(venue, lane, orders // parts // LANES, f"m{part}") for lane in range(LANES)]
        _, failures = uvloop.run(throughput(server.port, sources))
        if failures:
            raise SystemExit(f"{failures} requests failed")
        server.ask("advance", 1)
        marks.append(server.ask("usage")[0])
    rate = orders / (time.perf_counter() - started)
    kept = "" if state is None else f", state file {state.stat().st_size / 1e6:,.0f} MB"
    print(
        f"{venue} memory over {orders:,} requests ({orders * 5 // 6:,} orders, {orders // 6:,} cancels, "
        f"{len(KEYS)} accounts, {rate:,.0f}/s{kept}):\n  {', '.join(f'{mark:.0f}' for mark in marks)} MB"
    )
    server.stop()


def replay_day(symbols: int) -> float:
    """Seconds to replay 24 hours of 1m bars of `symbols` symbols at full speed, without clients."""

    async def main() -> float:
        feed = BarReplay([bars(f"S{i}USDT", 1440, i) for i in range(symbols)], costs=SPOT_COSTS, speed=MAX)
        async with PaperExchange(feed, accounts=[AccountSpec("a", *KEYS[0])], begin="now") as exchange:
            started = time.perf_counter()
            await exchange.wait_done()
            return time.perf_counter() - started

    return uvloop.run(main())


def measure(venue: str, chosen: Any, state: Path | None) -> None:
    """Orders, latency and fan-out of one venue."""
    server = Server(venue, chosen.loop, state)
    measure_orders(server, venue, chosen.orders, chosen.runs, chosen.loop)
    measure_latency(server, venue, chosen.runs)
    rates = [
        uvloop.run(
            fan_out(server.port, WS_PATHS[venue] + "btcusdt@trade", 10, 50_000,
                    lambda count: server.ask("trades", count))
        )
        for _ in range(chosen.runs)
    ]  # fmt: skip
    print(f"{venue} fan-out, messages/s to each of 10 clients ({chosen.runs} runs): {middle(rates)}")
    server.stop()
    server = Server(venue, chosen.loop, busy=True)
    uvloop.run(latency(server.port, venue, 500, 1, "warm"))
    measure_latency(server, venue, chosen.runs, listeners=10)
    server.stop()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--venue", choices=("spot", "um", "both"), default="both")
    parser.add_argument("--orders", type=int, default=40_000, help="requests of one throughput run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--soak", type=int, default=0, help="only measure memory over this many requests")
    parser.add_argument("--state", action="store_true", help="keep a state file")
    parser.add_argument("--loop", choices=("uvloop", "asyncio"), default="uvloop")
    parser.add_argument("--stacks", action="store_true", help="only compare HTTP and WebSocket stacks")
    chosen = parser.parse_args()
    pin(1)
    gc.collect()
    gc.freeze()
    if chosen.stacks:
        compare_stacks(chosen.orders)
        return
    venues = ("spot", "um") if chosen.venue == "both" else (chosen.venue,)
    for venue in venues:
        with TemporaryDirectory() as folder:
            state = Path(folder) / "state.sqlite" if chosen.state else None
            if chosen.soak:
                measure_memory(venue, chosen.soak, chosen.loop, state)
            else:
                measure(venue, chosen, state)
    if not chosen.soak:
        print(f"replay of 24 h of 1m bars, 20 symbols: {replay_day(20):.1f} s")


if __name__ == "__main__":
    main()
