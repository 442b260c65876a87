"""Public answers of the futures market."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtm.paper.errors import ApiError
from qtm.paper.gateway import Call
from qtm.paper.klines import INTERVAL_MS, Kline, bucket_end
from qtm.paper.params import Params
from qtm.paper.um.funding import INTEREST
from qtm.paper.um.symbols import UmSymbol, fixed
from qtm.paper.um.venue import UmVenue
from qtm.paper.venue import MarketTrade, SymbolMarket
from qtm.paper.wire import E8, text_of

DAY_MS = 86_400_000


class UmMarketData:
    """Market queries of one venue."""

    def __init__(self, venue: UmVenue, server_time_us: Callable[[], int]) -> None:
        self.venue = venue
        self.server_time_us = server_time_us

    def ping(self, call: Call) -> dict[str, Any]:
        """GET ping."""
        return {}

    def time(self, call: Call) -> dict[str, Any]:
        """GET time: the wall clock, which is what timestamps are checked against."""
        return {"serverTime": self.server_time_us() // 1000}

    def exchange_info(self, call: Call) -> dict[str, Any]:
        """GET exchangeInfo."""
        assets = sorted({symbol.asset for symbol in self.venue.symbols.values()})
        return {
            "timezone": "UTC",
            "serverTime": self.server_time_us() // 1000,
            "futuresType": "U_MARGINED",
            "rateLimits": [limit.public() for limit in self.venue.rate_limits],
            "exchangeFilters": [],
            "assets": [
                {"asset": asset, "marginAvailable": True, "autoAssetExchange": "-10000"} for asset in assets
            ],
            "symbols": [
                symbol.public(self.venue.markets[name].status) for name, symbol in self.venue.symbols.items()
            ],
        }

    def depth(self, call: Call) -> dict[str, Any]:
        """GET depth."""
        market = self._market(call.params)
        limit = call.params.integer("limit", 500)
        if limit not in (5, 10, 20, 50, 100, 500, 1000):
            raise ApiError(-4021, f"{limit} is not valid depth limit.")
        now = self.venue.clock.now_ms()
        symbol = self.venue.symbols[market.symbol]
        return {"lastUpdateId": market.book.update_id, "E": now, "T": now, **levels(market, symbol, limit)}

    def trades(self, call: Call) -> list[dict[str, Any]]:
        """GET trades, historicalTrades."""
        market, params = self._market(call.params), call.params
        since, limit = params.integer("fromId"), params.limit(500, 1000)
        rows = [t for t in market.tape if since is None or t.id >= since]
        symbol = self.venue.symbols[market.symbol]
        return [
            {
                "id": t.id, "price": symbol.price(t.price), "qty": symbol.qty(t.qty),
                "quoteQty": fixed(t.quote, symbol.price_places), "time": t.time_us // 1000,
                "isBuyerMaker": t.buyer_is_maker, "isRPITrade": False,
            }
            for t in (rows[:limit] if since is not None else rows[-limit:])
        ]  # fmt: skip

    def agg_trades(self, call: Call) -> list[dict[str, Any]]:
        """GET aggTrades; every print of the tape is an aggregate of its own."""
        market, params = self._market(call.params), call.params
        since, limit = params.integer("fromId"), params.limit(500, 1000)
        start, end = params.integer("startTime"), params.integer("endTime")
        rows = [
            t
            for t in market.tape
            if (since is None or t.id >= since)
            and (start is None or t.time_us >= start * 1000)
            and (end is None or t.time_us <= end * 1000)
        ]
        oldest = since is not None or start is not None
        symbol = self.venue.symbols[market.symbol]
        return [agg_trade(symbol, t) for t in (rows[:limit] if oldest else rows[-limit:])]

    def klines(self, call: Call) -> list[list[Any]]:
        """GET klines, continuousKlines."""
        return [kline_row(self.venue.symbols[m.symbol], row, i) for m, i, row in self._rows(call)]

    def mark_klines(self, call: Call) -> list[list[Any]]:
        """GET markPriceKlines, indexPriceKlines: the traded prices, which mark and index follow here."""
        shown = []
        for market, interval, row in self._rows(call):
            full = kline_row(self.venue.symbols[market.symbol], row, interval)
            shown.append([*full[:5], "0", full[6], "0", full[8], "0", "0", "0"])
        return shown

    def premium_index(self, call: Call) -> Any:
        """GET premiumIndex."""
        return self._each(call.params, self.premium)

    def premium(self, market: SymbolMarket) -> dict[str, Any]:
        """Mark price and funding of one symbol."""
        funding, now = self.venue.funding, self.venue.clock.now_ms()
        mark = text_of(self.venue.mark(market.symbol))
        return {
            "symbol": market.symbol, "markPrice": mark, "indexPrice": mark, "estimatedSettlePrice": mark,
            "lastFundingRate": text_of(funding.last_rate(market.symbol)), "interestRate": text_of(INTEREST),
            "nextFundingTime": funding.next_time(market.symbol, now), "time": now,
        }  # fmt: skip

    def funding_rate(self, call: Call) -> list[dict[str, Any]]:
        """GET fundingRate: settlements that have happened."""
        params = call.params
        name = params.text("symbol")
        start, end = params.integer("startTime"), params.integer("endTime")
        limit = params.limit(100, 1000)
        if name is not None:
            self.venue.symbol(name)
        rows = sorted(
            (
                settled
                for symbol, past in self.venue.funding.settled.items()
                if name in (None, symbol)
                for settled in past
                if (start is None or settled.event.time_ms >= start)
                and (end is None or settled.event.time_ms <= end)
            ),
            key=lambda settled: settled.event.time_ms,
        )
        return [
            {
                "symbol": s.event.symbol, "fundingTime": s.event.time_ms,
                "fundingRate": text_of(s.event.rate),
                "markPrice": text_of(s.mark) if s.mark else "",
            }
            for s in (rows[:limit] if start is not None else rows[-limit:])
        ]  # fmt: skip

    def funding_info(self, call: Call) -> list[dict[str, Any]]:
        """GET fundingInfo: symbols whose interval is not eight hours."""
        hours = {name: self.venue.funding.interval_hours(name) for name in self.venue.symbols}
        return [
            {
                "symbol": name, "adjustedFundingRateCap": "0.02000000",
                "adjustedFundingRateFloor": "-0.02000000", "fundingIntervalHours": interval,
                "disclaimer": False,
            }
            for name, interval in hours.items()
            if interval != 8
        ]  # fmt: skip

    def price(self, call: Call) -> Any:
        """GET ticker/price."""
        return self._each(
            call.params,
            lambda m: {
                "symbol": m.symbol, "price": self.venue.symbols[m.symbol].price(m.last_price),
                "time": self.venue.clock.now_ms(),
            },
        )  # fmt: skip

    def book_ticker(self, call: Call) -> Any:
        """GET ticker/bookTicker."""

        def view(market: SymbolMarket) -> dict[str, Any]:
            b, B, a, A = best(market, self.venue.symbols[market.symbol])
            return {
                "symbol": market.symbol, "bidPrice": b, "bidQty": B, "askPrice": a, "askQty": A,
                "time": self.venue.clock.now_ms(), "lastUpdateId": market.book.update_id,
            }  # fmt: skip

        return self._each(call.params, view)

    def ticker(self, call: Call) -> Any:
        """GET ticker/24hr."""
        return self._each(call.params, self.day)

    def day(self, market: SymbolMarket) -> dict[str, Any]:
        """Rolling statistics of one symbol over 24 hours."""
        symbol, now = self.venue.symbols[market.symbol], self.venue.clock.now_ms()
        last = market.last_price / E8
        whole = market.klines.window(now - DAY_MS) or Kline(
            now, last, last, last, last, 0.0, 0.0, 0, 0.0, 0.0
        )
        places, change = symbol.price_places, whole.close - whole.open
        average = whole.quote_volume / whole.volume if whole.volume else whole.close
        return {
            "symbol": market.symbol,
            "priceChange": f"{change:.{places}f}",
            "priceChangePercent": f"{100 * change / whole.open if whole.open else 0.0:.3f}",
            "weightedAvgPrice": f"{average:.{places}f}",
            "lastPrice": f"{whole.close:.{places}f}",
            "lastQty": symbol.qty(market.tape[-1].qty if market.tape else 0),
            "openPrice": f"{whole.open:.{places}f}",
            "highPrice": f"{whole.high:.{places}f}",
            "lowPrice": f"{whole.low:.{places}f}",
            "volume": f"{whole.volume:.{symbol.qty_places}f}",
            "quoteVolume": f"{whole.quote_volume:.{places}f}",
            "openTime": now - DAY_MS,
            "closeTime": now,
            "firstId": market.tape[0].id if market.tape else -1,
            "lastId": market.tape[-1].id if market.tape else -1,
            "count": whole.trades,
        }

    def _rows(self, call: Call) -> list[tuple[SymbolMarket, str, Kline]]:
        params = call.params
        pair = params.text("pair")
        if pair is not None:
            params.text("contractType")
            self.venue.symbol(pair)
        market = self.venue.markets[pair] if pair is not None else self._market(params)
        interval = params.required("interval")
        if interval not in INTERVAL_MS:
            raise ApiError(-1120, "Invalid interval.")
        start, end = params.integer("startTime"), params.integer("endTime")
        rows = market.klines.rows(interval, params.limit(500, 1500), start, end)
        return [(market, interval, row) for row in rows]

    def _market(self, params: Params) -> SymbolMarket:
        name = params.required("symbol")
        self.venue.symbol(name)
        return self.venue.markets[name]

    def _each(self, params: Params, view: Callable[[SymbolMarket], dict[str, Any]]) -> Any:
        name = params.text("symbol")
        if name is not None:
            self.venue.symbol(name)
            return view(self.venue.markets[name])
        return [view(market) for market in self.venue.markets.values()]


def levels(market: SymbolMarket, symbol: UmSymbol, limit: int) -> dict[str, Any]:
    """The best levels of both sides."""
    return {
        "bids": [[symbol.price(p), symbol.qty(q)] for p, q in market.book.bids.depth(limit)],
        "asks": [[symbol.price(p), symbol.qty(q)] for p, q in market.book.asks.depth(limit)],
    }


def best(market: SymbolMarket, symbol: UmSymbol) -> tuple[str, str, str, str]:
    """Best bid and ask with quantities, zero where a side is empty."""
    bid, ask = market.book.bids.best(), market.book.asks.best()
    return (
        symbol.price(bid[0] if bid else 0), symbol.qty(bid[1].quantity if bid else 0),
        symbol.price(ask[0] if ask else 0), symbol.qty(ask[1].quantity if ask else 0),
    )  # fmt: skip


def agg_trade(symbol: UmSymbol, t: MarketTrade) -> dict[str, Any]:
    """One aggregate trade."""
    return {
        "a": t.id, "p": symbol.price(t.price), "q": symbol.qty(t.qty), "nq": symbol.qty(t.qty), "f": t.id,
        "l": t.id, "T": t.time_us // 1000, "m": t.buyer_is_maker,
    }  # fmt: skip


def kline_row(symbol: UmSymbol, bar: Kline, interval: str) -> list[Any]:
    """One row of GET klines."""
    p, q = symbol.price_places, symbol.qty_places
    return [
        bar.open_ms, f"{bar.open:.{p}f}", f"{bar.high:.{p}f}", f"{bar.low:.{p}f}", f"{bar.close:.{p}f}",
        f"{bar.volume:.{q}f}", bucket_end(bar.open_ms, interval) - 1, f"{bar.quote_volume:.5f}", bar.trades,
        f"{bar.taker_base:.{q}f}", f"{bar.taker_quote:.5f}", "0",
    ]  # fmt: skip
