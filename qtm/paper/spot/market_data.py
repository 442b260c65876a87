"""Public answers: exchange information, depth, trades, candles and tickers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from qtm.paper.errors import ApiError, illegal
from qtm.paper.gateway import Call
from qtm.paper.klines import INTERVAL_MS, Kline, bucket_end, bucket_start
from qtm.paper.params import Params
from qtm.paper.spot import smart_routing
from qtm.paper.spot.tickers import DAY_MS, book_ticker, rolling_ticker, window_ms
from qtm.paper.spot.venue import SpotVenue
from qtm.paper.venue import MarketTrade, SymbolMarket
from qtm.paper.wire import price_text, text_of


class MarketData:
    """Market queries of one venue."""

    def __init__(self, venue: SpotVenue, server_time_us: Callable[[], int]) -> None:
        self.venue = venue
        self.server_time_us = server_time_us

    def ping(self, call: Call) -> dict[str, Any]:
        """GET ping."""
        return {}

    def time(self, call: Call) -> dict[str, Any]:
        """GET time: the wall clock, which is what timestamps are checked against."""
        return {"serverTime": self.server_time_us() // call.div}

    def exchange_info(self, call: Call) -> dict[str, Any]:
        """GET exchangeInfo."""
        params = call.params
        names = read_symbols(params)
        permissions = params.text("permissions")
        show_sets = params.flag("showPermissionSets", True)
        status = read_status(params)
        if names is not None and (permissions is not None or status is not None):
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        chosen = names if names is not None else list(self.venue.symbols)
        sors = smart_routing.configurations(self.venue.symbols.values())
        answer = {
            "timezone": "UTC",
            "serverTime": self.server_time_us() // call.div,
            "rateLimits": [limit.public() for limit in self.venue.rate_limits],
            "exchangeFilters": self.venue.exchange_filters,
            "symbols": [
                self._listing(name).public(self.venue.markets[name].status, show_permission_sets=show_sets)
                for name in chosen
                if status is None or self.venue.markets[name].status == status
            ],
        }
        return {**answer, "sors": sors} if sors else answer

    def depth(self, call: Call) -> dict[str, Any]:
        """GET depth."""
        market = self._market(call.params)
        limit = call.params.limit(100, 5000)
        status = read_status(call.params)
        if status not in (None, market.status):
            raise status_mismatch()
        return depth_snapshot(market, limit)

    def trades(self, call: Call) -> list[dict[str, Any]]:
        """GET trades, historicalTrades."""
        market = self._market(call.params)
        limit = call.params.limit(500, 1000)
        from_id = call.params.integer("fromId")
        tape = [t for t in market.tape if from_id is None or t.id >= from_id]
        chosen = tape[:limit] if from_id is not None else tape[-limit:]
        return [public_trade(trade, call.div) for trade in chosen]

    def agg_trades(self, call: Call) -> list[dict[str, Any]]:
        """GET aggTrades; every print of the tape is an aggregate of its own."""
        params = call.params
        market = self._market(params)
        limit = params.limit(500, 1000)
        from_id = params.integer("fromId")
        start, end = params.integer("startTime"), params.integer("endTime")
        tape = [
            t
            for t in market.tape
            if (from_id is None or t.id >= from_id)
            and (start is None or t.time_us >= _us(start))
            and (end is None or t.time_us <= _us(end))
        ]
        chosen = tape[:limit] if from_id is not None or start is not None else tape[-limit:]
        return [
            {
                "a": t.id, "p": text_of(t.price), "q": text_of(t.qty), "f": t.id, "l": t.id,
                "T": t.time_us // call.div, "m": t.buyer_is_maker, "M": True,
            }
            for t in chosen
        ]  # fmt: skip

    def klines(self, call: Call) -> list[list[Any]]:
        """GET klines, uiKlines."""
        params = call.params
        market = self._market(params)
        interval = read_interval(params)
        zone_ms = read_zone(params)
        start, end = params.integer("startTime"), params.integer("endTime")
        limit = params.limit(500, 1000)
        start_ms = None if start is None else _us(start) // 1000
        end_ms = None if end is None else _us(end) // 1000
        rows = market.klines.rows(interval, limit, start_ms, end_ms, zone_ms)
        return [kline_row(row, interval, zone_ms, call.div) for row in rows]

    def average_price(self, call: Call) -> dict[str, Any]:
        """GET avgPrice."""
        market = self._market(call.params)
        return {
            "mins": 5,
            "price": text_of(self.venue.reference_price(market, 5)),
            "closeTime": (market.tape[-1].time_us if market.tape else self.venue.clock.now_us()) // call.div,
        }

    def price(self, call: Call) -> Any:
        """GET ticker/price."""
        return self._each(call.params, lambda m: {"symbol": m.symbol, "price": text_of(m.last_price)})

    def book_ticker(self, call: Call) -> Any:
        """GET ticker/bookTicker."""
        return self._each(call.params, book_ticker)

    def ticker_24h(self, call: Call) -> Any:
        """GET ticker/24hr."""
        mini = _mini(call.params)
        now = self.venue.clock.now_ms()
        return self._each(call.params, lambda m: rolling_ticker(m, now - DAY_MS, now, call.div, mini=mini))

    def ticker_window(self, call: Call) -> Any:
        """GET ticker: a rolling window of 1m to 59m, 1h to 23h or 1d to 7d."""
        params = call.params
        window = params.text("windowSize") or "1d"
        mini = _mini(params)
        now = self.venue.clock.now_ms()
        since = now - window_ms(window)
        if "symbol" not in params and "symbols" not in params:
            raise ApiError(-1102, "Param 'symbol' or 'symbols' must be sent, but both were empty/null!")
        return self._each(params, lambda m: rolling_ticker(m, since, now, call.div, mini=mini, window=True))

    def ticker_day(self, call: Call) -> Any:
        """GET ticker/tradingDay."""
        params = call.params
        zone_ms = read_zone(params)
        mini = _mini(params)
        now = self.venue.clock.now_ms()
        since = bucket_start(now, "1d", zone_ms)
        if "symbol" not in params and "symbols" not in params:
            raise ApiError(-1102, "Param 'symbol' or 'symbols' must be sent, but both were empty/null!")
        return self._each(
            params, lambda m: rolling_ticker(m, since, since + DAY_MS - 1, call.div, mini=mini, window=True)
        )

    def reference_price(self, call: Call) -> dict[str, Any]:
        """GET referencePrice."""
        market = self._market(call.params)
        price = self.venue.reference_price(market, 5)
        if not price:
            raise ApiError(-2043, "This symbol doesn't have a reference price.")
        return {
            "symbol": market.symbol,
            "referencePrice": text_of(price),
            "timestamp": self.venue.clock.now_us() // call.div,
        }

    def reference_price_calculation(self, call: Call) -> dict[str, Any]:
        """GET referencePrice/calculation: the reference is the volume-weighted mean of five 1m buckets."""
        market = self._market(call.params)
        call.params.text("symbolStatus")
        return {
            "symbol": market.symbol,
            "calculationType": "ARITHMETIC_MEAN",
            "bucketCount": 5,
            "bucketWidthMs": 60_000,
        }

    def execution_rules(self, call: Call) -> dict[str, Any]:
        """GET executionRules: no symbol has any beyond its filters."""
        names = read_symbols(call.params)
        call.params.text("symbolStatus")
        for name in names or ():
            self.venue.symbol(name)
        return {"symbolRules": []}

    def block_trades(self, call: Call) -> list[dict[str, Any]]:
        """GET historicalBlockTrades: what a mirrored venue has told of."""
        market = self._market(call.params)
        from_id = call.params.integer("fromId")
        limit = call.params.limit(500, 1000)
        blocks = [t for t in self.venue.blocks[market.symbol] if from_id is None or t.id >= from_id]
        chosen = blocks[:limit] if from_id is not None else blocks[-limit:]
        return [block_trade(trade, call.div) for trade in chosen]

    def _listing(self, name: str) -> Any:
        return self.venue.symbol(name)

    def _market(self, params: Params) -> SymbolMarket:
        name = params.required("symbol")
        self.venue.symbol(name)
        return self.venue.markets[name]

    def _each(self, params: Params, view: Callable[[SymbolMarket], dict[str, Any]]) -> Any:
        names = read_symbols(params, single_is_list=False)
        status = read_status(params)
        if isinstance(names, str):
            self.venue.symbol(names)
            market = self.venue.markets[names]
            if status not in (None, market.status):
                raise status_mismatch()
            return view(market)
        for name in names or ():
            self.venue.symbol(name)
        chosen = [self.venue.markets[name] for name in (self.venue.markets if names is None else names)]
        return [view(market) for market in chosen if status in (None, market.status)]


def read_symbols(params: Params, *, single_is_list: bool = True) -> Any:
    """`symbol` or `symbols`: a name, a list of names, or None when neither is sent."""
    one, many = params.text("symbol"), params.text("symbols")
    if one is not None and many is not None:
        raise ApiError(-1128, "Combination of optional parameters invalid.")
    if one is not None:
        if not one:
            raise ApiError(-1105, "Parameter 'symbol' was empty.")
        return [one] if single_is_list else one
    if many is None:
        return None
    try:
        names = json.loads(many)
    except (ValueError, RecursionError):
        raise illegal("symbols", '^\\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\\]$') from None
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise illegal("symbols", '^\\["[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}\\]$')
    if len(set(names)) != len(names):
        raise ApiError(-1151, "Symbol is present multiple times in the list.")
    return names


def read_status(params: Params) -> str | None:
    """`symbolStatus` when sent; -1122 for an unknown one."""
    status = params.text("symbolStatus")
    if status is not None and status not in ("TRADING", "HALT", "BREAK", "END_OF_DAY", "CANCEL_ONLY"):
        raise ApiError(-1122, "Invalid symbolStatus.")
    return status


def status_mismatch() -> ApiError:
    """-1220."""
    return ApiError(-1220, "The symbol's status does not match the requested symbolStatus.")


def read_interval(params: Params) -> str:
    """`interval`; -1120 when unknown."""
    interval = params.required("interval")
    if interval not in INTERVAL_MS:
        raise ApiError(-1120, "Invalid interval.")
    return interval


def read_zone(params: Params) -> int:
    """`timeZone` (-12:00 to +14:00) in milliseconds east of UTC."""
    text = params.text("timeZone")
    if text is None:
        return 0
    sign = -1 if text.startswith("-") else 1
    hours, _, minutes = text.lstrip("+-").partition(":")
    if not hours.isdigit() or (minutes and not minutes.isdigit()):
        raise ApiError(-1130, "Data sent for parameter 'timeZone' is not valid.")
    zone = sign * (int(hours) * 60 + int(minutes or 0))
    if not -12 * 60 <= zone <= 14 * 60:
        raise ApiError(-1130, "Data sent for parameter 'timeZone' is not valid.")
    return zone * 60_000


def depth_snapshot(market: SymbolMarket, limit: int) -> dict[str, Any]:
    """The book as REST and partial-depth streams show it."""
    return {
        "lastUpdateId": market.book.update_id,
        "bids": [[text_of(p), text_of(q)] for p, q in market.book.bids.depth(limit)],
        "asks": [[text_of(p), text_of(q)] for p, q in market.book.asks.depth(limit)],
    }


def public_trade(trade: MarketTrade, div: int) -> dict[str, Any]:
    """One entry of GET trades."""
    return {**block_trade(trade, div), "isBestMatch": True}


def block_trade(trade: MarketTrade, div: int) -> dict[str, Any]:
    """One entry of GET historicalBlockTrades."""
    return {
        "id": trade.id,
        "price": text_of(trade.price),
        "qty": text_of(trade.qty),
        "quoteQty": text_of(trade.quote),
        "time": trade.time_us // div,
        "isBuyerMaker": trade.buyer_is_maker,
    }


def kline_row(bar: Kline, interval: str, zone_ms: int, div: int) -> list[Any]:
    """One row of GET klines."""
    end_ms = bucket_end(bar.open_ms, interval, zone_ms)
    close = end_ms * 1000 // div - 1
    return [
        bar.open_ms * 1000 // div, price_text(bar.open), price_text(bar.high), price_text(bar.low),
        price_text(bar.close), price_text(bar.volume), close, price_text(bar.quote_volume), bar.trades,
        price_text(bar.taker_base), price_text(bar.taker_quote), "0",
    ]  # fmt: skip


def _mini(params: Params) -> bool:
    kind = params.text("type") or "FULL"
    if kind not in ("FULL", "MINI"):
        raise ApiError(-1139, "Invalid ticker type.")
    return kind == "MINI"


def _us(ts: int) -> int:
    return ts * 1000 if ts < 10**14 else ts
