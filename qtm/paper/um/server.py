"""The paper futures exchange as an object, inside one asyncio loop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from qtm.paper.application import VenueApplication
from qtm.paper.exchange import SLOW_MS, AccountSpec, LoopbackExchange, Publisher
from qtm.paper.faults import Faults
from qtm.paper.feed import MarketFeed
from qtm.paper.limits import RateLimit
from qtm.paper.metrics import Metrics
from qtm.paper.scenario import Scenario
from qtm.paper.um.application import um_application
from qtm.paper.um.funding import FundingEvent
from qtm.paper.um.venue import RATE_LIMITS, UmVenue
from qtm.trading.costs import UM_COSTS, CostModel

__all__ = ["AccountSpec", "UmPaperExchange"]


class UmPaperExchange(LoopbackExchange):
    """A USD-M futures venue on loopback; parameters not listed are those of `LoopbackExchange`.

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
        scenario: Scenario | None = None,
    ) -> None:
        self.venue = UmVenue(costs, rate_limits=rate_limits)
        super().__init__(
            feed,
            self.venue,
            self._build,
            market="um",
            accounts=accounts,
            host=host,
            port=port,
            seed=seed,
            begin=begin,
            scenario=scenario,
        )
        for symbol, events in (funding or {}).items():
            self.venue.funding.give(symbol, events)
        for symbol in self.venue.symbols:
            self.venue.funding.list_symbol(symbol, self.venue.clock.now_ms())

    def _build(self, faults: Faults, metrics: Metrics) -> tuple[VenueApplication, Publisher]:
        application, self._streams, self._keys = um_application(self.venue, faults, metrics)
        return application, self

    def flush(self, cadence: int) -> None:
        """Publish what streams owe; end listen keys whose hour is over."""
        self._streams.flush(cadence)
        if cadence == SLOW_MS:
            self._keys.expire()
