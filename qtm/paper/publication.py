"""When market data that is not real-time is published: a little at a time; no order waits for a burst.

Two clocks ask for it: the wall clock (every 100 ms and every second), and market time when a feed moves it
faster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Protocol

from qtm.paper.klines import Kline
from qtm.paper.venue import MarketTrade, SymbolMarket

FAST_MS, SLOW_MS = 100, 1000
"""The two cadences at which market data that is not real-time is published."""

TURN_S = 0.0003
"""How long publishing may hold the event loop before clients get a turn."""


class Publisher(Protocol):
    """A market's streams."""

    def flush(self, cadence: int, *, leapt: bool = False) -> Iterator[None]:
        """Publish what streams of a cadence owe, yielding after every symbol.

        `leapt` says that market time has moved by at least the cadence, whatever the wall clock says.
        """
        ...


class Publication:
    """Lets a market's streams publish, by turns with the clients (a market listener)."""

    def __init__(self, publisher: Publisher) -> None:
        self.publisher = publisher
        self._published_ms = {FAST_MS: 0, SLOW_MS: 0}
        self._leapt: set[int] = set()
        self._moved = asyncio.Event()

    async def follow_the_wall(self) -> None:
        """Publish every 100 ms and every second of wall time, for ever."""
        ticks = 0
        while True:
            await asyncio.sleep(FAST_MS / 1000)
            ticks += 1
            await self._by_turns(self.publisher.flush(FAST_MS))
            if ticks % (SLOW_MS // FAST_MS) == 0:
                await self._by_turns(self.publisher.flush(SLOW_MS))

    async def follow_the_market(self) -> None:
        """Publish whenever market time has moved by a cadence, for ever."""
        while True:
            await self._moved.wait()
            self._moved.clear()
            leapt, self._leapt = self._leapt, set()
            for cadence in sorted(leapt):
                await self._by_turns(self.publisher.flush(cadence, leapt=True))

    def clock_moved(self, now_ms: int) -> None:
        """Note what market time owes."""
        for cadence, published in self._published_ms.items():
            if now_ms - published >= cadence:
                self._published_ms[cadence] = now_ms
                self._leapt.add(cadence)
                self._moved.set()

    def traded(self, market: SymbolMarket, trade: MarketTrade) -> None:
        """Trades are published as they happen, not here."""

    def book_changed(self, market: SymbolMarket) -> None:
        """The streams remember changes themselves."""

    def bar_changed(
        self, market: SymbolMarket, bar: Kline, *, closed: bool, next_open_ms: int | None
    ) -> None:
        """Candles are published as they change, not here."""

    @staticmethod
    async def _by_turns(work: Iterator[None]) -> None:
        loop = asyncio.get_running_loop()
        turn = loop.time()
        for _ in work:
            if loop.time() - turn > TURN_S:
                await asyncio.sleep(0)
                turn = loop.time()
