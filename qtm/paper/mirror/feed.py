"""A venue's book, tape and candles as another venue has them at this moment.

Paper orders rest in the mirrored book behind what it showed when they arrived, and are filled by its trades
through and at their price. A taker walks it without moving it: what it took stands there again with the next
depth update, except where that would trade with an order of the account that took it.

While a symbol's copy is in doubt (no connection, a gap in the sequence) its status is BREAK: orders are
refused, cancels are not, nothing is filled.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from qtm.errors import ConfigError, QtmError
from qtm.market.instruments import Instrument, Market, instrument_from_exchange_info
from qtm.paper.depth_frames import amount_of
from qtm.paper.klines import Kline, KlineHistory
from qtm.paper.mirror.connection import ROTATE_AFTER_S, MirrorConnection
from qtm.paper.mirror.depth_sync import DepthGapError
from qtm.paper.mirror.markets import MIRRORED
from qtm.paper.mirror.mirrored_symbol import MirroredSymbol
from qtm.paper.mirror.upstream import Upstream
from qtm.paper.mirror.venue_sides import side_of
from qtm.paper.venue import MarketTrade, SymbolMarket, Venue

log = logging.getLogger(__name__)

LISTING_EVERY_S = 60.0
"""How often status and filters of the symbols are looked at again."""

SNAPSHOT_PAUSE_S = 0.5
"""Pause before a snapshot that was too old, or failed, is fetched again."""


class LiveMirror:
    """Drives a venue with the public streams of another one.

    Parameters
    ----------
    symbols
        What to mirror; listed at once, with the other venue's filters.
    market
        Which of its markets.
    stream_url, rest_url
        Base addresses of its streams (`/stream` is added) and of its REST interface (`/api/v3` is added);
        Binance's hosts for public data when empty.
    history
        1m candles before now that clients may ask for.

    Raises
    ------
    VenueError
        When the venue cannot be reached.
    DataError
        For a symbol it does not know.
    """

    def __init__(
        self,
        symbols: Sequence[str],
        *,
        market: Market = Market.SPOT,
        stream_url: str = "",
        rest_url: str = "",
        history: int = 1000,
        listing_every_s: float = LISTING_EVERY_S,
        rotate_after_s: float = ROTATE_AFTER_S,
    ) -> None:
        self._market = described = MIRRORED[market]
        stream_url, rest_url = stream_url or described.stream_url, rest_url or described.rest_url
        if not symbols or len(symbols) > described.most_symbols:
            raise ConfigError(
                f"a mirror needs 1 to {described.most_symbols} symbols",
                where="--symbols",
                remedy="name fewer, or one",
            )
        _check_url(stream_url, ("ws://", "wss://"), "--mirror-url")
        _check_url(rest_url, ("http://", "https://"), "--mirror-rest-url")
        self._upstream = Upstream(described, rest_url)
        listings = self._upstream.listings(symbols)
        self._side = side_of(market)
        self._side.prepare(self._upstream, listings)
        self._symbols = {
            symbol: MirroredSymbol(listing, described.before) for symbol, listing in listings.items()
        }
        self._instruments = {
            symbol: instrument_from_exchange_info(market, listing, source=rest_url)
            for symbol, listing in listings.items()
        }
        self._candles = {symbol: self._upstream.candles(symbol, max(1, history)) for symbol in symbols}
        self._connections = [
            MirrorConnection(
                addresses,
                self._message,
                on_open=self._opened,
                on_lost=self._lost,
                rotate_after_s=rotate_after_s,
            )
            for addresses in described.stream_addresses(stream_url, list(symbols))
        ]
        self._listing_every_s = listing_every_s
        self._venue: Venue | None = None
        self.messages = 0
        self.gaps = 0

    # --- MarketFeed ----------------------------------------------------------------------------------------
    def instruments(self) -> Mapping[str, Instrument]:
        """What is traded."""
        return self._instruments

    def begin(self) -> None:
        """Time runs of its own accord."""

    def open(self, venue: Venue) -> None:
        """List the symbols with their candles; the books stand once the streams are in step.

        Raises
        ------
        ConfigError
            For a venue of another market.
        """
        self._venue = venue
        for symbol, instrument in self._instruments.items():
            rows = [_candle(row) for row in self._candles.pop(symbol)]
            closed, forming = rows[:-1], rows[-1] if rows else None
            times = np.array([bar.open_ms for bar in closed], np.int64)
            values = np.array([bar[1:] for bar in closed], np.float64).reshape(len(closed), 9)
            market = venue.add_market(instrument, KlineHistory("1m", times, values, len(closed), forming))
            market.last_price = amount_of(f"{forming.close:.8f}") if forming is not None else 0
            market.status = "BREAK"
            self._side.listed(venue, symbol, self._symbols[symbol].listing)
        venue.listeners.append(self)

    def advance(self, venue: Venue, steps: int) -> int:
        """A live market cannot be moved."""
        return 0

    async def run(self, venue: Venue) -> None:
        """Mirror until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for connection in self._connections:
                    group.create_task(connection.run())
                group.create_task(self._watch_listings())
        finally:
            for mirrored in self._symbols.values():
                if mirrored.syncing is not None:
                    mirrored.syncing.cancel()

    def status(self) -> dict[str, object]:
        """Health of the mirror."""
        return {
            "market": "mirror",
            "messages": self.messages,
            "connections": sum(connection.connections for connection in self._connections),
            "gaps": self.gaps,
            "in_step": sorted(symbol for symbol, m in self._symbols.items() if m.depth.synced),
            "done": False,
        }

    # --- MarketListener: where paper trades have taken from the mirrored book ------------------------------
    def traded(self, market: SymbolMarket, trade: MarketTrade) -> None:
        """Remember the price: its quantity may differ from the mirrored one now."""
        self._symbols[market.symbol].taken.add(trade.price)

    def book_changed(self, market: SymbolMarket) -> None:
        """Nothing to do."""

    def bar_changed(
        self, market: SymbolMarket, bar: Kline, *, closed: bool, next_open_ms: int | None
    ) -> None:
        """Nothing to do."""

    def clock_moved(self, now_ms: int) -> None:
        """Nothing to do."""

    # --- messages ------------------------------------------------------------------------------------------
    def _message(self, text: bytes) -> bool:
        """Take a combined-stream message; False when it announces the connection's end."""
        assert self._venue is not None
        event = orjson.loads(text).get("data", {})
        kind = event.get("e")
        if kind == "serverShutdown":
            return False
        symbol = event.get("s")
        mirrored = self._symbols.get(symbol)
        if mirrored is None:
            return True
        self.messages += 1
        if int(event["E"]) > self._venue.clock.now_ms() or not self._venue.clock.replaying:
            self._venue.move_clock(int(event["E"]))
        if kind == "depthUpdate":
            self._depth(self._venue, symbol, mirrored, event)
        elif kind == self._market.trade:
            self._trade(self._venue, symbol, mirrored, event)
        elif kind == "kline":
            self._kline(self._venue, symbol, event["k"])
        else:
            self._side.told(self._venue, symbol, event)
        return True

    def _depth(self, venue: Venue, symbol: str, mirrored: MirroredSymbol, event: Mapping[str, Any]) -> None:
        try:
            changed = mirrored.depth.update(event)
        except DepthGapError as gap:
            self.gaps += 1
            log.warning("%s: %s; fetching the book again", symbol, gap)
            self._doubt(symbol)
            changed = None
        if not mirrored.depth.synced:
            self._sync(symbol)
        elif changed is not None:
            bids, asks = changed
            venue.change_depth(symbol, *mirrored.with_restored(venue.markets[symbol].book, bids, asks))

    def _trade(self, venue: Venue, symbol: str, mirrored: MirroredSymbol, event: Mapping[str, Any]) -> None:
        number = int(event[self._market.trade_number])
        if number <= mirrored.last_trade_id or not mirrored.depth.synced:
            return
        mirrored.last_trade_id = number
        market = venue.markets[symbol]
        market.next_trade_id = max(market.next_trade_id, number)
        # `nq` leaves out what retail price improvement orders traded: the book does not show those.
        venue.print_trade(
            symbol,
            amount_of(event["p"]),
            amount_of(event["q"]),
            buyer_is_maker=bool(event["m"]),
            reaching=amount_of(event.get("nq", event["q"])),
        )

    def _kline(self, venue: Venue, symbol: str, k: Mapping[str, Any]) -> None:
        bar = Kline(
            int(k["t"]), float(k["o"]), float(k["h"]), float(k["l"]), float(k["c"]), float(k["v"]),
            float(k["q"]), int(k["n"]), float(k["V"]), float(k["Q"]),
        )  # fmt: skip
        if bar.open_ms <= _last_closed(venue, symbol):
            return
        before = venue.markets[symbol].klines.forming
        if before is not None and before.open_ms < bar.open_ms:
            # The newest candle of a REST answer may have been complete, which that answer does not say.
            venue.close_bar(symbol, before, before.open_ms + 60_000)
        if k["x"]:
            venue.close_bar(symbol, bar, bar.open_ms + 60_000)
        else:
            venue.set_forming(symbol, bar)

    # --- staying in step -----------------------------------------------------------------------------------
    def _opened(self) -> None:
        """A connection speaks: fetch the books that are not in step."""
        for symbol, mirrored in self._symbols.items():
            if not mirrored.depth.synced:
                self._sync(symbol)

    def _lost(self) -> None:
        """A connection is gone: every copy is in doubt, and what is fetched already too."""
        for symbol, mirrored in self._symbols.items():
            mirrored.depth.forget()
            if mirrored.syncing is not None:
                mirrored.syncing.cancel()
                mirrored.syncing = None
            self._doubt(symbol)

    def _doubt(self, symbol: str) -> None:
        assert self._venue is not None
        self._venue.markets[symbol].status = "BREAK"

    def _sync(self, symbol: str) -> None:
        """Fetch the symbol's snapshot, unless that is under way or a connection is missing."""
        mirrored = self._symbols[symbol]
        if not all(connection.speaks for connection in self._connections):
            return
        if mirrored.syncing is None or mirrored.syncing.done():
            mirrored.syncing = asyncio.create_task(self._fetch_book(symbol, mirrored))

    async def _fetch_book(self, symbol: str, mirrored: MirroredSymbol) -> None:
        assert self._venue is not None
        venue = self._venue
        candles: list[list[Any]] = []
        while not mirrored.depth.synced:
            try:
                last = _last_closed(venue, symbol)
                candles = await self._upstream.candles_since(symbol, last + 60_000) if last else []
                if mirrored.depth.snapshot(await self._upstream.depth(symbol)):
                    break
            except (QtmError, DepthGapError) as error:
                log.warning("%s: %s", symbol, error)
            await asyncio.sleep(SNAPSHOT_PAUSE_S)
        newer = [bar for bar in map(_candle, candles) if bar.open_ms > _last_closed(venue, symbol)]
        for bar in newer[:-1]:
            venue.close_bar(symbol, bar, bar.open_ms + 60_000)
        if newer:
            venue.set_forming(symbol, newer[-1])
        mirrored.taken.clear()
        venue.set_depth(symbol, mirrored.depth.bids.items(), mirrored.depth.asks.items())
        venue.markets[symbol].status = str(mirrored.listing["status"])
        log.info("%s: in step at update %s", symbol, mirrored.depth.last_id)

    async def _watch_listings(self) -> None:
        """Take over what changes in the symbols' status and filters."""
        assert self._venue is not None
        while True:
            await asyncio.sleep(self._listing_every_s)
            try:
                listings = await self._upstream.listings_now(list(self._symbols))
            except QtmError as error:
                log.warning("the listing cannot be looked at again: %s", error)
                continue
            for symbol, listing in listings.items():
                self._relist(symbol, listing)

    def _relist(self, symbol: str, listing: Mapping[str, Any]) -> None:
        assert self._venue is not None
        mirrored = self._symbols[symbol]
        before, mirrored.listing = mirrored.listing, listing
        if {**listing, "status": ""} != {**before, "status": ""}:
            log.info("%s: the listing has changed", symbol)
            self._side.relist(self._venue, symbol, listing)
        if listing["status"] != before["status"]:
            log.info("%s: %s after %s", symbol, listing["status"], before["status"])
            if mirrored.depth.synced:
                self._venue.markets[symbol].status = str(listing["status"])


def _last_closed(venue: Venue, symbol: str) -> int:
    """Open time of the newest closed candle, 0 without one."""
    klines = venue.markets[symbol].klines
    return int(klines.times[klines.count - 1]) if klines.count else 0


def _candle(row: Sequence[Any]) -> Kline:
    """A row of GET klines."""
    return Kline(
        int(row[0]), float(row[1]), float(row[2]), float(row[3]), float(row[4]), float(row[5]), float(row[7]),
        int(row[8]), float(row[9]), float(row[10]),
    )  # fmt: skip


def _check_url(url: str, schemes: tuple[str, ...], option: str) -> None:
    if not url.startswith(schemes):
        raise ConfigError(
            f"{url!r} is no address of a venue", where=option, remedy=f"begin with {' or '.join(schemes)}"
        )
