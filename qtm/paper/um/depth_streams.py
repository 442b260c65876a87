"""Depth streams: every speed has changes and a chain of its own (`pu` is the `u` of the event before)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from qtm.paper.publication import FAST_MS
from qtm.paper.streams import StreamHub
from qtm.paper.um.market_data import levels
from qtm.paper.um.venue import UmVenue
from qtm.paper.venue import SymbolMarket
from qtm.paper.wire import dumps

DEFAULT_MS = 250
_NAME = re.compile(r"^(?:rpiDepth|depth(5|10|20)?)(?:@(0|100|250|500)ms)?$")


@lru_cache(maxsize=256)
def depth_stream(name: str) -> tuple[int, int] | None:
    """(levels, 0 for changes; milliseconds between events, 0 for none) of a stream; None for another one."""
    found = _NAME.match(name)
    if found is None:
        return None
    return int(found[1] or 0), DEFAULT_MS if found[2] is None else int(found[2])


@dataclass
class _Chain:
    """Changes of one symbol that one speed has not published yet."""

    published: int
    bids: set[int] = field(default_factory=set)
    asks: set[int] = field(default_factory=set)


class DepthStreams:
    """Publishes @depth, @depth5 (10, 20) and @rpiDepth at the speeds clients ask for.

    There are no retail price improvement orders: @rpiDepth is @depth.
    """

    def __init__(self, venue: UmVenue, hub: StreamHub) -> None:
        self.venue = venue
        self.hub = hub
        self._chains: dict[str, dict[int, _Chain]] = {}
        self._ticks = 0

    def changed(self, market: SymbolMarket) -> None:
        """Remember what a change of the book touched; real-time streams tell it at once."""
        book = market.book
        chains = self._chains.setdefault(market.symbol, {})
        for speed in {speed for _, _, speed in self._wanted(market)}:
            chain = chains.get(speed)
            if chain is None:
                chain = chains[speed] = _Chain(book.update_id - 1)
            chain.bids |= book.bids.touched
            chain.asks |= book.asks.touched
        book.bids.touched.clear()
        book.asks.touched.clear()
        if 0 in chains:
            self._publish(market, 0)

    def flush(self, *, every: bool = False) -> Iterator[None]:
        """100 ms of wall time are over (or market time has leapt: `every` speed is due); yields by symbol."""
        self._ticks += 1
        now = self._ticks * FAST_MS
        for symbol, chains in list(self._chains.items()):
            for speed in list(chains):
                if every or (speed and now // speed != (now - FAST_MS) // speed):
                    self._publish(self.venue.markets[symbol], speed)
            yield

    def _publish(self, market: SymbolMarket, speed: int) -> None:
        chain, book = self._chains[market.symbol][speed], market.book
        names = [(name, count) for name, count, wanted in self._wanted(market) if wanted == speed]
        if not names:
            del self._chains[market.symbol][speed]
            return
        if not chain.bids and not chain.asks:
            return
        symbol, now = self.venue.symbols[market.symbol], self.venue.clock.now_ms()
        head: dict[str, Any] = {
            "e": "depthUpdate", "E": now, "T": now, "s": market.symbol, "U": chain.published + 1,
            "u": book.update_id, "pu": chain.published,
        }  # fmt: skip
        bids = [
            [symbol.price(p), symbol.qty(book.bids.quantity(p))] for p in sorted(chain.bids, reverse=True)
        ]
        asks = [[symbol.price(p), symbol.qty(book.asks.quantity(p))] for p in sorted(chain.asks)]
        for name, count in names:
            if count:
                top = levels(market, symbol, count)
                self.hub.publish(name, dumps({**head, "b": top["bids"], "a": top["asks"]}))
            else:
                self.hub.publish(name, dumps({**head, "b": bids, "a": asks}))
        chain.published = book.update_id
        chain.bids.clear()
        chain.asks.clear()

    def _wanted(self, market: SymbolMarket) -> list[tuple[str, int, int]]:
        """(name, levels, speed) of the depth streams of a symbol that somebody listens to."""
        found = []
        for name in self.hub.names(market.symbol.lower()):
            kind = depth_stream(name.partition("@")[2])
            if kind is not None:
                found.append((name, *kind))
        return found
