"""Futures market streams: what is published when trades, books, candles and mark prices change."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from qtm.paper.exchange import SLOW_MS
from qtm.paper.klines import INTERVAL_MS, Kline, bucket_end, bucket_start
from qtm.paper.streams import StreamHub
from qtm.paper.um.market_data import UmMarketData, agg_trade, best, levels
from qtm.paper.um.venue import UmVenue
from qtm.paper.venue import MarketTrade, SymbolMarket
from qtm.paper.wire import dumps

DEPTH_SPEEDS = ("", "@0ms", "@100ms", "@250ms", "@500ms")


@dataclass
class _State:
    bids: set[int] = field(default_factory=set)
    asks: set[int] = field(default_factory=set)
    published: int = 0
    best: tuple[str, ...] = ()


class UmStreams:
    """Publishes a venue's market data; every depth speed is served at 100 ms, slow streams each second."""

    def __init__(self, venue: UmVenue, hub: StreamHub, data: UmMarketData) -> None:
        self.venue = venue
        self.hub = hub
        self.data = data
        self._states: dict[str, _State] = {}
        self._flushed_ms = 0

    def traded(self, market: SymbolMarket, trade: MarketTrade) -> None:
        """Publish @trade and @aggTrade."""
        subject, symbol = market.symbol.lower(), self.venue.symbols[market.symbol]
        names, now = self.hub.names(subject), trade.time_us // 1000
        if f"{subject}@aggTrade" in names:
            self._publish(
                f"{subject}@aggTrade",
                {"e": "aggTrade", "E": now, "s": market.symbol, **agg_trade(symbol, trade)},
            )
        if f"{subject}@trade" in names:
            event = {
                "e": "trade", "E": now, "T": now, "s": market.symbol, "t": trade.id,
                "p": symbol.price(trade.price), "q": symbol.qty(trade.qty), "X": "MARKET",
                "m": trade.buyer_is_maker,
            }  # fmt: skip
            self._publish(f"{subject}@trade", event)

    def book_changed(self, market: SymbolMarket) -> None:
        """Publish @bookTicker when the best changed; remember depth changes."""
        state, book = self._state(market), market.book
        state.bids |= book.bids.touched
        state.asks |= book.asks.touched
        book.bids.touched.clear()
        book.asks.touched.clear()
        names = [f"{market.symbol.lower()}@bookTicker", "!bookTicker"]
        if not any(self.hub.wants(name) for name in names):
            return
        now, top = self.venue.clock.now_ms(), best(market, self.venue.symbols[market.symbol])
        if top != state.best:
            state.best = top
            event = {
                "e": "bookTicker", "u": book.update_id, "E": now, "T": now, "s": market.symbol,
                "b": top[0], "B": top[1], "a": top[2], "A": top[3],
            }  # fmt: skip
            for name in names:
                self._publish(name, event)

    def bar_changed(
        self, market: SymbolMarket, bar: Kline, *, closed: bool, next_open_ms: int | None
    ) -> None:
        """Publish every subscribed @kline of the symbol."""
        subject, base = market.symbol.lower(), market.klines.interval
        marker = f"{subject}@kline_"
        for name in [n for n in self.hub.names(subject) if n.startswith(marker)]:
            interval = name[len(marker) :]
            if interval not in INTERVAL_MS or not market.klines.serves(interval):
                continue
            row = bar if interval == base else market.klines.rows(interval, 1)[-1]
            following = next_open_ms if next_open_ms is not None else bucket_end(bar.open_ms, base)
            ends = bucket_start(following, interval) != bucket_start(bar.open_ms, interval)
            self._publish(
                name, self._kline(market, row, interval, final=closed and (interval == base or ends))
            )

    def clock_moved(self, now_ms: int) -> None:
        """Replay time moved: publish what a second owes."""
        if now_ms - self._flushed_ms >= SLOW_MS:
            self._flushed_ms = now_ms
            self.flush(SLOW_MS)

    def flush(self, cadence: int) -> None:
        """Publish depth; with the slow cadence also tickers and mark prices."""
        for market in self.venue.markets.values():
            self._depth(market)
            if cadence == SLOW_MS and self.hub.names(market.symbol.lower()):
                self._slow(market)
        if cadence == SLOW_MS:
            for name, view in (
                ("!markPrice@arr", self._mark), ("!miniTicker@arr", self._mini),
                ("!ticker@arr", self._ticker),
            ):  # fmt: skip
                for full in (name, f"{name}@1s"):
                    if self.hub.wants(full):
                        self._publish(full, [view(market) for market in self.venue.markets.values()])

    def _depth(self, market: SymbolMarket) -> None:
        state, book, subject = self._state(market), market.book, market.symbol.lower()
        if not state.bids and not state.asks:
            return
        symbol, now = self.venue.symbols[market.symbol], self.venue.clock.now_ms()
        head: dict[str, Any] = {
            "e": "depthUpdate", "E": now, "T": now, "s": market.symbol, "U": state.published + 1,
            "u": book.update_id, "pu": state.published,
        }  # fmt: skip
        if any("@depth" in name for name in self.hub.names(subject)):
            bids = sorted(state.bids, reverse=True)
            changes = {
                "b": [[symbol.price(p), symbol.qty(book.bids.quantity(p))] for p in bids],
                "a": [[symbol.price(p), symbol.qty(book.asks.quantity(p))] for p in sorted(state.asks)],
            }
            for speed in DEPTH_SPEEDS:
                self._publish(f"{subject}@depth{speed}", {**head, **changes})
                for count in (5, 10, 20):
                    if self.hub.wants(f"{subject}@depth{count}{speed}"):
                        top = levels(market, symbol, count)
                        part = {**head, "b": top["bids"], "a": top["asks"]}
                        self._publish(f"{subject}@depth{count}{speed}", part)
        state.published = book.update_id
        state.bids.clear()
        state.asks.clear()

    def _slow(self, market: SymbolMarket) -> None:
        subject = market.symbol.lower()
        for kind, view in (("markPrice", self._mark), ("markPrice@1s", self._mark),
                           ("miniTicker", self._mini),
                           ("ticker", self._ticker)):  # fmt: skip
            if self.hub.wants(f"{subject}@{kind}"):
                self._publish(f"{subject}@{kind}", view(market))

    def _mark(self, market: SymbolMarket) -> dict[str, Any]:
        row = self.data.premium(market)
        return {
            "e": "markPriceUpdate", "E": row["time"], "s": market.symbol, "p": row["markPrice"],
            "ap": row["markPrice"], "P": row["estimatedSettlePrice"], "i": row["indexPrice"],
            "r": row["lastFundingRate"], "T": row["nextFundingTime"],
        }  # fmt: skip

    def _mini(self, market: SymbolMarket) -> dict[str, Any]:
        day = self.data.day(market)
        return {
            "e": "24hrMiniTicker", "E": day["closeTime"], "s": market.symbol, "c": day["lastPrice"],
            "o": day["openPrice"], "h": day["highPrice"], "l": day["lowPrice"], "v": day["volume"],
            "q": day["quoteVolume"],
        }  # fmt: skip

    def _ticker(self, market: SymbolMarket) -> dict[str, Any]:
        day = self.data.day(market)
        return {
            "e": "24hrTicker", "E": day["closeTime"], "s": market.symbol, "p": day["priceChange"],
            "P": day["priceChangePercent"], "w": day["weightedAvgPrice"], "c": day["lastPrice"],
            "Q": day["lastQty"], "o": day["openPrice"], "h": day["highPrice"], "l": day["lowPrice"],
            "v": day["volume"], "q": day["quoteVolume"], "O": day["openTime"], "C": day["closeTime"],
            "F": day["firstId"], "L": day["lastId"], "n": day["count"],
        }  # fmt: skip

    def _kline(self, market: SymbolMarket, bar: Kline, interval: str, *, final: bool) -> dict[str, Any]:
        symbol, last = self.venue.symbols[market.symbol], market.next_trade_id - 1 or -1
        p, q = symbol.price_places, symbol.qty_places
        return {
            "e": "kline", "E": self.venue.clock.now_ms(), "s": market.symbol,
            "k": {
                "t": bar.open_ms, "T": bucket_end(bar.open_ms, interval) - 1, "s": market.symbol,
                "i": interval, "f": max(last - max(bar.trades - 1, 0), -1), "L": last,
                "o": f"{bar.open:.{p}f}",
                "c": f"{bar.close:.{p}f}", "h": f"{bar.high:.{p}f}", "l": f"{bar.low:.{p}f}",
                "v": f"{bar.volume:.{q}f}", "n": bar.trades, "x": final, "q": f"{bar.quote_volume:.5f}",
                "V": f"{bar.taker_base:.{q}f}", "Q": f"{bar.taker_quote:.5f}", "B": "0",
            },
        }  # fmt: skip

    def _state(self, market: SymbolMarket) -> _State:
        state = self._states.get(market.symbol)
        if state is None:
            state = self._states[market.symbol] = _State(published=market.book.update_id - 1)
        return state

    def _publish(self, name: str, event: Any) -> None:
        if self.hub.wants(name):
            self.hub.publish(name, dumps(event))
