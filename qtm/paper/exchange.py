"""A market feed, a venue and its port as one running object; each market has its own subclass."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Required, Self, TypedDict, Unpack

from qtm.errors import ConfigError, VenueError
from qtm.paper.admin import Admin
from qtm.paper.application import VenueApplication
from qtm.paper.auth import api_key
from qtm.paper.faults import Faults
from qtm.paper.feed import MarketFeed
from qtm.paper.http import HttpConnection
from qtm.paper.metrics import Metrics
from qtm.paper.publication import Publication, Publisher
from qtm.paper.scenario import Scenario, ScenarioPlayer
from qtm.paper.venue import Venue, VenueStore
from qtm.paper.wire import units_of

log = logging.getLogger(__name__)

CHECK_EVERY_S = 1.0
"""How often connections are looked at: pings due, clients that dawdle."""

ApplicationBuilder = Callable[[Faults, Metrics], tuple[VenueApplication, Publisher]]


@dataclass(frozen=True)
class AccountSpec:
    """An account to open: its key, its HMAC secret or PEM public key, and what it starts with."""

    name: str
    api_key: str
    secret: str = field(default="", repr=False)
    balances: Mapping[str, str] = field(default_factory=dict)
    public_key: str = ""


class Serving(TypedDict, total=False):
    """How an exchange of either market is served; all but the accounts may be left out.

    accounts
        Accounts to open.
    host, port
        Where to listen, by default 127.0.0.1; port 0, the default, picks a free one (see `port` after the
        start).
    seed
        Seed of the faults' chance, 0 by default; a scenario's own seed takes its place.
    begin
        `subscribed`, the default, lets a paced feed start with the first market-data subscription, `now` at
        once.
    scenario
        Faults and events to play; none by default.
    """

    accounts: Required[Sequence[AccountSpec]]
    host: str
    port: int
    seed: int
    begin: str
    scenario: Scenario | None


class LoopbackExchange:
    """One market on one port, driven by one feed; parameters not listed are those of `Serving`.

    Parameters
    ----------
    feed
        Drives the market; see `qtm.paper.feed`.
    venue
        The market.
    build
        Makes the market's application and the publisher of its streams.
    market
        The market's name in metrics and logs.
    store
        Keeps accounts, orders and trades over restarts.
    """

    def __init__(
        self,
        feed: MarketFeed,
        venue: Venue,
        build: ApplicationBuilder,
        *,
        market: str,
        store: VenueStore | None = None,
        **serving: Unpack[Serving],
    ) -> None:
        begin, scenario = serving.get("begin", "subscribed"), serving.get("scenario")
        seed = serving.get("seed", 0)
        if begin not in ("subscribed", "now"):
            raise ConfigError(f"unknown start {begin!r}", where="begin", remedy="use subscribed or now")
        self.feed = feed
        self.venue_base = venue
        self.metrics = Metrics(market)
        chosen = scenario.seed if scenario is not None and scenario.seed is not None else seed
        self.faults = Faults(chosen, on_strike=self.metrics.struck)
        self.application, self.publisher = build(self.faults, self.metrics)
        self._publication = Publication(self.publisher)
        venue.listeners.append(self._publication)
        self.host = serving.get("host", "127.0.0.1")
        self.port = serving.get("port", 0)
        self._begin = begin
        self._connections: set[HttpConnection] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self._measure()
        admin = Admin(self)
        self.application.admin = admin
        feed.open(venue)
        if store is not None:
            store.restore(venue)
            venue.store = store
        for spec in serving["accounts"]:
            self.open_account(spec)
        self._scenario = ScenarioPlayer(scenario or Scenario(), admin, self.faults, venue)

    @property
    def url(self) -> str:
        """REST base URL."""
        return f"http://{self.host}:{self.port}"

    @property
    def ws_url(self) -> str:
        """WebSocket base URL."""
        return f"ws://{self.host}:{self.port}"

    def open_account(self, spec: AccountSpec) -> None:
        """Open an account; one that exists already keeps its balances and gets the key."""
        key = api_key(spec.api_key, spec.name, secret=spec.secret, public_pem=spec.public_key)
        known = self.venue_base.accounts.get(spec.name)
        account = known if known is not None else self.venue_base.open_account(spec.name)
        self.application.gateway.keys[spec.api_key] = key
        for asset, amount in spec.balances.items() if known is None else ():
            self.venue_base.deposit(account, asset, units_of(amount))

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
            "open_orders": self._open_orders(),
            "websockets": len(self.application.sockets),
        }

    async def start(self) -> None:
        """Listen, let the feed run, start the scenario's clock.

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
        running = (
            self._run_feed(), self._publication.follow_the_wall(), self._publication.follow_the_market(),
            self._watch_connections(),
        )  # fmt: skip
        self._tasks = [asyncio.create_task(work) for work in running]
        self._scenario.start()
        log.info(
            "%s exchange listening on %s (%s)",
            self.metrics.market, self.url, ", ".join(sorted(self.venue_base.markets)),
        )  # fmt: skip

    async def stop(self) -> None:
        """Announce the shutdown, close every connection and the state file, stop listening."""
        self._scenario.stop()
        for task in self._tasks:
            task.cancel()
        for failed in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(failed, Exception):
                log.error("the exchange had failed", exc_info=failed)
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
        if self.venue_base.store is not None:
            self.venue_base.store.commit(self.venue_base)
            self.venue_base.store.close()
            self.venue_base.store = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def wait_done(self) -> None:
        """Wait until the feed has ended; raises what it failed with."""
        await asyncio.shield(self._tasks[0])

    async def serve_until(self, stop: asyncio.Event) -> None:
        """Wait for `stop`; what the market or the publication fails with meanwhile is raised."""
        stopping = asyncio.create_task(stop.wait())
        running = {stopping, *self._tasks}
        try:
            while not stopping.done():
                ended, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in ended:
                    task.result()
        finally:
            stopping.cancel()

    def _open_orders(self) -> int:
        return sum(len(account.open_orders) for account in self.venue_base.accounts.values())

    def _measure(self) -> None:
        """Name what a scrape reads from the running exchange."""
        metrics = self.metrics
        metrics.sockets = lambda: Counter(opened.kind for opened in self.application.sockets.values())
        metrics.gauges["qtm_paper_connections"] = (
            "Open connections, WebSockets included", lambda: len(self._connections),
        )  # fmt: skip
        metrics.gauges["qtm_paper_open_orders"] = ("Open orders of all accounts", self._open_orders)
        metrics.gauges["qtm_paper_market_time_seconds"] = (
            "Market time", lambda: self.venue_base.clock.now_ms() / 1000,
        )  # fmt: skip
        metrics.counters["qtm_paper_stream_messages"] = (
            "Market-data messages handed to subscribers", lambda: self.application.hub.delivered,
        )  # fmt: skip

    async def _run_feed(self) -> None:
        if self._begin == "subscribed":
            await self.application.hub.first_subscription.wait()
        self.feed.begin()
        await self.feed.run(self.venue_base)

    async def _watch_connections(self) -> None:
        """Now and then ping every WebSocket and cut off clients that dawdle."""
        loop = asyncio.get_running_loop()
        pinged = loop.time()
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            now = loop.time()
            for connection in [c for c in self._connections if c.overdue(now)]:
                connection.abort()
            if now - pinged >= self.application.ping_every_s:
                pinged = now
                self.application.tick(now)


def quiet_collector() -> None:
    """Keep the garbage collector of a serving process out of the orders' way.

    What was loaded at the start is never garbage; orders and events hold no cycles, so they are freed without
    the collector, which then only has to look for the rare cycle of a closed connection.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
