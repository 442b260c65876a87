"""Rolling statistics and best prices of a symbol, as REST and the streams show them."""

from __future__ import annotations

from typing import Any

from qtm.paper.errors import ApiError
from qtm.paper.klines import Kline
from qtm.paper.venue import SymbolMarket
from qtm.paper.wire import E8, price_text, text_of

DAY_MS = 86_400_000


def window_ms(text: str) -> int:
    """A rolling window's length; -1139 when out of range."""
    caps = {"m": 59, "h": 23, "d": 7}
    unit, number = text[-1:], text[:-1]
    if unit not in caps or not number.isdigit() or not 1 <= int(number) <= caps[unit]:
        raise ApiError(-1130, "Data sent for parameter 'windowSize' is not valid.")
    return int(number) * {"m": 60_000, "h": 3_600_000, "d": DAY_MS}[unit]


def book_ticker(market: SymbolMarket) -> dict[str, Any]:
    """Best prices and quantities, zero where a side is empty."""
    bid, ask = market.book.bids.best(), market.book.asks.best()
    return {
        "symbol": market.symbol,
        "bidPrice": text_of(bid[0] if bid else 0),
        "bidQty": text_of(bid[1].quantity if bid else 0),
        "askPrice": text_of(ask[0] if ask else 0),
        "askQty": text_of(ask[1].quantity if ask else 0),
    }


def rolling_ticker(
    market: SymbolMarket, since_ms: int, until_ms: int, div: int, *, mini: bool = False, window: bool = False
) -> dict[str, Any]:
    """Statistics since `since_ms`; `window` gives the shape of GET ticker instead of ticker/24hr."""
    whole = market.klines.window(since_ms)
    last = market.last_price / E8
    if whole is None:
        whole = Kline(since_ms, last, last, last, last, 0.0, 0.0, 0, 0.0, 0.0)
    change = whole.close - whole.open
    average = whole.quote_volume / whole.volume if whole.volume else whole.close
    last_id = market.tape[-1].id if market.tape else -1
    first_id = market.tape[0].id if market.tape else -1
    head: dict[str, Any] = {"symbol": market.symbol}
    extremes = {
        "openPrice": price_text(whole.open),
        "highPrice": price_text(whole.high),
        "lowPrice": price_text(whole.low),
    }
    tail = {
        "volume": price_text(whole.volume),
        "quoteVolume": price_text(whole.quote_volume),
        "openTime": since_ms * 1000 // div,
        "closeTime": until_ms * 1000 // div,
        "firstId": first_id,
        "lastId": last_id,
        "count": whole.trades or (last_id - first_id + 1 if last_id > 0 else 0),
    }
    if mini:
        return {**head, **extremes, "lastPrice": price_text(whole.close), **tail}
    moves = {
        "priceChange": price_text(change),
        "priceChangePercent": f"{100 * change / whole.open if whole.open else 0.0:.3f}",
        "weightedAvgPrice": price_text(average),
    }
    if window:
        return {**head, **moves, **extremes, "lastPrice": price_text(whole.close), **tail}
    best = book_ticker(market)
    return {
        **head,
        **moves,
        "prevClosePrice": price_text(whole.open),
        "lastPrice": price_text(whole.close),
        "lastQty": text_of(market.tape[-1].qty if market.tape else 0),
        "bidPrice": best["bidPrice"],
        "bidQty": best["bidQty"],
        "askPrice": best["askPrice"],
        "askQty": best["askQty"],
        **extremes,
        **tail,
    }
