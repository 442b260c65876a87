"""The paper spot exchange as an object, inside one asyncio loop.

async with PaperExchange(feed, accounts=[AccountSpec("desk", "key", "secret", {"USDT": "100000"})]) as ex:
    ...  # ex.url is http://127.0.0.1:<port>, WebSockets live on the same port
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtm.paper.admin import Admin
from qtm.paper.auth import api_key
from qtm.paper.exchange import AccountSpec, LoopbackExchange
from qtm.paper.faults import Faults
from qtm.paper.feed import MarketFeed
from qtm.paper.limits import RateLimit
from qtm.paper.metrics import Metrics
from qtm.paper.spot.application import spot_application
from qtm.paper.spot.venue import RATE_LIMITS, SpotVenue
from qtm.paper.wire import units_of
from qtm.trading.costs import SPOT_COSTS, CostModel

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
    ) -> None:
        metrics = Metrics()
        faults = Faults(seed, on_strike=lambda kind: metrics.faults.labels(kind).inc())
        self.venue = SpotVenue(costs, rate_limits=rate_limits)
        application, streams = spot_application(
            self.venue, faults, metrics, legacy_listen_key=legacy_listen_key
        )
        super().__init__(
            feed, self.venue, application, streams, faults, metrics, host=host, port=port, begin=begin
        )
        application.admin = Admin(self)
        feed.open(self.venue)
        for spec in accounts:
            self.open_account(spec)

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

    def status(self) -> dict[str, Any]:
        """What the status page shows."""
        opened = sum(len(account.open_orders) for account in self.venue.accounts.values())
        return {**super().status(), "open_orders": opened}
