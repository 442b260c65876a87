"""Public answers of the futures market."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtm.paper.errors import ApiError, invalid_symbol
from qtm.paper.gateway import Call
from qtm.paper.klines import Kline
from qtm.paper.params import Params
from qtm.paper.um.account_history import Period
from qtm.paper.um.aggregates import Aggregates, AggregateTrade
from qtm.paper.um.asset_index import asset_index, asset_index_view
from qtm.paper.um.brackets import maintenance
from qtm.paper.um.mark_price import INTEREST
from qtm.paper.um.symbols import UmSymbol, fixed
from qtm.paper.um.venue import UmVenue
from qtm.paper.venue import SymbolMarket
from qtm.paper.wire import E8, text_of

DAY_MS = 86_400_000


class UmMarketData:
    """Market queries of one venue."""

    def __init__(self, venue: UmVenue, aggregates: Aggregates, server_time_us: Callable[[], int]) -> None:
        self.venue = venue
        self.aggregates = aggregates
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
        """GET aggTrades: prints at one price and side within 100 ms count as one."""
        market, params = self._market(call.params), call.params
        since, limit = params.integer("fromId"), params.limit(500, 1000)
        between = Period(params)
        rows = [
            t
            for t in self.aggregates.tape(market).rows()
            if (since is None or t.id >= since) and between(t.time_us)
        ]
        oldest = since is not None or between.begins
        symbol = self.venue.symbols[market.symbol]
        return [agg_trade(symbol, t) for t in (rows[:limit] if oldest else rows[-limit:])]

    # --- mark price and funding ----------------------------------------------------------------------------
    def premium_index(self, call: Call) -> Any:
        """GET premiumIndex."""
        return self._each(call.params, self.premium)

    def premium(self, market: SymbolMarket) -> dict[str, Any]:
        """Mark price and funding of one symbol."""
        venue, now, name = self.venue, self.venue.clock.now_ms(), market.symbol
        prices = venue.prices.contracts[name]
        index = text_of(prices.index or venue.mark(name))
        hours = venue.funding.interval_hours(name)
        return {
            "symbol": name, "markPrice": text_of(venue.mark(name)), "indexPrice": index,
            "estimatedSettlePrice": index, "lastFundingRate": text_of(venue.funding_rate(name)),
            "interestRate": text_of(INTEREST * hours // 8),
            "nextFundingTime": venue.funding.next_time(name, now), "time": now,
        }  # fmt: skip

    def funding_rate(self, call: Call) -> list[dict[str, Any]]:
        """GET fundingRate: settlements that have happened."""
        params = call.params
        name = params.text("symbol")
        between, limit = Period(params), params.limit(100, 1000)
        if name is not None:
            self.venue.symbol(name)
        rows = sorted(
            (
                settled
                for symbol, past in self.venue.funding.settled.items()
                if name in (None, symbol)
                for settled in past
                if between(settled.event.time_ms * 1000)
            ),
            key=lambda settled: settled.event.time_ms,
        )
        return [
            {
                "symbol": s.event.symbol, "fundingTime": s.event.time_ms,
                "fundingRate": text_of(s.event.rate),
                "markPrice": text_of(s.mark) if s.mark else "",
            }
            for s in (rows[:limit] if between.begins else rows[-limit:])
        ]  # fmt: skip

    def funding_info(self, call: Call) -> list[dict[str, Any]]:
        """GET fundingInfo: symbols whose interval is not eight hours."""
        hours = {name: self.venue.funding.interval_hours(name) for name in self.venue.symbols}
        return [
            {
                "symbol": name, "adjustedFundingRateCap": text_of(self.venue.symbols[name].funding_cap),
                "adjustedFundingRateFloor": text_of(-self.venue.symbols[name].funding_cap),
                "fundingIntervalHours": interval, "disclaimer": False,
                "updateTime": self.venue.clock.now_ms(),
            }
            for name, interval in hours.items()
            if interval != 8
        ]  # fmt: skip

    # --- index, fund, schedule -----------------------------------------------------------------------------
    def constituents(self, call: Call) -> dict[str, Any]:
        """GET constituents: the one market the index is made of."""
        name = self._market(call.params).symbol
        price = self.venue.prices.contracts[name].index or self.venue.mark(name)
        row = {
            "exchange": self.venue.prices.source.constituent, "symbol": name, "price": text_of(price),
            "weight": "1.00000000",
        }  # fmt: skip
        return {"symbol": name, "time": self.venue.clock.now_ms(), "constituents": [row]}

    def asset_index(self, call: Call) -> Any:
        """GET assetIndex: what assets are worth in multi-assets mode."""
        wanted, rows = call.params.text("symbol"), self.asset_indexes()
        if wanted is None:
            return rows
        found = next((row for row in rows if row["symbol"] == wanted), None)
        if found is None:
            raise invalid_symbol()
        return found

    def asset_indexes(self) -> list[dict[str, Any]]:
        """The asset index of every asset that can be margin."""
        bases = {s.instrument.base for s in self.venue.symbols.values()}
        quotes = {s.asset for s in self.venue.symbols.values()}
        names = sorted(name for name in bases | quotes if asset_index(self.venue, name))
        return [asset_index_view(self.venue, name) for name in names]

    def composite_index(self, call: Call) -> list[dict[str, Any]]:
        """GET indexInfo: no contract here is on a composite index."""
        if call.params.text("symbol") is not None:
            raise invalid_symbol()
        return []

    def insurance(self, call: Call) -> Any:
        """GET insuranceBalance: one fund per margin asset, for all of its contracts."""
        wanted, venue = call.params.text("symbol"), self.venue
        if wanted is not None:
            venue.symbol(wanted)
        rows = []
        for asset in sorted({symbol.asset for symbol in venue.symbols.values()}):
            names = [symbol.name for symbol in venue.symbols.values() if symbol.asset == asset]
            value = venue.fund.balance(asset) + sum(
                held.unrealised(venue.mark(held.symbol))
                for held in venue.fund.positions.values()
                if held.symbol in names
            )
            row = {"asset": asset, "marginBalance": text_of(value), "updateTime": venue.clock.now_ms()}
            if wanted is None or wanted in names:
                rows.append({"symbols": names, "assets": [row]})
        return rows if wanted is None else rows[0]

    def adl_risk(self, call: Call) -> Any:
        """GET symbolAdlRisk: the fund against the maintenance margin of what accounts hold."""

        def view(market: SymbolMarket) -> dict[str, Any]:
            venue, symbol = self.venue, self.venue.symbols[market.symbol]
            mark, fund = venue.mark(symbol.name), venue.fund.balance(symbol.asset)
            held = [p.notional(mark) for a in venue.accounts.values() for p in a.held(symbol.name)]
            needed = sum(maintenance(symbol.brackets, value) for value in held)
            risk = "high" if fund < needed or fund <= 0 else "medium" if fund < 10 * needed else "low"
            return {"symbol": symbol.name, "adlRisk": risk, "updateTime": venue.clock.now_ms()}

        return self._each(call.params, view)

    def schedule(self, call: Call) -> dict[str, Any]:
        """GET tradingSchedule: crypto contracts trade always, so no market has sessions."""
        return {"updateTime": self.venue.clock.now_ms(), "marketSchedules": {}}

    # --- tickers -------------------------------------------------------------------------------------------
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


def agg_trade(symbol: UmSymbol, t: AggregateTrade) -> dict[str, Any]:
    """One aggregate trade; none of it is retail price improvement (`nq`)."""
    return {
        "a": t.id, "p": symbol.price(t.price), "q": symbol.qty(t.qty), "nq": symbol.qty(t.qty), "f": t.first,
        "l": t.last, "T": t.time_us // 1000, "m": t.buyer_is_maker,
    }  # fmt: skip
