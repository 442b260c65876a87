"""Candles of one symbol: finished bars as columns, the forming bar, and longer intervals on request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

INTERVAL_MS = {
    "1s": 1_000, "1m": 60_000, "3m": 180_000, "5m": 300_000, "15m": 900_000, "30m": 1_800_000,
    "1h": 3_600_000, "2h": 7_200_000, "4h": 14_400_000, "6h": 21_600_000, "8h": 28_800_000,
    "12h": 43_200_000, "1d": 86_400_000, "3d": 259_200_000, "1w": 604_800_000, "1M": 0,
}  # fmt: skip
"""Intervals the venue knows; a month has no fixed length."""

_MONDAY_MS = 345_600_000
_COLUMNS = 10


class Kline(NamedTuple):
    """One candle: open time in ms, prices in quote currency, volumes as named."""

    open_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    quote_volume: float
    trades: int
    taker_base: float
    taker_quote: float


def bucket_start(ts_ms: int, interval: str, zone_ms: int = 0) -> int:
    """Open time of the candle that contains `ts_ms`; `zone_ms` shifts the day's beginning."""
    if interval == "1M":
        local = datetime.fromtimestamp((ts_ms + zone_ms) / 1000, tz=UTC)
        return int(datetime(local.year, local.month, 1, tzinfo=UTC).timestamp() * 1000) - zone_ms
    length = INTERVAL_MS[interval]
    offset = _MONDAY_MS if interval == "1w" else 0
    return (ts_ms + zone_ms - offset) // length * length + offset - zone_ms


def bucket_end(start_ms: int, interval: str, zone_ms: int = 0) -> int:
    """First millisecond after the candle that opens at `start_ms`."""
    if interval != "1M":
        return start_ms + INTERVAL_MS[interval]
    local = datetime.fromtimestamp((start_ms + zone_ms) / 1000, tz=UTC)
    year, month = (local.year + 1, 1) if local.month == 12 else (local.year, local.month + 1)
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000) - zone_ms


@dataclass
class KlineHistory:
    """Finished base-interval bars (grown by `append`, or uncovered from given columns) and the forming bar.

    `times` has shape (T,), `values` shape (T, 9): open, high, low, close, volume, quote volume, trades, taker
    base, taker quote. Only the first `count` rows are known to the market.
    """

    interval: str
    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    count: int
    forming: Kline | None = None
    given: bool = False
    """Whether the rows beyond `count` hold bars still to come (a replay)."""

    @classmethod
    def empty(cls, interval: str) -> KlineHistory:
        """No history."""
        return cls(interval, np.empty(0, np.int64), np.empty((0, _COLUMNS - 1)), 0)

    def append(self, bar: Kline) -> None:
        """Finish a bar; a row given in advance is merely uncovered."""
        if self.count < len(self.times) and self.times[self.count] == bar.open_ms and self.given:
            self.count += 1
            return
        if self.count == len(self.times):
            room = max(1024, 2 * self.count)
            times = np.empty(room, np.int64)
            values = np.empty((room, _COLUMNS - 1))
            times[: self.count] = self.times[: self.count]
            values[: self.count] = self.values[: self.count]
            self.times, self.values = times, values
        self.times[self.count] = bar.open_ms
        self.values[self.count] = bar[1:]
        self.count += 1

    def serves(self, interval: str) -> bool:
        """Whether `interval` can be derived from the base bars."""
        length, base = INTERVAL_MS[interval], INTERVAL_MS[self.interval]
        return interval == self.interval or interval == "1M" or (length > base and length % base == 0)

    def rows(
        self,
        interval: str,
        limit: int,
        start_ms: int | None = None,
        end_ms: int | None = None,
        zone_ms: int = 0,
    ) -> list[Kline]:
        """Candles of `interval`, oldest first, the forming one included.

        No bounds: the newest `limit`. With `start_ms`: the oldest from there. Only `end_ms`: the newest up to
        it. Bounds compare with open times.
        """
        if not self.serves(interval):
            return []
        known = self.times[: self.count]
        low, high = 0, self.count
        length = INTERVAL_MS[interval] or 31 * 86_400_000
        # So many base bars hold the candles asked for and one more, however many bars are missing.
        most = (limit + 1) * (length // INTERVAL_MS[self.interval])
        if end_ms is not None:
            last = bucket_end(bucket_start(end_ms, interval, zone_ms), interval, zone_ms)
            high = int(np.searchsorted(known, last))
        if start_ms is not None:
            first = bucket_start(start_ms, interval, zone_ms)
            if first < start_ms:
                first = bucket_end(first, interval, zone_ms)
            low = int(np.searchsorted(known, first))
            high = min(high, low + most)
        elif high > most:
            low = int(np.searchsorted(known, bucket_start(int(known[high - most]), interval, zone_ms)))
        bars = self._grouped(interval, low, high, zone_ms)
        if self.forming is not None and high == self.count:
            self._merge(bars, self.forming, interval, zone_ms)
        if start_ms is not None:
            bars = [bar for bar in bars if bar.open_ms >= start_ms]
        if end_ms is not None:
            bars = [bar for bar in bars if bar.open_ms <= end_ms]
        return bars[:limit] if start_ms is not None else bars[-limit:]

    def window(self, since_ms: int) -> Kline | None:
        """Everything since `since_ms` as one candle (rolling statistics); None when nothing traded."""
        low = int(np.searchsorted(self.times[: self.count], since_ms))
        parts: list[Kline] = []
        if low < self.count:
            parts.append(self._fold(low, self.count, int(self.times[low])))
        if self.forming is not None:
            parts.append(self.forming)
        if not parts:
            return None
        whole = parts[0]
        for part in parts[1:]:
            whole = _joined(whole, part)
        return whole

    def average_price(self, since_ms: int) -> float | None:
        """Volume-weighted price since `since_ms`, None without volume."""
        low = int(np.searchsorted(self.times[: self.count], since_ms))
        volume, quote = self.values[low : self.count, 4:6].sum(axis=0).tolist()
        if self.forming is not None:
            volume += self.forming.volume
            quote += self.forming.quote_volume
        return quote / volume if volume > 0 else None

    def _fold(self, low: int, high: int, open_ms: int) -> Kline:
        part = self.values[low:high]
        sums = part[:, 4:].sum(axis=0)
        return Kline(
            open_ms, float(part[0, 0]), float(part[:, 1].max()), float(part[:, 2].min()), float(part[-1, 3]),
            float(sums[0]), float(sums[1]), int(sums[2]), float(sums[3]), float(sums[4]),
        )  # fmt: skip

    def _grouped(self, interval: str, low: int, high: int, zone_ms: int) -> list[Kline]:
        if low >= high:
            return []
        times = self.times[low:high]
        if interval == self.interval:
            return [
                Kline(int(t), v[0], v[1], v[2], v[3], v[4], v[5], int(v[6]), v[7], v[8])
                for t, v in zip(times, self.values[low:high].tolist(), strict=True)
            ]
        if interval == "1M":
            buckets = np.array([bucket_start(int(t), interval, zone_ms) for t in times], np.int64)
        else:
            length = INTERVAL_MS[interval]
            offset = _MONDAY_MS if interval == "1w" else 0
            buckets = (times + zone_ms - offset) // length * length + offset - zone_ms
        edges = np.flatnonzero(np.diff(buckets, prepend=buckets[0] - 1))
        ends = np.append(edges[1:], len(buckets))
        return [
            self._fold(low + int(a), low + int(b), int(buckets[a])) for a, b in zip(edges, ends, strict=True)
        ]

    def _merge(self, bars: list[Kline], bar: Kline, interval: str, zone_ms: int) -> None:
        start = bucket_start(bar.open_ms, interval, zone_ms) if interval != self.interval else bar.open_ms
        if bars and bars[-1].open_ms == start:
            bars[-1] = _joined(bars[-1], bar)
        else:
            bars.append(bar._replace(open_ms=start))


def _joined(first: Kline, second: Kline) -> Kline:
    return Kline(
        first.open_ms, first.open, max(first.high, second.high), min(first.low, second.low), second.close,
        first.volume + second.volume, first.quote_volume + second.quote_volume, first.trades + second.trades,
        first.taker_base + second.taker_base, first.taker_quote + second.taker_quote,
    )  # fmt: skip
