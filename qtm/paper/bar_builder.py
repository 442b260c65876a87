"""Candles made from a tape of trades."""

from __future__ import annotations

from qtm.paper.klines import INTERVAL_MS, Kline
from qtm.paper.venue import Venue


class BarBuilder:
    """Forms the base-interval candle of one symbol from its trades and closes it when its time is over.

    A candle without trades repeats the last price, as the venue's own do.
    """

    def __init__(self, symbol: str, interval: str, start_ms: int, price: float) -> None:
        self.symbol = symbol
        self.length = INTERVAL_MS[interval]
        self._bar = _flat(start_ms // self.length * self.length, price)

    def add(self, price: float, qty: float, *, buyer_is_maker: bool) -> None:
        """Count a trade into the forming candle."""
        bar = self._bar
        first = bar.trades == 0
        quote = price * qty
        self._bar = Kline(
            bar.open_ms,
            price if first else bar.open,
            price if first else max(bar.high, price),
            price if first else min(bar.low, price),
            price,
            bar.volume + qty,
            bar.quote_volume + quote,
            bar.trades + 1,
            bar.taker_base + (0.0 if buyer_is_maker else qty),
            bar.taker_quote + (0.0 if buyer_is_maker else quote),
        )

    def roll(self, venue: Venue, now_ms: int) -> None:
        """Close every candle that has ended by `now_ms`."""
        while now_ms >= self._bar.open_ms + self.length:
            bar = self._bar
            following = bar.open_ms + self.length
            self._bar = _flat(following, bar.close)
            venue.close_bar(self.symbol, bar, following)

    def publish(self, venue: Venue) -> None:
        """Show the forming candle."""
        venue.set_forming(self.symbol, self._bar)


def _flat(open_ms: int, price: float) -> Kline:
    return Kline(open_ms, price, price, price, price, 0.0, 0.0, 0, 0.0, 0.0)
