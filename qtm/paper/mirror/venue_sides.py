"""What a mirrored market tells besides depth, trades and candles, and how the paper venue takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from qtm.errors import ConfigError, DataError
from qtm.market.instruments import Market
from qtm.paper.depth_frames import amount_of
from qtm.paper.mirror.upstream import Upstream
from qtm.paper.spot.venue import SpotVenue
from qtm.paper.um.funding import FundingEvent, SettledFunding
from qtm.paper.um.venue import UmVenue
from qtm.paper.venue import Venue

V = TypeVar("V", bound=Venue)

SETTLEMENTS = 100
"""Settlements before now that clients may ask for."""


class VenueSide(Protocol):
    """A market's own half of the mirror."""

    def prepare(self, upstream: Upstream, listings: Mapping[str, Mapping[str, Any]]) -> None:
        """Read what has to be known before the venue opens."""
        ...

    def listed(self, venue: Venue, symbol: str, listing: Mapping[str, Any]) -> None:
        """A symbol has joined the venue."""
        ...

    def relist(self, venue: Venue, symbol: str, listing: Mapping[str, Any]) -> None:
        """The mirrored venue's exchangeInfo says this of a symbol now."""
        ...

    def told(self, venue: Venue, symbol: str, event: Mapping[str, Any]) -> None:
        """An event that is neither depth, trade nor candle."""
        ...


class SpotSide:
    """Spot: filters and block trades."""

    def prepare(self, upstream: Upstream, listings: Mapping[str, Mapping[str, Any]]) -> None:
        """Nothing more is needed."""

    def listed(self, venue: Venue, symbol: str, listing: Mapping[str, Any]) -> None:
        """The other venue's filters hold."""
        self.relist(venue, symbol, listing)

    def relist(self, venue: Venue, symbol: str, listing: Mapping[str, Any]) -> None:
        """The other venue's filters hold."""
        _venue_of(SpotVenue, venue).symbols[symbol].relist(listing)

    def told(self, venue: Venue, symbol: str, event: Mapping[str, Any]) -> None:
        """A block trade."""
        if event["e"] == "blockTrade":
            price, qty = amount_of(event["p"]), amount_of(event["q"])
            _venue_of(SpotVenue, venue).print_block(
                symbol, int(event["t"]), price, qty, buyer_is_maker=bool(event["m"])
            )


class UmSide:
    """USD-M futures: filters, mark and index prices, funding."""

    def __init__(self) -> None:
        self._hours: dict[str, int] = {}
        self._settled: dict[str, list[SettledFunding]] = {}
        self._prices: dict[str, Mapping[str, Any]] = {}

    def prepare(self, upstream: Upstream, listings: Mapping[str, Mapping[str, Any]]) -> None:
        """Read funding intervals, past settlements and the prices of the moment.

        Raises
        ------
        DataError
            For a contract that is not perpetual.
        """
        for symbol, listing in listings.items():
            if not str(listing.get("contractType", "PERPETUAL")).endswith("PERPETUAL"):
                raise DataError(
                    f"{symbol} is a {listing['contractType']} contract",
                    where="--symbols",
                    remedy="name perpetual contracts",
                )
        uncommon = {str(row["symbol"]): int(row["fundingIntervalHours"]) for row in upstream.funding_info()}
        for symbol in listings:
            hours = self._hours[symbol] = uncommon.get(symbol, 8)
            self._prices[symbol] = upstream.premium_index(symbol)
            self._settled[symbol] = [
                SettledFunding(
                    FundingEvent(symbol, int(row["fundingTime"]), hours, amount_of(row["fundingRate"])),
                    amount_of(row.get("markPrice") or "0"),
                )
                for row in upstream.funding_rates(symbol, SETTLEMENTS)
            ]

    def listed(self, venue: Venue, symbol: str, listing: Mapping[str, Any]) -> None:
        """The other venue's filters, prices and funding hold."""
        contracts = _venue_of(UmVenue, venue)
        contracts.relist(symbol, listing)
        contracts.funding.recall(symbol, self._hours[symbol], self._settled.pop(symbol))
        now = self._prices.pop(symbol)
        contracts.tell_prices(
            symbol, int(now["time"]), amount_of(now["markPrice"]), amount_of(now["indexPrice"]),
            amount_of(now["lastFundingRate"]), int(now["nextFundingTime"]),
        )  # fmt: skip

    def relist(self, venue: Venue, symbol: str, listing: Mapping[str, Any]) -> None:
        """The other venue's filters hold."""
        _venue_of(UmVenue, venue).relist(symbol, listing)

    def told(self, venue: Venue, symbol: str, event: Mapping[str, Any]) -> None:
        """Mark price, index and funding."""
        if event["e"] == "markPriceUpdate":
            _venue_of(UmVenue, venue).tell_prices(
                symbol, int(event["E"]), amount_of(event["p"]), amount_of(event["i"]), amount_of(event["r"]),
                int(event["T"]),
            )  # fmt: skip


def side_of(market: Market) -> VenueSide:
    """The side of a market."""
    return UmSide() if market is Market.UM else SpotSide()


def _venue_of(kind: type[V], venue: Venue) -> V:
    if not isinstance(venue, kind):
        raise ConfigError(
            f"this mirror drives a {kind.__name__}", where="--market mirror", remedy="mirror the same market"
        )
    return venue
