"""Futures market streams: what is published when trades, books, candles and mark prices change."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qtm.paper.klines import INTERVAL_MS, Kline, bucket_end, bucket_start
from qtm.paper.publication import FAST_MS
from qtm.paper.streams import StreamHub
from qtm.paper.um.aggregates import AggregateTrade
from qtm.paper.um.depth_streams import DepthStreams
from qtm.paper.um.market_data import UmMarketData, agg_trade, best
from qtm.paper.um.orders import UmOrder
from qtm.paper.um.venue import UmVenue
from qtm.paper.venue import MarketTrade, SymbolMarket
from qtm.paper.wire import E8, dumps, text_of

MARK_PRICE_S = 3
"""Seconds between two events of `@markPrice`; `@markPrice@1s` has one each second."""


class UmStreams:
    """Publishes a venue's market data (a `MarketListener` and `LiquidationWatcher`)."""

    def __init__(self, venue: UmVenue, hub: StreamHub, data: UmMarketData) -> None:
        self.venue = venue
        self.hub = hub
        self.data = data
        self.depth = DepthStreams(venue, hub)
        self._best: dict[str, tuple[str, ...]] = {}
        self._liquidated: dict[str, dict[str, Any]] = {}
        self._statuses: dict[str, str] = {}
        self._brackets: dict[str, Any] = {}
        self._seconds = 0

    # --- as it happens -------------------------------------------------------------------------------------
    def traded(self, market: SymbolMarket, trade: MarketTrade) -> None:
        """Publish @trade."""
        self.handed_over(market, trade, "MARKET")

    def handed_over(self, market: SymbolMarket, trade: MarketTrade, kind: str) -> None:
        """Publish @trade for a trade of a kind: MARKET, INSURANCE_FUND or ADL."""
        name = f"{market.symbol.lower()}@trade"
        if not self.hub.wants(name):
            return
        now, symbol = trade.time_us // 1000, self.venue.symbols[market.symbol]
        event = {
            "e": "trade", "E": now, "T": now, "s": market.symbol, "t": trade.id,
            "p": symbol.price(trade.price), "q": symbol.qty(trade.qty), "X": kind, "m": trade.buyer_is_maker,
        }  # fmt: skip
        self._publish(name, event)

    def aggregated(self, market: SymbolMarket, trade: AggregateTrade) -> None:
        """Publish @aggTrade."""
        name = f"{market.symbol.lower()}@aggTrade"
        if self.hub.wants(name):
            row = agg_trade(self.venue.symbols[market.symbol], trade)
            event = {"e": "aggTrade", "E": self.venue.clock.now_ms(), "a": row.pop("a"), "s": market.symbol}
            self._publish(name, {**event, **row})

    def liquidated(self, order: UmOrder) -> None:
        """Remember the latest liquidation order of a symbol: one is published each second at most."""
        symbol = self.venue.symbols[order.symbol]
        last = symbol.qty(order.executed)
        self._liquidated[order.symbol] = {
            "s": order.symbol, "S": "BUY" if order.buy else "SELL", "o": "LIMIT", "f": "IOC",
            "q": symbol.qty(order.qty), "p": symbol.price(order.price), "ap": symbol.price(order.average),
            "X": order.status, "l": last, "z": last, "T": order.update_us // 1000,
        }  # fmt: skip

    def book_changed(self, market: SymbolMarket) -> None:
        """Publish @bookTicker when the best changed; remember depth changes."""
        self.depth.changed(market)
        names = [f"{market.symbol.lower()}@bookTicker", "!bookTicker"]
        if not any(self.hub.wants(name) for name in names):
            return
        now, top = self.venue.clock.now_ms(), best(market, self.venue.symbols[market.symbol])
        if top != self._best.get(market.symbol):
            self._best[market.symbol] = top
            event = {
                "e": "bookTicker", "u": market.book.update_id, "s": market.symbol, "b": top[0], "B": top[1],
                "a": top[2], "A": top[3], "T": now, "E": now,
            }  # fmt: skip
            for name in names:
                self._publish(name, event)

    def bar_changed(
        self, market: SymbolMarket, bar: Kline, *, closed: bool, next_open_ms: int | None
    ) -> None:
        """Publish every subscribed @kline and @continuousKline of the symbol."""
        subject, base = market.symbol.lower(), market.klines.interval
        for full, name in self._candle_names(subject):
            kind, _, interval = name.partition("_")
            if interval not in INTERVAL_MS or not market.klines.serves(interval):
                continue
            row = bar if interval == base else market.klines.rows(interval, 1)[-1]
            following = next_open_ms if next_open_ms is not None else bucket_end(bar.open_ms, base)
            ends = bucket_start(following, interval) != bucket_start(bar.open_ms, interval)
            candle = self._candle(market, row, interval, final=closed and (interval == base or ends))
            now = self.venue.clock.now_ms()
            if kind == "kline":
                self._publish(full, {"e": "kline", "E": now, "s": market.symbol, "k": candle})
            else:
                del candle["s"]
                head = {"e": "continuous_kline", "E": now, "ps": market.symbol, "ct": "PERPETUAL"}
                self._publish(full, {**head, "k": candle})

    def clock_moved(self, now_ms: int) -> None:
        """What time owes is asked for by `flush`."""

    # --- what time owes ------------------------------------------------------------------------------------
    def flush(self, cadence: int, *, leapt: bool = False) -> Iterator[None]:
        """Publish depth and aggregates; with the slow cadence also tickers, mark prices and liquidations.

        Yields after every symbol. When market time has leapt, depth of every speed is due each second.
        """
        if cadence == FAST_MS:
            if not leapt:
                self.data.aggregates.flush()
                yield from self.depth.flush()
            return
        if leapt:
            yield from self.depth.flush(every=True)
        yield from self._second()

    def _second(self) -> Iterator[None]:
        self._seconds += 1
        markets = list(self.venue.markets.values())
        for market in markets:
            if self.hub.names(market.symbol.lower()):
                self._slow(market)
                yield
        for name, view in (("!miniTicker@arr", self._mini), ("!ticker@arr", self._ticker)):
            if self.hub.wants(name):
                self._publish(name, [view(market) for market in markets])
        for name in self._mark_names("!markPrice@arr"):
            if self.hub.wants(name):
                self._publish(name, [self._mark(market) for market in markets])
        if self.hub.wants("!assetIndex@arr"):
            self._publish("!assetIndex@arr", self._asset_indexes())
        self._liquidations()
        self._contracts()

    def _slow(self, market: SymbolMarket) -> None:
        subject = market.symbol.lower()
        for kind, view in (("miniTicker", self._mini), ("ticker", self._ticker)):
            if self.hub.wants(f"{subject}@{kind}"):
                self._publish(f"{subject}@{kind}", view(market))
        for name in self._mark_names(f"{subject}@markPrice"):
            if self.hub.wants(name):
                self._publish(name, self._mark(market))

    def _mark_names(self, stem: str) -> list[str]:
        """The mark price streams that have an event this second."""
        return [f"{stem}@1s", *([stem] if self._seconds % MARK_PRICE_S == 0 else [])]

    def _liquidations(self) -> None:
        for symbol, order in self._liquidated.items():
            event = {"e": "forceOrder", "E": self.venue.clock.now_ms(), "o": order}
            for name in (f"{symbol.lower()}@forceOrder", "!forceOrder@arr"):
                self._publish(name, event)
        self._liquidated.clear()

    def _contracts(self) -> None:
        """Publish !contractInfo for contracts whose status or brackets have changed."""
        for name, market in self.venue.markets.items():
            now = market.status, self.venue.symbols[name].brackets
            before = self._statuses.get(name), self._brackets.get(name)
            self._statuses[name], self._brackets[name] = now
            if before[0] is not None and before != now and self.hub.wants("!contractInfo"):
                self._publish("!contractInfo", self._contract(market))

    # --- payloads ------------------------------------------------------------------------------------------
    def _contract(self, market: SymbolMarket) -> dict[str, Any]:
        row = self.venue.symbols[market.symbol].public(market.status)
        brackets = self.venue.symbols[market.symbol].brackets
        lowest = [*(b.leverage for b in brackets[1:]), 0]
        return {
            "e": "contractInfo", "E": self.venue.clock.now_ms(), "s": market.symbol, "ps": row["pair"],
            "ct": row["contractType"], "dt": row["deliveryDate"], "ot": row["onboardDate"],
            "cs": market.status,
            "bks": [
                {
                    "bs": b.number, "bnf": b.floor // E8, "bnc": b.cap // E8, "mmr": b.rate / E8,
                    "cf": b.cum / E8, "mi": low + 1, "ma": b.leverage,
                }
                for b, low in zip(brackets, lowest, strict=True)
            ],
        }  # fmt: skip

    def _asset_indexes(self) -> list[dict[str, Any]]:
        return [
            {
                "e": "assetIndexUpdate", "E": row["time"], "s": row["symbol"], "i": row["index"],
                "b": row["bidBuffer"], "a": row["askBuffer"], "B": row["bidRate"], "A": row["askRate"],
                "q": row["autoExchangeBidBuffer"], "g": row["autoExchangeAskBuffer"],
                "Q": row["autoExchangeBidRate"], "G": row["autoExchangeAskRate"],
            }
            for row in self.data.asset_indexes()
        ]  # fmt: skip

    def _mark(self, market: SymbolMarket) -> dict[str, Any]:
        row, prices = self.data.premium(market), self.venue.prices.contracts[market.symbol]
        return {
            "e": "markPriceUpdate", "E": row["time"], "s": market.symbol, "p": row["markPrice"],
            "ap": text_of(prices.mean_mark()), "P": row["estimatedSettlePrice"], "i": row["indexPrice"],
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

    def _candle(self, market: SymbolMarket, bar: Kline, interval: str, *, final: bool) -> dict[str, Any]:
        symbol, last = self.venue.symbols[market.symbol], market.next_trade_id - 1 or -1
        p, q = symbol.price_places, symbol.qty_places
        return {
            "t": bar.open_ms, "T": bucket_end(bar.open_ms, interval) - 1, "s": market.symbol, "i": interval,
            "f": max(last - max(bar.trades - 1, 0), -1), "L": last, "o": f"{bar.open:.{p}f}",
            "c": f"{bar.close:.{p}f}", "h": f"{bar.high:.{p}f}", "l": f"{bar.low:.{p}f}",
            "v": f"{bar.volume:.{q}f}", "n": bar.trades, "x": final, "q": f"{bar.quote_volume:.5f}",
            "V": f"{bar.taker_base:.{q}f}", "Q": f"{bar.taker_quote:.5f}", "B": "0",
        }  # fmt: skip

    def _candle_names(self, subject: str) -> list[tuple[str, str]]:
        """(stream, what follows the @) of the candle streams of a symbol that somebody listens to."""
        found = []
        for owner in (subject, f"{subject}_perpetual"):
            kind = "kline_" if owner == subject else "continuousKline_"
            for full in list(self.hub.names(owner)):
                name = full.partition("@")[2]
                if name.startswith(kind):
                    found.append((full, name))
        return found

    def _publish(self, name: str, event: Any) -> None:
        if self.hub.wants(name):
            self.hub.publish(name, dumps(event))
