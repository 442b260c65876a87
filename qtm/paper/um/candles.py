"""Candles of the futures market: traded, continuous, and of mark price, index and premium."""

from __future__ import annotations

from typing import Any

from qtm.paper.errors import ApiError
from qtm.paper.gateway import Call
from qtm.paper.klines import INTERVAL_MS, Kline, KlineHistory, bucket_end
from qtm.paper.params import Params
from qtm.paper.um.account_history import Period
from qtm.paper.um.symbols import UmSymbol
from qtm.paper.um.venue import UmVenue
from qtm.paper.venue import SymbolMarket


class UmCandles:
    """Candle queries of one venue."""

    def __init__(self, venue: UmVenue) -> None:
        self.venue = venue

    def klines(self, call: Call) -> list[list[Any]]:
        """GET klines."""
        market = self._market(call.params)
        return self._candles(call, self.venue.symbols[market.symbol], market.klines)

    def continuous_klines(self, call: Call) -> list[list[Any]]:
        """GET continuousKlines: those of the perpetual; there are no quarterly contracts."""
        name, kind = self._pair(call.params), call.params.required("contractType")
        if kind not in ("PERPETUAL", "CURRENT_QUARTER", "NEXT_QUARTER"):
            raise ApiError(-4104, "Invalid contract type")
        rows = self._candles(call, self.venue.symbols[name], self.venue.markets[name].klines)
        return rows if kind == "PERPETUAL" else []

    def mark_klines(self, call: Call) -> list[list[Any]]:
        """GET markPriceKlines."""
        name = self._market(call.params).symbol
        return self._untraded(call, self.venue.prices.contracts[name].mark_candles.history)

    def premium_klines(self, call: Call) -> list[list[Any]]:
        """GET premiumIndexKlines."""
        name = self._market(call.params).symbol
        return self._untraded(call, self.venue.prices.contracts[name].premium_candles.history)

    def index_klines(self, call: Call) -> list[list[Any]]:
        """GET indexPriceKlines."""
        name = self._pair(call.params)
        return self._untraded(call, self.venue.prices.contracts[name].index_candles.history)

    def _candles(self, call: Call, symbol: UmSymbol, history: KlineHistory) -> list[list[Any]]:
        interval, rows = self._rows(call, history)
        return [kline_row(symbol, bar, interval) for bar in rows]

    def _untraded(self, call: Call, history: KlineHistory) -> list[list[Any]]:
        """Candles of a price that nobody trades: eight decimals, no volume, the number of samples."""
        interval, rows = self._rows(call, history)
        return [
            [
                bar.open_ms, *(f"{price:.8f}" for price in bar[1:5]), "0",
                bucket_end(bar.open_ms, interval) - 1, "0", bar.trades, "0", "0", "0",
            ]
            for bar in rows
        ]  # fmt: skip

    def _rows(self, call: Call, history: KlineHistory) -> tuple[str, list[Kline]]:
        params = call.params
        interval = params.required("interval")
        if interval not in INTERVAL_MS:
            raise ApiError(-1120, "Invalid interval.")
        between, limit = Period(params), params.limit(500, 1500)
        return interval, history.rows(interval, limit, between.start, between.end)

    def _market(self, params: Params) -> SymbolMarket:
        return self.venue.markets[self.venue.symbol(params.required("symbol")).name]

    def _pair(self, params: Params) -> str:
        name = params.required("pair")
        if name not in self.venue.symbols:
            raise ApiError(-4144, "Invalid pair")
        return name


def kline_row(symbol: UmSymbol, bar: Kline, interval: str) -> list[Any]:
    """One row of GET klines."""
    p, q = symbol.price_places, symbol.qty_places
    return [
        bar.open_ms, f"{bar.open:.{p}f}", f"{bar.high:.{p}f}", f"{bar.low:.{p}f}", f"{bar.close:.{p}f}",
        f"{bar.volume:.{q}f}", bucket_end(bar.open_ms, interval) - 1, f"{bar.quote_volume:.5f}", bar.trades,
        f"{bar.taker_base:.{q}f}", f"{bar.taker_quote:.5f}", "0",
    ]  # fmt: skip
