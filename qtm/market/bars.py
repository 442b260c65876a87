"""Bars as they are in memory. A bar is named by its open time."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.clock import iso_utc
from qtm.errors import DataError
from qtm.market.intervals import Interval

if TYPE_CHECKING:
    import polars as pl


class BarKind(StrEnum):
    """What a bar's prices are: trades, or a reference price of a futures market."""

    TRADE = "bars"
    MARK = "mark"
    INDEX = "index"


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


def require_order(bars: BarSeries) -> None:
    """Raise DataError where there are no bars, or naming the first that is not later than the one before."""
    times = bars.open_time_ms
    if len(bars) == 0:
        raise DataError(
            "there are no bars to run on", where=bars.symbol, remedy="widen the dates or ingest them"
        )
    unordered = np.flatnonzero(times[1:] <= times[:-1])
    if unordered.size:
        raise DataError(
            "bars are not in strictly increasing time",
            where=f"{bars.symbol} {iso_utc(int(times[unordered[0] + 1]))}",
            remedy="ingest the period again; the lake keeps one bar per open time",
        )
