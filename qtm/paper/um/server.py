"""The paper futures exchange as an object, inside one asyncio loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Unpack

from qtm.paper.application import VenueApplication
from qtm.paper.exchange import AccountSpec, LoopbackExchange, Serving
from qtm.paper.faults import Faults
from qtm.paper.feed import MarketFeed
from qtm.paper.limits import RateLimit
from qtm.paper.metrics import Metrics
from qtm.paper.publication import SLOW_MS, Publisher
from qtm.paper.um.application import um_application
from qtm.paper.um.brackets import Bracket
from qtm.paper.um.funding import FundingEvent
from qtm.paper.um.index_price import IndexSource
from qtm.paper.um.persistence import UmStore
from qtm.paper.um.treasury import ENDOWMENT
from qtm.paper.um.venue import RATE_LIMITS, UmVenue
from qtm.paper.wire import E8
from qtm.trading.costs import UM_COSTS, CostModel

__all__ = ["AccountSpec", "UmPaperExchange"]


class UmPaperExchange(LoopbackExchange):
    """A USD-M futures venue on loopback; parameters not listed are those of `Serving`.

    Parameters
    ----------
    funding
        Settlements per symbol; a symbol without an entry pays what its premium leads to every eight hours.
    costs
        Commission rates of new accounts.
    index
        Where index prices come from; the contracts' own middle prices without one.
    brackets
        Leverage brackets by symbol (see `qtm.paper.um.brackets.load_brackets`).
    insurance
        What the insurance fund of each asset begins with, in whole units.
    state
        File that keeps accounts, orders and trades over restarts.
    """

    def __init__(
        self,
        feed: MarketFeed,
        *,
        funding: Mapping[str, Sequence[FundingEvent]] | None = None,
        costs: CostModel = UM_COSTS,
        rate_limits: tuple[RateLimit, ...] = RATE_LIMITS,
        index: IndexSource | None = None,
        brackets: Mapping[str, tuple[Bracket, ...]] | None = None,
        insurance: int = ENDOWMENT,
        state: Path | None = None,
        **serving: Unpack[Serving],
    ) -> None:
        self.venue = UmVenue(
            costs, rate_limits=rate_limits, index=index, brackets=brackets, insurance=insurance * E8
        )
        for symbol, events in (funding or {}).items():
            self.venue.funding.give(symbol, events)
        super().__init__(
            feed,
            self.venue,
            self._build,
            market="um",
            store=UmStore(state) if state is not None else None,
            **serving,
        )

    def _build(self, faults: Faults, metrics: Metrics) -> tuple[VenueApplication, Publisher]:
        application, self._streams, self._keys = um_application(self.venue, faults, metrics)
        return application, self

    def flush(self, cadence: int, *, leapt: bool = False) -> Iterator[None]:
        """Publish what streams owe; end orders and listen keys whose time is over."""
        yield from self._streams.flush(cadence, leapt=leapt)
        if cadence == SLOW_MS and not leapt:
            self._keys.expire()
            self.venue.expire_due(self.venue.wall.now_ms())
