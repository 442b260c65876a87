"""Bars: their columns in the lake and their shape in memory. A bar is named by its open time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.market.intervals import Interval


class BarKind(StrEnum):
    """What a bar's prices are: trades, or a reference price of a futures market."""

    TRADE = "bars"
    MARK = "mark"
    INDEX = "index"


BAR_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "open_time_ms": pl.Int64(),
    "open": pl.Float64(),
    "high": pl.Float64(),
    "low": pl.Float64(),
    "close": pl.Float64(),
    "volume": pl.Float64(),
    "quote_volume": pl.Float64(),
    "trades": pl.Int64(),
    "taker_base": pl.Float64(),
    "taker_quote": pl.Float64(),
}
"""Columns of every bar table; prices in quote currency, volumes in base currency unless named quote."""

FUNDING_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "funding_time_ms": pl.Int64(),
    "interval_hours": pl.Int64(),
    "rate": pl.Float64(),
}
"""Columns of the funding table; `rate` is paid by longs to shorts per interval, as a fraction of notional."""


TRADE_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "time_ms": pl.Int64(),
    "trade_id": pl.Int64(),
    "price": pl.Float64(),
    "qty": pl.Float64(),
    "first_id": pl.Int64(),
    "last_id": pl.Int64(),
    "buyer_is_maker": pl.Boolean(),
}
"""Columns of the aggregate trade tables: what one taker order filled at one price; ids strictly increase."""


class Bar(NamedTuple):
    """One closed bar as a strategy's step sees it.

    `open_time_ms` names the bar; prices are in quote currency; `close_ticks` is the close counted in ticks
    (a whole number held in a float), for comparisons that must never tie by rounding.
    """

    open_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    close_ticks: float


@dataclass(frozen=True, slots=True)
class BarSeries:
    """The bars of one symbol as contiguous columns, each of shape (T,), strictly increasing in time."""

    symbol: str
    interval: Interval
    open_time_ms: npt.NDArray[np.int64]
    open: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    low: npt.NDArray[np.float64]
    close: npt.NDArray[np.float64]
    volume: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return int(self.open_time_ms.shape[0])

    @classmethod
    def from_frame(cls, frame: pl.DataFrame, symbol: str, interval: Interval) -> BarSeries:
        """Take the columns of `frame` (one symbol, sorted by open time) without copying where possible."""
        column = {
            name: np.ascontiguousarray(frame[name].to_numpy())
            for name in ("open_time_ms", "open", "high", "low", "close", "volume")
        }
        return cls(symbol=symbol, interval=interval, **column)

    def slice(self, start: int, stop: int) -> BarSeries:
        """Bars `start` to `stop` (exclusive) as views."""
        return BarSeries(
            self.symbol,
            self.interval,
            self.open_time_ms[start:stop],
            self.open[start:stop],
            self.high[start:stop],
            self.low[start:stop],
            self.close[start:stop],
            self.volume[start:stop],
        )
