"""The payloads of the spot market streams."""

from __future__ import annotations

from typing import Any

from qtm.paper.klines import Kline, bucket_end
from qtm.paper.spot.tickers import DAY_MS, rolling_ticker, window_ms
from qtm.paper.venue import MarketTrade, SymbolMarket
from qtm.paper.wire import price_text, text_of


def trade_payload(market: SymbolMarket, trade: MarketTrade, div: int, aggregated: bool) -> dict[str, Any]:
    """@trade or @aggTrade."""
    time = trade.time_us // div
    if aggregated:
        return {
            "e": "aggTrade",
            "E": time,
            "s": market.symbol,
            "a": trade.id,
            "p": text_of(trade.price),
            "q": text_of(trade.qty),
            "f": trade.id,
            "l": trade.id,
            "T": time,
            "m": trade.buyer_is_maker,
            "M": True,
        }
    return {
        "e": "trade", "E": time, "s": market.symbol, "t": trade.id, "p": text_of(trade.price),
        "q": text_of(trade.qty), "T": time, "m": trade.buyer_is_maker, "M": True,
    }  # fmt: skip


def block_payload(market: SymbolMarket, trade: MarketTrade, div: int) -> dict[str, Any]:
    """@blockTrade."""
    time = trade.time_us // div
    return {
        "e": "blockTrade", "E": time, "s": market.symbol, "t": trade.id, "p": text_of(trade.price),
        "q": text_of(trade.qty), "T": time, "m": trade.buyer_is_maker,
    }  # fmt: skip


def kline_payload(
    market: SymbolMarket, bar: Kline, interval: str, zone_ms: int, event: int, div: int, *, final: bool
) -> dict[str, Any]:
    """@kline."""
    last_id = market.next_trade_id - 1
    end_ms = bucket_end(bar.open_ms, interval, zone_ms)
    return {
        "e": "kline",
        "E": event,
        "s": market.symbol,
        "k": {
            "t": bar.open_ms * 1000 // div,
            "T": end_ms * 1000 // div - 1,
            "s": market.symbol,
            "i": interval,
            "f": max(last_id - max(bar.trades - 1, 0), -1) if last_id > 0 else -1,
            "L": last_id if last_id > 0 else -1,
            "o": price_text(bar.open),
            "c": price_text(bar.close),
            "h": price_text(bar.high),
            "l": price_text(bar.low),
            "v": price_text(bar.volume),
            "n": bar.trades,
            "x": final,
            "q": price_text(bar.quote_volume),
            "V": price_text(bar.taker_base),
            "Q": price_text(bar.taker_quote),
            "B": "0",
        },
    }


def mini_ticker(market: SymbolMarket, now_ms: int, div: int) -> dict[str, Any]:
    """@miniTicker."""
    day = rolling_ticker(market, now_ms - DAY_MS, now_ms, div, mini=True)
    return {
        "e": "24hrMiniTicker", "E": now_ms * 1000 // div, "s": market.symbol, "c": day["lastPrice"],
        "o": day["openPrice"], "h": day["highPrice"], "l": day["lowPrice"], "v": day["volume"],
        "q": day["quoteVolume"],
    }  # fmt: skip


def window_ticker(market: SymbolMarket, now_ms: int, div: int, window: str) -> dict[str, Any]:
    """@ticker_<window>."""
    stats = rolling_ticker(market, now_ms - window_ms(window), now_ms, div, window=True)
    return {
        "e": f"{window}Ticker",
        "E": now_ms * 1000 // div,
        "s": market.symbol,
        "p": stats["priceChange"],
        "P": stats["priceChangePercent"],
        "o": stats["openPrice"],
        "h": stats["highPrice"],
        "l": stats["lowPrice"],
        "c": stats["lastPrice"],
        "w": stats["weightedAvgPrice"],
        "v": stats["volume"],
        "q": stats["quoteVolume"],
        "O": stats["openTime"],
        "C": stats["closeTime"],
        "F": stats["firstId"],
        "L": stats["lastId"],
        "n": stats["count"],
    }


def full_ticker(market: SymbolMarket, now_ms: int, div: int) -> dict[str, Any]:
    """@ticker."""
    day = rolling_ticker(market, now_ms - DAY_MS, now_ms, div)
    return {
        "e": "24hrTicker",
        "E": now_ms * 1000 // div,
        "s": market.symbol,
        "p": day["priceChange"],
        "P": day["priceChangePercent"],
        "w": day["weightedAvgPrice"],
        "x": day["prevClosePrice"],
        "c": day["lastPrice"],
        "Q": day["lastQty"],
        "b": day["bidPrice"],
        "B": day["bidQty"],
        "a": day["askPrice"],
        "A": day["askQty"],
        "o": day["openPrice"],
        "h": day["highPrice"],
        "l": day["lowPrice"],
        "v": day["volume"],
        "q": day["quoteVolume"],
        "O": day["openTime"],
        "C": day["closeTime"],
        "F": day["firstId"],
        "L": day["lastId"],
        "n": day["count"],
    }
