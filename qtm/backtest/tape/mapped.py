"""A tape of the lake's trades as a mapped file: written once, a day at a time, and never held in memory.

The file has the events exactly as the engine reads them, a perpetual's funding payments among them. All runs
of a sweep or an examination, in however many threads, share its pages, which the system may drop and read
again; what a run allocates does not depend on the number of trades.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.backtest.funding import FundingRates
from qtm.backtest.session import DAY_MS
from qtm.backtest.tape.events import (
    BUY_TRADE,
    FUNDING,
    NO_DEPTH,
    SELL_TRADE,
    TAPE_BAR,
    TAPE_EVENT,
    Tape,
    check_events,
    events_of_trades,
    merged,
)
from qtm.backtest.tape.funding import funding_events
from qtm.errors import DataError
from qtm.market.columns import ColumnFiles
from qtm.market.datasets import trades_dataset
from qtm.market.instruments import Instrument
from qtm.market.intervals import Interval

_NS = 1_000_000

LAYOUT = (TAPE_EVENT.descr, BUY_TRADE, SELL_TRADE, FUNDING)
"""How events lie in a file, part of its name: a platform that writes them otherwise reads none of these."""

FundingOf = Callable[[int, int], FundingRates | None]
"""The funding of a span in milliseconds; None where none is due."""


def tape_of_lake(
    files: ColumnFiles,
    instrument: Instrument,
    funding_of: FundingOf,
    *,
    start_ms: int | None = None,
    end_ms: int | None = None,
    version: int | None = None,
    interval: Interval = Interval.M1,
) -> Tape:
    """Every trade of a symbol in a window, and the funding due between them.

    Raises
    ------
    DataError
        Without trades, for one that is out of order or without a price or quantity on the instrument's grid,
        or for a missing payment.
    StoreError
        When the file cannot be written.
    """
    lake, market, symbol = files.lake, instrument.market, instrument.symbol

    def trades(from_ms: int | None, to_ms: int | None) -> pl.LazyFrame:
        return lake.scan_trades(market, symbols=[symbol], start_ms=from_ms, end_ms=to_ms, version=version)

    found = trades(start_ms, end_ms)
    first, last = found.select(first=pl.col("time_ms").min(), last=pl.col("time_ms").max()).collect().row(0)
    if first is None:
        raise DataError(
            "there are no trades to run on", where=f"{market} {symbol}", remedy="`qtm ingest trades` first"
        )
    span = first // interval.ms * interval.ms, last // interval.ms * interval.ms + interval.ms
    funding = funding_of(*span)
    tape = Tape(
        symbol, np.empty(0, TAPE_EVENT), np.empty(0, TAPE_BAR), NO_DEPTH, interval, span[0] * _NS,
        span[1] * _NS, funding=None if funding is None else funding.digest,
    )  # fmt: skip
    payments = np.empty(0, TAPE_EVENT) if funding is None else funding_events(tape, funding)
    grid = str(instrument.tick_size), str(instrument.step_size)
    made_of = hashlib.sha256(repr((LAYOUT, first, last, grid, payments.tobytes())).encode()).hexdigest()[:16]
    path = files.path_of(trades_dataset(market), symbol, version, f"-{made_of}.tape")
    if not path.exists():

        def days() -> Iterator[npt.NDArray[np.void]]:
            for day_ms in range(first // DAY_MS * DAY_MS, last + 1, DAY_MS):
                bounds = max(day_ms, first), min(day_ms + DAY_MS, last + 1)
                day = events_of_trades(trades(*bounds).collect(), instrument)
                check_events(day, symbol)
                due = (payments["ts_ns"] >= day_ms * _NS) & (payments["ts_ns"] < (day_ms + DAY_MS) * _NS)
                yield merged(day, payments[due])

        files.write(path, (day.view(np.uint8).data for day in days()))
    # Copy-on-write keeps the array writable for numba, which compiles read-only ones apart.
    events = np.asarray(np.memmap(path, TAPE_EVENT, mode="c"))
    return dataclasses.replace(tape, events=events)
