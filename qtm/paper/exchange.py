"""A market feed, a venue and its port as one running object; each market has its own subclass."""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Protocol, Self

from qtm.errors import ConfigError, VenueError
from qtm.paper.application import VenueApplication
from qtm.paper.faults import Faults
from qtm.paper.feed import MarketFeed
from qtm.paper.http import HttpConnection
from qtm.paper.metrics import Metrics
from qtm.paper.venue import Venue

log = logging.getLogger(__name__)

FAST_MS, SLOW_MS = 100, 1000
"""The two cadences at which market data that is not real-time is published."""


class Publisher(Protocol):
    """Publishes what a cadence owes."""

    def flush(self, cadence: int) -> None:
        """Publish now what streams of this cadence (`FAST_MS` or `SLOW_MS`) owe."""
        ...


@dataclass(frozen=True)
class AccountSpec:
    """An account to open: its key, its HMAC secret or PEM public key, and what it starts with."""

    name: str
    api_key: str
    secret: str = field(default="", repr=False)
    balances: Mapping[str, str] = field(default_factory=dict)
    public_key: str = ""


class LoopbackExchange:
    """One market on one port, driven by one feed.

    Parameters
    ----------
    port
        0 picks a free one; see `port` after the start.
    begin
        `subscribed` lets a paced feed start with the first market-data subscription, `now` at once.
    """

    def __init__(
        self,
        feed: MarketFeed,
        venue: Venue,
        application: VenueApplication,
        publisher: Publisher,
        faults: Faults,
        metrics: Metrics,
        *,
        host: str,
        port: int,
        begin: str,
    ) -> None:
        if begin not in ("subscribed", "now"):
            raise ConfigError(f"unknown start {begin!r}", where="begin", remedy="use subscribed or now")
        self.feed = feed
        self.venue_base = venue
        self.application = application
        self.publisher = publisher
        self.faults = faults
        self.metrics = metrics
        self.host = host
        self.port = port
        self._begin = begin
        self._connections: set[HttpConnection] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """REST base URL."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """WebSocket base URL."""
        return f"ws://{self.host}:{self.port}"

    def advance(self, steps: int) -> int:
        """Move the market by whole steps; returns how many were made."""
        if steps < 1:
            raise ConfigError("a market moves forward only", where="advance", remedy="ask for 1 bar or more")
        return self.feed.advance(self.venue_base, steps)

    def status(self) -> dict[str, Any]:
        """What the status page shows."""
        return {
            "market_time_ms": self.venue_base.clock.now_ms(),
            "server_time_ms": self.application.gateway.now_us() // 1000,
            **self.feed.status(),
            "symbols": sorted(self.venue_base.markets),
            "accounts": sorted(self.application.gateway.accounts),
            "websockets": len(self.application.sockets),
        }

    async def start(self) -> None:
        """Listen, and let the feed run.

        Raises
        ------
        VenueError
            When the port is taken.
        """
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: HttpConnection(self.application, self._connections),
                self.host,
                self.port,
                backlog=1024,
            )
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES, errno.EADDRNOTAVAIL):
                raise
            raise VenueError(
                f"the paper exchange cannot listen: {error.strerror}",
                where=f"{self.host}:{self.port}",
                remedy="stop the other program or choose another port with --port",
            ) from None
        self.port = self._server.sockets[0].getsockname()[1]
        self._tasks = [asyncio.create_task(self._run_feed()), asyncio.create_task(self._tick())]
        log.info("listening on %s (%s)", self.url, ", ".join(sorted(self.venue_base.markets)))

    async def stop(self) -> None:
        """Announce the shutdown, close every connection, stop listening."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self.application.announce_shutdown()
        for opened in list(self.application.sockets.values()):
            opened.socket.close(1001, "server shutdown")
        if self._server is not None:
            self._server.close()
        await asyncio.sleep(0)
        for connection in list(self._connections):
            connection.close()
        if self._server is not None:
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def wait_done(self) -> None:
        """Wait until the feed has ended."""
        await asyncio.wait({self._tasks[0]})

    async def _run_feed(self) -> None:
        if self._begin == "subscribed":
            await self.application.hub.first_subscription.wait()
        self.feed.begin()
        await self.feed.run(self.venue_base)

    async def _tick(self) -> None:
        """Every 100 ms of wall time: publish what is owed, and now and then ping."""
        loop = asyncio.get_running_loop()
        ticks, pinged = 0, loop.time()
        while True:
            await asyncio.sleep(FAST_MS / 1000)
            ticks += 1
            self.publisher.flush(FAST_MS)
            if ticks % (SLOW_MS // FAST_MS) == 0:
                self.publisher.flush(SLOW_MS)
            if loop.time() - pinged >= self.application.ping_every_s:
                pinged = loop.time()
                self.application.tick(pinged)
