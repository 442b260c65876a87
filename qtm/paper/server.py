"""The paper spot exchange as an object, inside one asyncio loop.

async with PaperExchange(feed, accounts=[AccountSpec("desk", "key", "secret", {"USDT": "100000"})]) as ex:
    ...  # ex.url is http://127.0.0.1:<port>, WebSockets live on the same port
"""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from qtm.paper.exchange import AccountSpec, LoopbackExchange, Serving
from qtm.paper.feed import MarketFeed
from qtm.paper.limits import RateLimit
from qtm.paper.spot.application import spot_application
from qtm.paper.spot.persistence import SpotStore
from qtm.paper.spot.venue import RATE_LIMITS, SpotVenue
from qtm.trading.costs import SPOT_COSTS, CostModel

__all__ = ["AccountSpec", "PaperExchange"]


class PaperExchange(LoopbackExchange):
    """A spot venue on loopback; parameters not listed are those of `Serving`.

    Parameters
    ----------
    costs
        Commission rates of new accounts; a replay takes its slippage from its own cost model.
    legacy_listen_key
        Serve the listenKey user stream that the venue has retired.
    rate_limits
        Request and order limits; `without_limits(RATE_LIMITS)` for load tests.
    state
        File that keeps accounts, orders and trades over restarts.
    """

    def __init__(
        self,
        feed: MarketFeed,
        *,
        costs: CostModel = SPOT_COSTS,
        legacy_listen_key: bool = False,
        rate_limits: tuple[RateLimit, ...] = RATE_LIMITS,
        state: Path | None = None,
        **serving: Unpack[Serving],
    ) -> None:
        self.venue = SpotVenue(costs, rate_limits=rate_limits)
        super().__init__(
            feed,
            self.venue,
            lambda faults, metrics: spot_application(
                self.venue, faults, metrics, legacy_listen_key=legacy_listen_key
            ),
            market="spot",
            store=SpotStore(state) if state is not None else None,
            **serving,
        )
