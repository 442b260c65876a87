"""The paper exchange of the benchmarks, in a process of its own on a core of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import resource
from collections.abc import Callable
from decimal import Decimal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.paper.exchange import LoopbackExchange, quiet_collector
from qtm.paper.limits import without_limits
from qtm.paper.pacing import STEP
from qtm.paper.replay import BarReplay, ReplayBars
from qtm.paper.server import AccountSpec, PaperExchange
from qtm.paper.spot.venue import RATE_LIMITS as SPOT_LIMITS
from qtm.paper.um.server import UmPaperExchange
from qtm.paper.um.venue import RATE_LIMITS as UM_LIMITS
from qtm.trading.costs import SPOT_COSTS, UM_COSTS

ACCOUNTS = 4
KEYS = [(f"bench-key-{i}", f"bench-secret-{i}") for i in range(ACCOUNTS)]
START_MS = 1_717_200_000_000
TRADE_PRICE = 60_000
SYMBOLS = ["BTCUSDT", *(f"S{i}USDT" for i in range(1, 20))]
BUSY_SPEED = 600.0


def bars(symbol: str, count: int, seed: int, market: Market = Market.SPOT) -> ReplayBars:
    """A random walk of 1m bars."""
    rng = np.random.default_rng(seed)
    close = np.round(TRADE_PRICE * np.exp(np.cumsum(rng.normal(0, 5e-5, count))), 1)
    open_ = np.r_[float(TRADE_PRICE), close[:-1]]
    series = BarSeries(
        symbol, Interval.M1, START_MS + 60_000 * np.arange(count, dtype=np.int64), open_,
        np.maximum(open_, close) + 1, np.minimum(open_, close) - 1, close, np.full(count, 10.0),
    )  # fmt: skip
    number = Decimal
    tick, step = ("0.01", "0.00001") if market is Market.SPOT else ("0.1", "0.001")
    instrument = Instrument(
        market, symbol, symbol.removesuffix("USDT"), "USDT", number(tick), number(step), number(step),
        number("9000"), number("5"), number(tick), number("1000000"),
    )  # fmt: skip
    return ReplayBars.from_series(instrument, series)


def build(venue: str, state: Path | None, *, busy: bool = False) -> LoopbackExchange:
    """An exchange with four rich accounts and no limits.

    One symbol that only moves when asked, or (`busy`) twenty that live through 600 seconds in one.
    """
    accounts = [
        AccountSpec(f"bench{i}", key, secret, {"USDT": "1000000000", "BTC": "100000"})
        for i, (key, secret) in enumerate(KEYS)
    ]
    market = Market(venue)
    costs = SPOT_COSTS if market is Market.SPOT else UM_COSTS
    symbols = SYMBOLS if busy else SYMBOLS[:1]
    feed = BarReplay(
        [bars(symbol, 3000, i, market) for i, symbol in enumerate(symbols)],
        costs=costs, speed=BUSY_SPEED if busy else STEP,
    )  # fmt: skip
    if market is Market.SPOT:
        return PaperExchange(feed, accounts=accounts, rate_limits=without_limits(SPOT_LIMITS), state=state)
    return UmPaperExchange(feed, accounts=accounts, rate_limits=without_limits(UM_LIMITS), state=state)


def pin(core: int) -> None:
    """Keep this process on one core, where the machine has several."""
    if core in os.sched_getaffinity(0) and len(os.sched_getaffinity(0)) > 1:
        os.sched_setaffinity(0, {core})


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def waited_s(pid: int | str = "self") -> float:
    """Seconds a process was ready to run but had no core: what the rest of the machine took from it."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9


def publish_trades(exchange: LoopbackExchange, messages: int) -> None:
    """Publish trades as fast as the exchange can."""
    venue = exchange.venue_base
    for i in range(messages):
        venue.record_trade(
            venue.markets["BTCUSDT"], TRADE_PRICE * 10**8 + i, 1_000_000, buyer_is_maker=bool(i & 1)
        )


def serve(pipe: Connection, venue: str, loop_name: str, state: Path | None, busy: bool) -> None:
    """Run the exchange; answers ("usage"), ("trades", n) and ("advance", n) on the pipe until "stop"."""
    pin(0)
    quiet_collector()

    async def main() -> None:
        async with build(venue, state, busy=busy) as exchange:
            pipe.send(exchange.port)
            loop = asyncio.get_running_loop()
            stop = asyncio.Event()
            answers: dict[str, Callable[[Any], Any]] = {
                "usage": lambda _: (resident_mb(), cpu_s(), waited_s()),
                "trades": lambda count: publish_trades(exchange, count),
                "advance": exchange.advance,
                "messages": lambda _: exchange.application.hub.delivered,
                "stop": lambda _: stop.set(),
            }

            def asked() -> None:
                question, argument = pipe.recv()
                pipe.send(answers[question](argument))

            loop.add_reader(pipe.fileno(), asked)
            await stop.wait()
            loop.remove_reader(pipe.fileno())

    (uvloop.run if loop_name == "uvloop" else asyncio.run)(main())


def cpu_s() -> float:
    """CPU seconds of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Server:
    """The exchange's process as the benchmark sees it."""

    def __init__(
        self, venue: str, loop_name: str = "uvloop", state: Path | None = None, *, busy: bool = False
    ) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self._child = multiprocessing.get_context("spawn").Process(
            target=serve, args=(theirs, venue, loop_name, state, busy), daemon=True
        )
        self._child.start()
        self.port: int = self._pipe.recv()

    def ask(self, question: str, argument: Any = None) -> Any:
        """Ask and wait for the answer."""
        self._pipe.send((question, argument))
        return self._pipe.recv()

    def stop(self) -> None:
        """End the process."""
        self.ask("stop")
        self._child.join(30)
