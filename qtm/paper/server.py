"""The paper exchange as an object: a market feed, a spot venue and its port, inside one asyncio loop.

async with PaperExchange(feed, accounts=[AccountSpec("desk", "key", "secret", {"USDT": "100000"})]) as ex:
    ...  # ex.url is http://127.0.0.1:<port>, WebSockets live on the same port
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from qtm.errors import ConfigError, VenueError
from qtm.paper.admin import Admin
from qtm.paper.auth import api_key
from qtm.paper.faults import Faults
from qtm.paper.feed import MarketFeed
from qtm.paper.http import HttpConnection
from qtm.paper.metrics import Metrics
from qtm.paper.spot.application import spot_application
from qtm.paper.spot.streams import FAST_MS, SLOW_MS
from qtm.paper.spot.venue import SpotVenue
from qtm.paper.wire import units_of
from qtm.trading.costs import SPOT_COSTS, CostModel

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AccountSpec:
    """An account to open: its key, its HMAC secret or PEM public key, and what it starts with."""

    name: str
    api_key: str
    secret: str = field(default="", repr=False)
    balances: Mapping[str, str] = field(default_factory=dict)
    public_key: str = ""


class PaperExchange:
    """A spot venue on loopback.

    Parameters
    ----------
    feed
        Drives the market; see `qtm.paper.feed`.
    accounts
        Accounts to open.
    port
        0 picks a free one; see `port` after the start.
    begin
        `subscribed` lets a paced feed start with the first market-data subscription, `now` at once.
    """

    def __init__(
        self,
        feed: MarketFeed,
        *,
        accounts: Sequence[AccountSpec],
        host: str = "127.0.0.1",
        port: int = 0,
        costs: CostModel = SPOT_COSTS,
        seed: int = 0,
        begin: str = "subscribed",
    ) -> None:
        if begin not in ("subscribed", "now"):
            raise ConfigError(f"unknown start {begin!r}", where="begin", remedy="use subscribed or now")
        self.feed = feed
        self.host = host
        self.port = port
        self.metrics = Metrics()
        self.faults = Faults(seed, on_strike=lambda kind: self.metrics.faults.labels(kind).inc())
        self.venue = SpotVenue(costs)
        self.application, self.streams = spot_application(self.venue, self.faults, self.metrics)
        self.application.admin = Admin(self)
        self._begin = begin
        self._connections: set[HttpConnection] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        feed.open(self.venue)
        for spec in accounts:
            self.open_account(spec)

    @property
    def url(self) -> str:
        """REST base URL."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """WebSocket base URL."""
        return f"ws://{self.host}:{self.port}"

    def open_account(self, spec: AccountSpec) -> None:
        """Open an account, or add a key to one that exists."""
        key = api_key(spec.api_key, spec.name, secret=spec.secret, public_pem=spec.public_key)
        account = self.venue.accounts.get(spec.name) or self.venue.open_account(spec.name)
        self.application.gateway.keys[spec.api_key] = key
        for market in self.venue.symbols.values():
            account.balance(market.base)
            account.balance(market.quote)
        for asset, amount in spec.balances.items():
            self.venue.deposit(account, asset, units_of(amount))

    def advance(self, steps: int) -> int:
        """Move the market by whole steps; returns how many were made."""
        if steps < 1:
            raise ConfigError("a market moves forward only", where="advance", remedy="ask for 1 bar or more")
        return self.feed.advance(self.venue, steps)

    def status(self) -> dict[str, Any]:
        """What the status page shows."""
        return {
            "market_time_ms": self.venue.clock.now_ms(),
            "server_time_ms": self.application.gateway.now_us() // 1000,
            **self.feed.status(),
            "symbols": sorted(self.venue.markets),
            "accounts": sorted(self.venue.accounts),
            "open_orders": sum(len(a.open_orders) for a in self.venue.accounts.values()),
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
        log.info("listening on %s (%s)", self.url, ", ".join(sorted(self.venue.markets)))

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

    async def __aenter__(self) -> PaperExchange:
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
        await self.feed.run(self.venue)

    async def _tick(self) -> None:
        """Every 100 ms of wall time: publish what is owed, and now and then ping."""
        loop = asyncio.get_running_loop()
        ticks, pinged = 0, loop.time()
        while True:
            await asyncio.sleep(FAST_MS / 1000)
            ticks += 1
            self.streams.flush(FAST_MS)
            if ticks % (SLOW_MS // FAST_MS) == 0:
                self.streams.flush(SLOW_MS)
            if loop.time() - pinged >= self.application.ping_every_s:
                pinged = loop.time()
                self.application.tick(pinged)
