"""The paper futures exchange as an object, inside one asyncio loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from qtm.paper.admin import Admin
from qtm.paper.auth import api_key
from qtm.paper.exchange import SLOW_MS, AccountSpec, LoopbackExchange
from qtm.paper.faults import Faults
from qtm.paper.feed import MarketFeed
from qtm.paper.limits import RateLimit
from qtm.paper.metrics import Metrics
from qtm.paper.um.application import um_application
from qtm.paper.um.funding import FundingEvent
from qtm.paper.um.venue import RATE_LIMITS, UmVenue
from qtm.paper.wire import units_of
from qtm.trading.costs import UM_COSTS, CostModel


class UmAdmin(Admin):
    """The admin pages; filters of a contract are fixed, so their page is not offered."""

    def __init__(self, exchange: UmPaperExchange) -> None:
        super().__init__(cast(Any, exchange))  # the pages use what both exchanges have
        del self._pages["POST", "/paper/symbol-filters"]


class UmPaperExchange(LoopbackExchange):
    """A USD-M futures venue on loopback.

    Parameters
    ----------
    funding
        Settlements per symbol; a symbol without an entry pays the interest rate every eight hours.
    costs
        Commission rates of new accounts.
    """

    def __init__(
        self,
        feed: MarketFeed,
        *,
        accounts: Sequence[AccountSpec],
        funding: Mapping[str, Sequence[FundingEvent]] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        costs: CostModel = UM_COSTS,
        seed: int = 0,
        begin: str = "subscribed",
        rate_limits: tuple[RateLimit, ...] = RATE_LIMITS,
    ) -> None:
        metrics = Metrics()
        faults = Faults(seed, on_strike=lambda kind: metrics.faults.labels(kind).inc())
        self.venue = UmVenue(costs, rate_limits=rate_limits)
        application, streams, self._keys = um_application(self.venue, faults, metrics)
        self._streams = streams
        super().__init__(
            feed, self.venue, application, self, faults, metrics, host=host, port=port, begin=begin
        )
        application.admin = UmAdmin(self)
        feed.open(self.venue)
        for symbol, events in (funding or {}).items():
            self.venue.funding.give(symbol, events)
        for symbol in self.venue.symbols:
            self.venue.funding.list_symbol(symbol, self.venue.clock.now_ms())
        for spec in accounts:
            self.open_account(spec)

    def open_account(self, spec: AccountSpec) -> None:
        """Open an account with its key and wallets."""
        key = api_key(spec.api_key, spec.name, secret=spec.secret, public_pem=spec.public_key)
        account = self.venue.accounts.get(spec.name) or self.venue.open_account(spec.name)
        self.application.gateway.keys[spec.api_key] = key
        for asset, amount in spec.balances.items():
            self.venue.deposit(account, asset, units_of(amount))

    def flush(self, cadence: int) -> None:
        """Publish what streams owe; end listen keys whose hour is over."""
        self._streams.flush(cadence)
        if cadence == SLOW_MS:
            self._keys.expire()

    def status(self) -> dict[str, Any]:
        """What the status page shows."""
        opened = sum(len(account.open_orders) for account in self.venue.accounts.values())
        return {**super().status(), "open_orders": opened}
