"""Mark, index and premium of each contract, and the funding rate they lead to.

Mark price = median(price 1, price 2, contract price) with price 1 = index * (1 + last funding rate * time
until funding / interval) and price 2 = index + the mean of (best bid + best ask) / 2 - index over 2.5
minutes, one sample each 5 seconds. Source: Binance, "What are mark price and price index in USD-M futures".

Premium index = (max(0, impact bid - index) - max(0, index - impact ask)) / index; the impact prices are what
a market order of the impact margin notional (200 / initial margin rate at the highest leverage) obtains. The
funding rate is the time-weighted mean of the premium index since the last settlement plus
clamp(interest - premium, -0.05 %, 0.05 %), scaled to the interval and bounded by the contract's cap and
floor. Source: Binance, "Introduction to Binance futures funding rates".
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from qtm.paper.book import BookSide
from qtm.paper.klines import INTERVAL_MS, Kline, KlineHistory
from qtm.paper.um.index_price import IndexSource, OwnMiddle
from qtm.paper.um.symbols import UmSymbol
from qtm.paper.venue import SymbolMarket
from qtm.paper.wire import E8

INTEREST = 10_000
"""The rate of a market whose premium is nil: 0.01 % per 8 hours, in 1e-8."""
INTEREST_BAND = 50_000
"""How far interest and premium may be apart before the premium counts: 0.05 %, in 1e-8."""
SAMPLE_MS = 5_000
BASIS_WINDOW_MS = 150_000
IMPACT_MARGIN = 200 * E8


class PriceCandles:
    """Candles of a price that nobody trades; `count` of a candle is the number of its samples."""

    def __init__(self, history: KlineHistory) -> None:
        self.history = history
        self._length = INTERVAL_MS[history.interval]

    @classmethod
    def after(cls, traded: KlineHistory) -> PriceCandles:
        """Candles that go on where the traded ones stand: before that, the traded prices are served."""
        count = traded.count
        values = np.zeros((count, 9))
        values[:, :4] = traded.values[:count, :4]
        return cls(KlineHistory(traded.interval, traded.times[:count].copy(), values, count))

    @classmethod
    def empty(cls, interval: str) -> PriceCandles:
        """Candles without a past."""
        return cls(KlineHistory.empty(interval))

    def add(self, ts_ms: int, units: int) -> None:
        """Count a price."""
        price, start = units / E8, ts_ms // self._length * self._length
        bar = self.history.forming
        if bar is not None and bar.open_ms < start:
            self.history.append(bar)
            bar = None
        if bar is None:
            self.history.forming = Kline(start, price, price, price, price, 0.0, 0.0, 1, 0.0, 0.0)
            return
        self.history.forming = Kline(
            bar.open_ms, bar.open, max(bar.high, price), min(bar.low, price), price,
            0.0, 0.0, bar.trades + 1, 0.0, 0.0,
        )  # fmt: skip


@dataclass
class ContractPrices:
    """What is known of one contract; prices in 1e-8 units, `premium` in 1e-8 of the index."""

    mark_candles: PriceCandles
    index_candles: PriceCandles
    premium_candles: PriceCandles
    index: int = 0
    mark: int = 0
    premium: int = 0
    told: bool = False
    """Whether mark and index price come from elsewhere and are not worked out here."""
    recent: deque[tuple[int, int, int]] = field(default_factory=deque)
    """(time, basis, mark price) of the samples of the last 2.5 minutes, and the sums of the latter two."""
    basis_sum: int = 0
    mark_sum: int = 0
    sampled_ms: int = -SAMPLE_MS
    weights: int = 0
    weighted_premium: int = 0
    samples: int = 0

    def sample(self, ts_ms: int, basis: int, premium: int) -> None:
        """Take a sample of basis and premium; later premiums weigh more, in the order they came."""
        self.sampled_ms = ts_ms
        self.recent.append((ts_ms, basis, self.mark))
        self.basis_sum += basis
        self.mark_sum += self.mark
        while self.recent[0][0] <= ts_ms - BASIS_WINDOW_MS:
            _, left, mark = self.recent.popleft()
            self.basis_sum -= left
            self.mark_sum -= mark
        self.premium = premium
        self.samples += 1
        self.weights += self.samples
        self.weighted_premium += self.samples * premium
        self.premium_candles.add(ts_ms, premium)

    def mean_mark(self) -> int:
        """Mean mark price of the last 2.5 minutes."""
        return self.mark_sum // len(self.recent) if self.mark_sum else self.mark

    def mean_premium(self) -> int:
        """Time-weighted mean since the last settlement, in 1e-8."""
        return self.weighted_premium // self.weights if self.weights else self.premium

    def settle(self) -> None:
        """A funding period begins."""
        self.weights = self.weighted_premium = self.samples = 0


class MarkPrices:
    """The prices of every contract of a venue."""

    def __init__(self, source: IndexSource | None = None) -> None:
        self.source: IndexSource = source or OwnMiddle()
        self.contracts: dict[str, ContractPrices] = {}

    def list_symbol(self, market: SymbolMarket) -> None:
        """Begin with a contract."""
        self.contracts[market.symbol] = ContractPrices(
            PriceCandles.after(market.klines), PriceCandles.after(market.klines),
            PriceCandles.empty(market.klines.interval),
        )  # fmt: skip

    def mark(self, symbol: str) -> int:
        """Mark price, 0 before the first."""
        return self.contracts[symbol].mark

    def update(
        self,
        market: SymbolMarket,
        contract: UmSymbol,
        ts_ms: int,
        middle: int | None,
        *,
        rate: int,
        until_ms: int,
        hours: int,
    ) -> int:
        """Work out the prices anew after the book or the last price has moved; returns the mark price.

        Parameters
        ----------
        middle
            Middle of the market's own best bid and ask, None while a side is empty: the mark price stands.
        rate, until_ms, hours
            The announced funding rate in 1e-8, the time until it settles, and the contract's interval.
        """
        prices, last = self.contracts[market.symbol], market.last_price
        if middle is None:
            prices.mark = prices.mark or last
            return prices.mark
        index = prices.index = self.source.price(market.symbol, ts_ms, middle)
        prices.mark = prices.mark or last or middle
        if ts_ms - prices.sampled_ms >= SAMPLE_MS:
            prices.sample(ts_ms, middle - index, self._premium(market, contract, index))
            prices.index_candles.add(ts_ms, index)
        first = index + index * rate // E8 * min(until_ms, hours * 3_600_000) // (hours * 3_600_000)
        second = index + prices.basis_sum // len(prices.recent)
        prices.mark = sorted((first, second, last or middle))[1]
        prices.mark_candles.add(ts_ms, prices.mark)
        return prices.mark

    def tell(self, market: SymbolMarket, contract: UmSymbol, ts_ms: int, mark: int, index: int) -> None:
        """Take mark and index price as another venue has them."""
        prices = self.contracts[market.symbol]
        prices.told, prices.mark, prices.index = True, mark, index
        if ts_ms - prices.sampled_ms >= SAMPLE_MS:
            prices.sample(ts_ms, mark - index, self._premium(market, contract, index))
        prices.index_candles.add(ts_ms, index)
        prices.mark_candles.add(ts_ms, mark)

    def funding_rate(self, symbol: str, contract: UmSymbol, hours: int) -> int:
        """The rate that the premium since the last settlement leads to, in 1e-8."""
        premium = self.contracts[symbol].mean_premium()
        adjusted = premium + max(-INTEREST_BAND, min(INTEREST_BAND, INTEREST - premium))
        rate = adjusted * hours // 8
        return max(-contract.funding_cap, min(contract.funding_cap, rate))

    @staticmethod
    def _premium(market: SymbolMarket, contract: UmSymbol, index: int) -> int:
        value = IMPACT_MARGIN * contract.brackets[0].leverage
        bid = impact_price(market.book.bids, value)
        ask = impact_price(market.book.asks, value)
        if not index:
            return 0
        return (max(0, bid - index) - max(0, index - ask)) * E8 // index


def impact_price(side: BookSide, value: int) -> int:
    """What a market order of `value` quote units obtains on average; the worst price of a thinner book."""
    qty = spent = price = 0
    for price in side.prices():
        level = side.levels[price].quantity
        worth = price * level // E8
        if spent + worth >= value:
            qty += (value - spent) * E8 // price
            spent = value
            break
        qty, spent = qty + level, spent + worth
    else:
        return price
    return spent * E8 // qty if qty else price
