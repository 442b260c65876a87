"""Funding of a perpetual, laid over its bars. A missing payment is an error, never a zero."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from qtm.clock import iso_utc
from qtm.errors import DataError
from qtm.market.bars import BarSeries

if TYPE_CHECKING:
    import polars as pl

_JITTER_MS = 60_000
_HOUR_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class FundingRates:
    """Payments in time order: when, at which rate (longs pay a positive one), and hours since the last."""

    time_ms: npt.NDArray[np.int64]
    rate: npt.NDArray[np.float64]
    interval_hours: npt.NDArray[np.int64]

    @classmethod
    def from_frame(cls, frame: pl.DataFrame) -> FundingRates:
        """From rows of `FUNDING_SCHEMA` of one symbol, sorted by time."""
        return cls(
            frame["funding_time_ms"].to_numpy(),
            frame["rate"].to_numpy(),
            frame["interval_hours"].to_numpy(),
        )

    @property
    def digest(self) -> str:
        """A hash over times and rates: what a run was charged by, whatever table it came from."""
        held = hashlib.sha256(np.ascontiguousarray(self.time_ms, dtype=np.int64).tobytes())
        held.update(np.ascontiguousarray(self.rate, dtype=np.float64).tobytes())
        return held.hexdigest()[:16]


def funded_until_ms(funding: FundingRates) -> int:
    """Up to when no payment can be missing: the longest interval after the last one."""
    return int(funding.time_ms[-1]) + _longest_ms(funding)


def _longest_ms(funding: FundingRates) -> int:
    return int(funding.interval_hours.max(initial=8)) * _HOUR_MS


def due_payments(
    symbol: str, start_ms: int, end_ms: int, funding: FundingRates
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Times and rates of the payments from `start_ms` to `end_ms` (exclusive).

    Raises
    ------
    DataError
        Naming the first payment missing in between.
    """
    chosen = np.flatnonzero((funding.time_ms >= start_ms) & (funding.time_ms < end_ms))
    times, rates = funding.time_ms[chosen], funding.rate[chosen]
    hours = funding.interval_hours[chosen]
    longest = _longest_ms(funding)
    edges = np.concatenate(([start_ms], times, [end_ms]))
    allowed = (
        np.concatenate(([longest], hours[1:] * _HOUR_MS, [longest])) if times.size else np.array([longest])
    )
    late = np.flatnonzero(np.diff(edges) > allowed + _JITTER_MS)
    if late.size:
        gap_from, gap_to = int(edges[late[0]]), int(edges[late[0] + 1])
        raise DataError(
            "funding rates are missing",
            where=f"{symbol} between {iso_utc(gap_from)} and {iso_utc(gap_to)}",
            remedy=f"`qtm ingest funding --symbols {symbol}` for that period",
        )
    if not np.isfinite(rates).all():
        bad = int(times[~np.isfinite(rates)][0])
        raise DataError("a funding rate is not a number", where=f"{symbol} {iso_utc(bad)}")
    return times, rates


def rates_per_bar(bars: BarSeries, funding: FundingRates) -> npt.NDArray[np.float64]:
    """The rate paid by whoever holds a position when each bar opens; shape (T,), zero where none is due.

    A payment belongs to the bar in whose span its time falls (venue times jitter by milliseconds) and is due
    on the position carried into that bar. Bars longer than the funding interval collect several payments.

    Raises
    ------
    DataError
        Naming the first payment missing between the first and the last bar.
    """
    start, end = int(bars.open_time_ms[0]), int(bars.open_time_ms[-1]) + bars.interval.ms
    times, rates = due_payments(bars.symbol, start, end, funding)
    per_bar = np.zeros(len(bars))
    np.add.at(per_bar, np.searchsorted(bars.open_time_ms, times, side="right") - 1, rates)
    return per_bar
