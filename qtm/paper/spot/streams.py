"""Spot market streams: what is published when trades, books and candles change."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from qtm.paper.klines import INTERVAL_MS, Kline, bucket_end, bucket_start
from qtm.paper.publication import FAST_MS, SLOW_MS
from qtm.paper.spot.market_data import depth_snapshot
from qtm.paper.spot.stream_payloads import (
    block_payload,
    full_ticker,
    kline_payload,
    mini_ticker,
    trade_payload,
    window_ticker,
)
from qtm.paper.spot.venue import SpotVenue
from qtm.paper.streams import StreamHub
from qtm.paper.venue import MarketTrade, SymbolMarket
from qtm.paper.wire import dumps, text_of

_WINDOWS = ("1h", "4h", "1d")


@dataclass
class _Pending:
    """Book changes of one symbol not yet published at one cadence."""

    bids: set[int] = field(default_factory=set)
    asks: set[int] = field(default_factory=set)
    last_update_id: int = 0


@dataclass
class _SymbolState:
    cadences: dict[int, _Pending] = field(default_factory=lambda: {FAST_MS: _Pending(), SLOW_MS: _Pending()})
    best: tuple[int, int, int, int] = (0, 0, 0, 0)
    traded: bool = False


class SpotStreams:
    """Publishes a venue's market data to a hub; `flush` is called by `qtm.paper.publication`."""

    def __init__(self, venue: SpotVenue, hub: StreamHub) -> None:
        self.venue = venue
        self.hub = hub
        self._states: dict[str, _SymbolState] = {}
        venue.block_listeners.append(self.block_traded)

    # --- listener ------------------------------------------------------------------------------------------
    def traded(self, market: SymbolMarket, trade: MarketTrade) -> None:
        """Publish @trade and @aggTrade."""
        self._state(market).traded = True
        subject = market.symbol.lower()
        names = self.hub.names(subject)
        if not names:
            return
        for name in (f"{subject}@trade", f"{subject}@aggTrade"):
            if name in names:
                for div in self.hub.divisors(name):
                    self.hub.publish(
                        name, dumps(trade_payload(market, trade, div, name.endswith("@aggTrade"))), div
                    )

    def block_traded(self, market: SymbolMarket, trade: MarketTrade) -> None:
        """Publish @blockTrade."""
        name = f"{market.symbol.lower()}@blockTrade"
        for div in self.hub.divisors(name):
            self.hub.publish(name, dumps(block_payload(market, trade, div)), div)

    def book_changed(self, market: SymbolMarket) -> None:
        """Publish @bookTicker when the best changed; remember depth changes."""
        state = self._state(market)
        book = market.book
        for pending in state.cadences.values():
            pending.bids |= book.bids.touched
            pending.asks |= book.asks.touched
        book.bids.touched.clear()
        book.asks.touched.clear()
        subject = market.symbol.lower()
        if f"{subject}@bookTicker" not in self.hub.names(subject):
            return
        bid, ask = book.bids.best(), book.asks.best()
        best = (
            bid[0] if bid else 0,
            bid[1].quantity if bid else 0,
            ask[0] if ask else 0,
            ask[1].quantity if ask else 0,
        )
        if best != state.best:
            state.best = best
            payload = {
                "u": book.update_id, "s": market.symbol,
                "b": text_of(best[0]), "B": text_of(best[1]), "a": text_of(best[2]), "A": text_of(best[3]),
            }  # fmt: skip
            for div in self.hub.divisors(f"{subject}@bookTicker"):
                self.hub.publish(f"{subject}@bookTicker", dumps(payload), div)

    def bar_changed(
        self, market: SymbolMarket, bar: Kline, *, closed: bool, next_open_ms: int | None
    ) -> None:
        """Publish every subscribed @kline of the symbol."""
        subject = market.symbol.lower()
        marker = f"{subject}@kline_"
        for name in [n for n in self.hub.names(subject) if n.startswith(marker)]:
            interval, _, zone = name[len(marker) :].partition("@")
            zone_ms = _zone_ms(zone)
            if interval not in INTERVAL_MS or zone_ms is None or not market.klines.serves(interval):
                continue
            row = (
                bar
                if interval == market.klines.interval
                else market.klines.rows(interval, 1, zone_ms=zone_ms)[-1]
            )
            final = closed and _ends(market, bar, interval, zone_ms, next_open_ms)
            for div in self.hub.divisors(name):
                now = self.venue.clock.now_us() // div
                payload = kline_payload(market, row, interval, zone_ms, now, div, final=final)
                self.hub.publish(name, dumps(payload), div)

    def clock_moved(self, now_ms: int) -> None:
        """What time owes is asked for by `flush`."""

    # --- periodic ------------------------------------------------------------------------------------------
    def flush(self, cadence: int, *, leapt: bool = False) -> Iterator[None]:
        """Publish depth at a cadence, and (each second) tickers and averages; yields after every symbol."""
        if cadence == SLOW_MS:
            self._all_markets()
        for market in self.venue.markets.values():
            state = self._state(market)
            names = self.hub.names(market.symbol.lower())
            self._depth(market, state.cadences[cadence], names, cadence)
            if cadence == SLOW_MS and state.traded:
                state.traded = False
                if names:
                    self._tickers(market, names)
            yield

    def _depth(self, market: SymbolMarket, pending: _Pending, names: set[str], cadence: int) -> None:
        book, subject = market.book, market.symbol.lower()
        if not pending.bids and not pending.asks:
            return
        first = pending.last_update_id + 1
        pending.last_update_id = book.update_id
        suffix = "@100ms" if cadence == FAST_MS else ""
        diff = f"{subject}@depth{suffix}"
        if names and (diff in names or any(n.startswith(f"{subject}@depth") for n in names)):
            aliases = [diff] if suffix else [diff, f"{diff}@1000ms"]
            for name in aliases:
                for div in self.hub.divisors(name):
                    payload = {
                        "e": "depthUpdate",
                        "E": self.venue.clock.now_us() // div,
                        "s": market.symbol,
                        "U": first,
                        "u": book.update_id,
                        "b": [
                            [text_of(p), text_of(book.bids.quantity(p))]
                            for p in sorted(pending.bids, reverse=True)
                        ],
                        "a": [[text_of(p), text_of(book.asks.quantity(p))] for p in sorted(pending.asks)],
                    }
                    self.hub.publish(name, dumps(payload), div)
            for levels in (5, 10, 20):
                partials = [f"{subject}@depth{levels}{suffix}"]
                if not suffix:
                    partials.append(f"{subject}@depth{levels}@1000ms")
                for name in partials:
                    for div in self.hub.divisors(name):
                        self.hub.publish(name, dumps(depth_snapshot(market, levels)), div)
        pending.bids.clear()
        pending.asks.clear()

    def _tickers(self, market: SymbolMarket, names: set[str]) -> None:
        subject = market.symbol.lower()
        now_ms = self.venue.clock.now_ms()
        for name in names:
            kind = name.partition("@")[2]
            for div in self.hub.divisors(name):
                payload: dict[str, Any] | None = None
                if kind == "miniTicker":
                    payload = mini_ticker(market, now_ms, div)
                elif kind == "ticker":
                    payload = full_ticker(market, now_ms, div)
                elif kind.startswith("ticker_") and kind[7:] in _WINDOWS:
                    payload = window_ticker(market, now_ms, div, kind[7:])
                elif kind == "avgPrice":
                    payload = {
                        "e": "avgPrice", "E": now_ms * 1000 // div, "s": market.symbol, "i": "5m",
                        "w": text_of(self.venue.reference_price(market, 5)),
                        "T": (market.tape[-1].time_us if market.tape else now_ms * 1000) // div,
                    }  # fmt: skip
                elif kind == "referencePrice":
                    payload = {
                        "e": "referencePrice", "s": market.symbol,
                        "r": text_of(self.venue.reference_price(market, 5)), "t": now_ms * 1000 // div,
                    }  # fmt: skip
                if payload is not None:
                    self.hub.publish(f"{subject}@{kind}", dumps(payload), div)

    def _all_markets(self) -> None:
        now_ms = self.venue.clock.now_ms()
        changed = [m for m in self.venue.markets.values() if self._state(m).traded]
        if not changed:
            return
        for name in ("!miniTicker@arr", "!miniTicker@arr@1000ms"):
            for div in self.hub.divisors(name):
                self.hub.publish(name, dumps([mini_ticker(m, now_ms, div) for m in changed]), div)
        for window in _WINDOWS:
            name = f"!ticker_{window}@arr"
            for div in self.hub.divisors(name):
                self.hub.publish(name, dumps([window_ticker(m, now_ms, div, window) for m in changed]), div)

    def _state(self, market: SymbolMarket) -> _SymbolState:
        state = self._states.get(market.symbol)
        if state is None:
            state = self._states[market.symbol] = _SymbolState()
            for pending in state.cadences.values():
                pending.last_update_id = market.book.update_id - 1
        return state


def _ends(market: SymbolMarket, bar: Kline, interval: str, zone_ms: int, next_open_ms: int | None) -> bool:
    if interval == market.klines.interval:
        return True
    start = bucket_start(bar.open_ms, interval, zone_ms)
    following = next_open_ms if next_open_ms is not None else bucket_end(bar.open_ms, market.klines.interval)
    return bucket_start(following, interval, zone_ms) != start


def _zone_ms(text: str) -> int | None:
    if not text:
        return 0
    sign = -1 if text[0] == "-" else 1
    hours, _, minutes = text.lstrip("+-").partition(":")
    if not hours.isdigit() or (minutes and not minutes.isdigit()):
        return None
    return sign * (int(hours) * 60 + int(minutes or 0)) * 60_000
