"""The bars of many instruments side by side, as tables of shape (T, N); a bar that does not exist is NaN."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.backtest.funding import FundingRates, rates_per_bar
from qtm.clock import iso_utc
from qtm.errors import DataError
from qtm.market.bars import BarSeries, require_order
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval

Floats = npt.NDArray[np.float64]

PRICES = ("open", "high", "low", "close")

_BLOCK = 8_192
"""Rows that are looked at together, so that a mapped panel stays on disk."""

_POPULATE_READ = 22
"""Linux's MADV_POPULATE_READ (5.14 on): map pages at once, where touching them would fault for every few."""

_BROUGHT = 65_536
"""Bytes of a mapped file that Linux brings in around one that is read."""


class MappedTable(NamedTuple):
    """A table in a mapped file: the mapping, the byte it begins at, and the bytes of a row."""

    file: mmap.mmap
    start: int
    row: int

    def bring(self, first: int, last: int) -> None:
        """Have the rows in memory: a processor fetches nothing ahead of its use from pages that are not."""
        begin, end = self._pages(first, last)
        try:
            self.file.madvise(_POPULATE_READ, begin, end + mmap.PAGESIZE - begin)
        except OSError:  # an older Linux, or another system
            np.frombuffer(self.file, np.uint8)[begin : end + mmap.PAGESIZE : _BROUGHT].max(initial=0)

    def forget(self, first: int, last: int) -> None:
        """Tell the system that the rows will not be read again soon: their pages can go."""
        begin, end = self._pages(first, last)
        if end > begin:
            self.file.madvise(mmap.MADV_DONTNEED, begin, end - begin)

    def _pages(self, first: int, last: int) -> tuple[int, int]:
        """Where the page of the first row begins, and that of row `last`."""
        begin, end = self.start + first * self.row, self.start + last * self.row
        return begin // mmap.PAGESIZE * mmap.PAGESIZE, end // mmap.PAGESIZE * mmap.PAGESIZE


class Listed(NamedTuple):
    """One instrument with its bars, and its funding where it is a perpetual that is to pay any."""

    instrument: Instrument
    bars: BarSeries
    funding: FundingRates | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars of N instruments on T common open times, oldest first; every price it holds can be traded at.

    Attributes
    ----------
    instruments
        In order of their keys (`spot:BTCUSDT`), which is also the order in which orders are executed.
    open_time_ms
        Shape (T,), strictly increasing.
    open, high, low, close, volume
        Shape (T, N), row-major. A row that is NaN in the close is a bar that does not exist: the instrument
        cannot be traded then. Pages of mapped files are given back when they have been read, so that what
        somebody wrote into such a table in memory is lost.
    rates
        Funding due at each open, shape (T, N); of shape (0, N) when nothing pays funding.
    funding
        Digest of the funding they were made from; None where there are none, or they came from elsewhere.

    Raises
    ------
    DataError
        When a bar has a price that is not positive, or infinite.
    """

    instruments: tuple[Instrument, ...]
    interval: Interval
    open_time_ms: npt.NDArray[np.int64]
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    rates: Floats
    funding: str | None = None

    def __post_init__(self) -> None:
        mapped = self.mapped()
        for first in range(0, len(self), _BLOCK):
            last = min(first + _BLOCK, len(self))
            self._require_sound(first, last)
            for table in mapped.values():
                table.forget(first, last)

    def __len__(self) -> int:
        return int(self.open_time_ms.shape[0])

    @property
    def names(self) -> tuple[str, ...]:
        """The symbols; with their market in front where the panel spans two."""
        several = len({one.market for one in self.instruments}) > 1
        return tuple(one.key if several else one.symbol for one in self.instruments)

    @property
    def keys(self) -> tuple[str, ...]:
        """The instruments' keys."""
        return tuple(one.key for one in self.instruments)

    @classmethod
    def of(cls, listed: Sequence[Listed]) -> Panel:
        """Lay the bars of several instruments over the union of their open times.

        Raises
        ------
        DataError
            For no instrument, one given twice, different intervals, bars that are empty or out of order, a
            price that cannot be, or funding that is missing.
        """
        if not listed:
            raise DataError("there are no instruments to run on", remedy="name at least one symbol")
        listed = sorted(listed, key=lambda one: one.instrument.key)
        intervals = {one.bars.interval for one in listed}
        if len(intervals) > 1:
            raise DataError("all instruments need the same interval", where=", ".join(sorted(intervals)))
        keys = [one.instrument.key for one in listed]
        doubled = {key for key in keys if keys.count(key) > 1}
        if doubled:
            raise DataError("an instrument is given twice", where=", ".join(sorted(doubled)))
        for one in listed:
            require_order(one.bars)
        times = _union([one.bars.open_time_ms for one in listed])
        funded = any(one.funding is not None for one in listed)
        tables = {name: np.full((times.size, len(listed)), np.nan) for name in (*PRICES, "volume")}
        rates = np.zeros((times.size if funded else 0, len(listed)))
        for column, one in enumerate(listed):
            rows = np.searchsorted(times, one.bars.open_time_ms)
            for name, table in tables.items():
                table[rows, column] = getattr(one.bars, name)
            if one.funding is not None:
                rates[rows, column] = rates_per_bar(one.bars, one.funding)
        instruments, funding = tuple(one.instrument for one in listed), _funding_of(listed)
        return cls(instruments, intervals.pop(), times, **tables, rates=rates, funding=funding)

    def slice(self, start: int, stop: int) -> Panel:
        """Rows `start` to `stop` (exclusive) as views."""
        cut: dict[str, Any] = {
            name: getattr(self, name)[start:stop] for name in ("open_time_ms", *PRICES, "volume", "rates")
        }
        return replace(self, **cut)

    def take(self, columns: Sequence[int]) -> Panel:
        """Some of the instruments, in the order of the panel, on the rows where any of them has a bar."""
        chosen = np.array(sorted(columns))
        rows = np.flatnonzero(np.isfinite(self.close[:, chosen]).any(axis=1))
        where = np.ix_(rows, chosen)
        cut: dict[str, Any] = {
            name: np.ascontiguousarray(getattr(self, name)[where]) for name in (*PRICES, "volume")
        }
        rates = self.rates[where] if len(self.rates) else self.rates[:, chosen]
        return replace(
            self,
            instruments=tuple(self.instruments[int(n)] for n in chosen),
            open_time_ms=self.open_time_ms[rows],
            **cut,
            rates=rates,
        )

    def series(self, column: int) -> BarSeries:
        """The bars of one instrument, without the rows where it has none."""
        rows = np.flatnonzero(np.isfinite(self.close[:, column]))
        return BarSeries(
            self.instruments[column].symbol,
            self.interval,
            self.open_time_ms[rows],
            *(np.ascontiguousarray(getattr(self, name)[rows, column]) for name in (*PRICES, "volume")),
        )

    @property
    def is_margined(self) -> bool:
        """True when any of the instruments trades on a margin account."""
        return any(one.market is not Market.SPOT for one in self.instruments)

    def _require_sound(self, first: int, last: int) -> None:
        """Raise DataError naming the first price of a block that is missing, infinite or not positive."""
        close = self.close[first:last]
        exists = close == close
        for name in PRICES:
            table = getattr(self, name)[first:last]
            wrong = exists & ~((table > 0.0) & (table < np.inf))
            if wrong.any():
                row, column = np.argwhere(wrong)[0]
                raise DataError(
                    f"the {name} price is {float(table[row, column])!r}",
                    where=f"{self.instruments[column].key} {iso_utc(int(self.open_time_ms[first + row]))}",
                    remedy="run the quality checks on this period",
                )

    def mapped(self) -> dict[str, MappedTable]:
        """The tables that lie in mapped files, by name."""
        found = {}
        for name in (*PRICES, "volume"):
            table = getattr(self, name)
            base: Any = table
            while isinstance(base, np.ndarray):
                base = base.base
            if isinstance(base, mmap.mmap):
                start = table.ctypes.data - np.frombuffer(base, np.uint8).ctypes.data
                found[name] = MappedTable(base, start, table.strides[0])
        return found


def _union(columns: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """All open times once, in order; the usual case of equal columns costs no sorting."""
    first = columns[0]
    if all(np.array_equal(first, column) for column in columns[1:]):
        return np.ascontiguousarray(first, dtype=np.int64)
    return np.unique(np.concatenate(columns)).astype(np.int64)


def _funding_of(listed: Sequence[Listed]) -> str | None:
    """One digest for the funding of all instruments; that of the only one is its own."""
    named = [(one.instrument.key, one.funding.digest) for one in listed if one.funding is not None]
    if len(named) > 1:
        return hashlib.sha256(repr(named).encode()).hexdigest()[:16]
    return named[0][1] if named else None
