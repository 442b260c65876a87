"""A venue on loopback that stands where Binance stands, its mirror, and a client of the mirror's account."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Self

from qtm.market.instruments import Market
from qtm.paper.mirror.feed import LiveMirror
from qtm.paper.wire import E8
from tests.paper.clients import Rest

Levels = Sequence[tuple[float, float]]


def units(levels: Levels) -> list[tuple[int, int]]:
    return [(round(price * E8), round(qty * E8)) for price, qty in levels]


async def until(true: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = asyncio.get_running_loop().time() + seconds
    while not true():
        assert asyncio.get_running_loop().time() < deadline, "it never happened"
        await asyncio.sleep(0.01)


class Worlds:
    """Two exchanges and a client, opened and closed together.

    The upstream exchange starts with `depth`, bids and asks; `mirrored` makes the exchange of its mirror.
    """

    def __init__(
        self,
        market: Market,
        upstream: Any,
        mirrored: Callable[[LiveMirror], Any],
        depth: tuple[Levels, Levels],
        **mirror_options: Any,
    ) -> None:
        self.kind, self.upstream, self.mirrored = market, upstream, mirrored
        self.start = depth
        self.options = mirror_options

    async def __aenter__(self) -> Self:
        await self.upstream.start()
        self.upstream.venue.set_depth("BTCUSDT", *(units(levels) for levels in self.start))
        urls = {"stream_url": self.upstream.ws_url, "rest_url": self.upstream.url, **self.options}
        self.feed = await asyncio.to_thread(LiveMirror, ["BTCUSDT"], market=self.kind, **urls)
        self.mirror = self.mirrored(self.feed)
        await self.mirror.start()
        self.rest = self.client_of(self.mirror)
        self.market = self.mirror.venue.markets["BTCUSDT"]
        await until(lambda: self.market.status == "TRADING")
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.rest.session.close()
        await self.mirror.stop()
        await self.upstream.stop()

    def client_of(self, exchange: Any) -> Rest:
        return Rest(exchange.url, prefix="/api/v3" if self.kind is Market.SPOT else "/fapi/v1")

    def best(self) -> tuple[Any, Any]:
        """Price and what the mirrored venue shows there, at both sides."""
        bid, ask = self.market.book.bids.best(), self.market.book.asks.best()
        return (bid[0] / E8, bid[1].external / E8), (ask[0] / E8, ask[1].external / E8)

    async def change(self, bids: Levels = (), asks: Levels = ()) -> None:
        """Move the mirrored venue's depth and wait until the mirror has it."""
        theirs, mine = self.upstream.venue, self.feed._symbols["BTCUSDT"].depth
        theirs.change_depth("BTCUSDT", units(bids), units(asks))
        await until(lambda: mine.last_id == theirs.markets["BTCUSDT"].book.update_id)

    async def executed(self, order: dict[str, Any]) -> float:
        _, body, _ = await self.rest.signed("GET", "order", symbol="BTCUSDT", orderId=order["orderId"])
        return float(body["executedQty"])
