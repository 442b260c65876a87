"""What is particular about mirroring a market: addresses, weights, streams, trades, the chain of depth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from qtm.market.instruments import Market


@dataclass(frozen=True)
class MirroredMarket:
    """One of the venue's markets as the mirror reads it.

    Parameters
    ----------
    stream_url, rest_url
        The venue's hosts for public data.
    path
        Where its REST endpoints begin.
    weight_per_minute, weights
        Request weight a minute may cost, and what each endpoint costs as the mirror asks.
    lists_by_name
        Whether exchangeInfo can be asked for single symbols.
    connections
        (part of the stream address, streams of each symbol there) by connection. A part that a venue does
        not have (404) is replaced by its unsplit address.
    trade, trade_number
        Kind of the events that tell what traded, and the member that numbers the last trade in one.
    before
        The last depth update before an event, which the event continues.
    """

    market: Market
    stream_url: str
    rest_url: str
    path: str
    weight_per_minute: int
    weights: Mapping[str, int]
    lists_by_name: bool
    connections: tuple[tuple[str, tuple[str, ...]], ...]
    trade: str
    trade_number: str
    before: Callable[[Mapping[str, Any]], int]

    @property
    def most_symbols(self) -> int:
        """Symbols whose streams fit into the 1,024 of a connection."""
        return min(1024 // len(streams) for _, streams in self.connections)

    def stream_addresses(self, base: str, symbols: list[str]) -> list[list[str]]:
        """By connection: its address, then the one to take when that does not exist."""
        found = []
        for part, streams in self.connections:
            names = "/".join(f"{symbol.lower()}@{stream}" for symbol in symbols for stream in streams)
            places = dict.fromkeys((f"/{part}" if part else "", ""))
            found.append([f"{base.rstrip('/')}{place}/stream?streams={names}" for place in places])
        return found


SPOT = MirroredMarket(
    Market.SPOT,
    stream_url="wss://data-stream.binance.vision",
    rest_url="https://data-api.binance.vision",
    path="/api/v3",
    weight_per_minute=6000,
    weights={"exchangeInfo": 20, "klines": 2, "depth": 50},
    lists_by_name=True,
    connections=(("", ("depth@100ms", "trade", "kline_1m", "blockTrade")),),
    trade="trade",
    trade_number="t",
    before=lambda event: int(event["U"]) - 1,
)

# `@aggTrade`, because `@trade` is not among the documented streams of this market and would also tell of the
# insurance fund's trades, which no order of the book takes part in.
UM = MirroredMarket(
    Market.UM,
    stream_url="wss://fstream.binance.com",
    rest_url="https://fapi.binance.com",
    path="/fapi/v1",
    weight_per_minute=2400,
    weights={"exchangeInfo": 1, "klines": 5, "depth": 20, "premiumIndex": 1, "fundingInfo": 1,
             "fundingRate": 1},
    lists_by_name=False,
    connections=(("public", ("depth@100ms",)), ("market", ("aggTrade", "kline_1m", "markPrice@1s"))),
    trade="aggTrade",
    trade_number="l",
    before=lambda event: int(event["pu"]),
)  # fmt: skip

MIRRORED = {described.market: described for described in (SPOT, UM)}
