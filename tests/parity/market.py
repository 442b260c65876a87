"""A replayed market on a real port, in a thread beside the test, and the stream as the process it is."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument
from qtm.market.intervals import Interval
from qtm.market.synthetic import synthetic_bars, synthetic_instruments
from qtm.paper.replay import STEP, BarReplay, ReplayBars
from qtm.paper.server import AccountSpec, PaperExchange
from qtm.trading.costs import SPOT_COSTS

Answer = TypeVar("Answer")
START_MS = 1_735_689_600_000  # 2025-01-01
MINUTE_MS = 60_000


def instrument(symbol: str) -> Instrument:
    return next(one for one in synthetic_instruments() if one.symbol == symbol)


def minute_bars(
    symbol: str, count: int, *, history: int = 0, seed: int = 11, start_ms: int = START_MS
) -> BarSeries:
    """`count` bars from `start_ms` on, after `history` bars before it: the same prices whenever that is."""
    begin, end = START_MS - history * MINUTE_MS, START_MS + count * MINUTE_MS
    frame = synthetic_bars(symbol, Interval.M1, begin, end, seed)
    bars = BarSeries.from_frame(frame, symbol, Interval.M1)
    return replace(bars, open_time_ms=bars.open_time_ms + (start_ms - START_MS))


def with_gaps(bars: BarSeries, *, seed: int = 3) -> BarSeries:
    """The same bars, each opening a few ticks away from the close before it, as real ones do."""
    rng = np.random.default_rng(seed)
    opens = np.round(bars.open + rng.integers(-900, 901, len(bars)) / 100, 2)
    return replace(bars, open=opens, high=np.maximum(bars.high, opens), low=np.minimum(bars.low, opens))


class Execution(NamedTuple):
    """One execution; quantity and price in 1e-8 units."""

    trade_id: int
    client_order_id: str
    symbol: str
    buyer: bool
    qty: int
    price: int


class Exchange:
    """The paper exchange serving `bars` in step mode, until the block ends."""

    def __init__(
        self, bars: list[BarSeries], *, cash: str = "100000", speed: float = STEP, start_ms: int = START_MS
    ) -> None:
        series = [ReplayBars.from_series(instrument(one.symbol), one, start_ms=start_ms) for one in bars]
        self.loop = asyncio.new_event_loop()
        self.account = AccountSpec("paper", "paper-key", "paper-secret", {"USDT": cash})
        self.replay = BarReplay(series, costs=SPOT_COSTS, speed=speed)
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self._ready = threading.Event()

    def __enter__(self) -> Exchange:
        self.thread.start()
        if not self._ready.wait(60):
            raise RuntimeError("the paper exchange did not start")
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self.exchange.stop(), self.loop).result(60)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(60)
        self.loop.close()

    @property
    def url(self) -> str:
        return self.exchange.url

    def ask(self, question: Callable[[PaperExchange], Answer]) -> Answer:
        """Evaluate `question(exchange)` on the exchange's own loop."""
        answer: Future[Answer] = Future()

        def evaluate() -> None:
            try:
                answer.set_result(question(self.exchange))
            except Exception as error:  # noqa: BLE001 - handed to the test that asked
                answer.set_exception(error)

        self.loop.call_soon_threadsafe(evaluate)
        return answer.result(60)

    def trades(self) -> list[Execution]:
        """Every execution of the account, as the exchange booked it, oldest first."""

        def collect(exchange: PaperExchange) -> list[Execution]:
            found = []
            for symbol, history in exchange.venue.accounts["paper"].history.items():
                for trade in history.trades:
                    client_order_id = history.orders[trade.order_id].client_id
                    found.append(
                        Execution(trade.id, client_order_id, symbol, trade.buyer, trade.qty, trade.price)
                    )
            return sorted(found)

        return self.ask(collect)

    def open_orders(self) -> list[str]:
        """Client ids of what rests at the exchange."""

        def collect(exchange: PaperExchange) -> list[str]:
            return sorted(one.client_id for one in exchange.venue.accounts["paper"].open_orders.values())

        return self.ask(collect)

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.exchange = PaperExchange(self.replay, accounts=[self.account])
        self.loop.run_until_complete(self.exchange.start())
        self._ready.set()
        self.loop.run_forever()


class Stream:
    """`python -m streaming` against an exchange, its state under `home`."""

    def __init__(self, home: Path, exchange: Exchange, *options: str, **environment: str) -> None:
        self.home = home
        self.command = [sys.executable, "-m", "streaming", "--spot-url", exchange.url, *options]
        self.environment = {**os.environ, "QTM_HOME": str(home), **environment}
        self.log = home / "stream.log"
        home.mkdir(parents=True, exist_ok=True)

    def start(self) -> subprocess.Popen[str]:
        log = self.log.open("a")
        return subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.PIPE, stderr=log, text=True
        )

    def finish(self, child: subprocess.Popen[str], timeout_s: float = 120) -> dict[str, Any]:
        output, _ = child.communicate(timeout=timeout_s)
        if child.returncode != 0:
            raise AssertionError(f"stream ended with {child.returncode}:\n{self.log.read_text()[-4000:]}")
        summary: dict[str, Any] = json.loads(output)
        return summary

    def run(self) -> dict[str, Any]:
        return self.finish(self.start())

    def signals(self) -> dict[tuple[str, int], dict[str, Any]]:
        """The last answer per symbol and bar."""
        (file,) = (self.home / "state" / "streams").glob("*/signals.jsonl")
        rows = (json.loads(line) for line in file.read_text().splitlines())
        return {(row["symbol"], row["open_time_ms"]): row for row in rows}

    @property
    def database_url(self) -> str:
        return f"sqlite:///{self.home / 'state' / 'qtm.db'}"
