"""The paper spot exchange as an object, inside one asyncio loop.

async with PaperExchange(feed, accounts=[AccountSpec("desk", "key", "secret", {"USDT": "100000"})]) as ex:
    ...  # ex.url is http://127.0.0.1:<port>, WebSockets live on the same port
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtm.errors import ConfigError
from qtm.paper.admin import Admin
from qtm.paper.auth import api_key
from qtm.paper.exchange import AccountSpec, LoopbackExchange
from qtm.paper.faults import Faults
from qtm.paper.feed import MarketFeed
from qtm.paper.limits import RateLimit
from qtm.paper.metrics import Metrics
from qtm.paper.pacing import parse_moment
from qtm.paper.scenario import MarketAlarm, Scenario, ScenarioEvent
from qtm.paper.spot.application import spot_application
from qtm.paper.spot.persistence import SpotStore
from qtm.paper.spot.venue import RATE_LIMITS, SpotVenue
from qtm.paper.wire import units_of
from qtm.trading.costs import SPOT_COSTS, CostModel

log = logging.getLogger(__name__)

__all__ = ["AccountSpec", "PaperExchange"]


class PaperExchange(LoopbackExchange):
    """A spot venue on loopback.

    Parameters
    ----------
    feed
        Drives the market; see `qtm.paper.feed`.
    accounts
        Accounts to open.
    costs
        Commission rates of new accounts; a replay takes its slippage from its own cost model.
    seed
        Seed of the faults' chance.
    legacy_listen_key
        Serve the listenKey user stream that the venue has retired.
    rate_limits
        Request and order limits; `without_limits(RATE_LIMITS)` for load tests.
    state
        File that keeps accounts, orders and trades over restarts.
    scenario
        Faults and events to play.
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
        legacy_listen_key: bool = False,
        rate_limits: tuple[RateLimit, ...] = RATE_LIMITS,
        state: Path | None = None,
        scenario: Scenario | None = None,
    ) -> None:
        metrics = Metrics()
        if scenario is not None and scenario.seed is not None:
            seed = scenario.seed
        faults = Faults(seed, on_strike=lambda kind: metrics.faults.labels(kind).inc())
        self.venue = SpotVenue(costs, rate_limits=rate_limits)
        application, streams = spot_application(
            self.venue, faults, metrics, legacy_listen_key=legacy_listen_key
        )
        super().__init__(
            feed, self.venue, application, streams, faults, metrics, host=host, port=port, begin=begin
        )
        self._admin = Admin(self)
        application.admin = self._admin
        self._timed: list[ScenarioEvent] = []
        self._timers: list[asyncio.TimerHandle] = []
        feed.open(self.venue)
        if state is not None:
            store = SpotStore(state)
            store.restore(self.venue)
            self.venue.store = store
        for spec in accounts:
            self.open_account(spec)
        if scenario is not None:
            self._play(scenario)

    def open_account(self, spec: AccountSpec) -> None:
        """Open an account; one that exists already keeps its balances and gets the key."""
        key = api_key(spec.api_key, spec.name, secret=spec.secret, public_pem=spec.public_key)
        known = self.venue.accounts.get(spec.name)
        account = known or self.venue.open_account(spec.name)
        self.application.gateway.keys[spec.api_key] = key
        for market in self.venue.symbols.values():
            account.balance(market.base)
            account.balance(market.quote)
        for asset, amount in spec.balances.items() if known is None else ():
            self.venue.deposit(account, asset, units_of(amount))

    def status(self) -> dict[str, Any]:
        """What the status page shows."""
        opened = sum(len(account.open_orders) for account in self.venue.accounts.values())
        return {**super().status(), "open_orders": opened}

    async def stop(self) -> None:
        """Close every connection and the state file."""
        for timer in self._timers:
            timer.cancel()
        await super().stop()
        if self.venue.store is not None:
            self.venue.store.commit(self.venue)
            self.venue.store.close()
            self.venue.store = None

    async def start(self) -> None:
        """Listen, let the feed run, start the scenario's clock."""
        await super().start()
        loop = asyncio.get_running_loop()
        self._timers = [loop.call_later(event.after_s or 0.0, self._happen, event) for event in self._timed]

    def _play(self, scenario: Scenario) -> None:
        for event in scenario.events:
            self._admin.page(event.do)
        for spec in scenario.faults:
            self.faults.add(spec.rule())
        self._timed = [event for event in scenario.events if event.after_s is not None]
        by_market = [
            (parse_moment(event.at_market, "scenario") or 0, event)
            for event in scenario.events
            if event.at_market is not None
        ]
        if by_market:
            self.venue.listeners.append(
                MarketAlarm(sorted(by_market, key=lambda pair: pair[0]), self._happen)
            )

    def _happen(self, event: ScenarioEvent) -> None:
        try:
            answer = self._admin.act(event.do, event.body)
        except ConfigError as error:
            log.error("scenario: %s", error)
        else:
            log.info("scenario: %s %s -> %s", event.do, event.body, answer)
