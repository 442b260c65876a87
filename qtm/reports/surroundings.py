"""What the risk report takes from outside the book: hourly prices, funding, waivers, the running account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from qtm.errors import DataError, RiskError
from qtm.execution.day_record import DayRecord, read_day
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, bars_dataset, funding_dataset
from qtm.portfolio.daily import DailyAllocation
from qtm.quality.record import waivers
from qtm.reports.risk_figures import FundingLine
from qtm.risk.back_cast import back_cast
from qtm.risk.limits import LimitTree
from qtm.risk.measures import Floats
from qtm.store.database import Database

DAY_MS = 86_400_000
HOURS = 24 * 180
"""Hours looked at for measures over one hour."""

_FUNDING_DAYS = 30


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lies around the book on its day; everything may be missing.

    `hourly` are hourly returns of the book, shape (H,); None where the lake's hourly bars do not cover it.
    """

    hourly: Floats | None = None
    funding: tuple[FundingLine, ...] = ()
    waivers: tuple[str, ...] = ()
    record: DayRecord | None = None
    limits: LimitTree | None = None


def read_surroundings(
    lake: Lake,
    answer: DailyAllocation,
    database: Database | None = None,
    limits: LimitTree | None = None,
) -> Surroundings:
    """Everything the lake and the operational database hold for the day of `answer`.

    Parameters
    ----------
    database
        None where no stream ever ran.
    limits
        The limit tree the accounts trade under: their desks and bounds.
    """
    symbols, weights = answer.allocation.problem.symbols, answer.allocation.weights
    end_ms = answer.as_of_ms + DAY_MS
    record = None
    if database is not None:
        with database.read() as connection:
            record = read_day(connection, answer.as_of_ms, end_ms)
    return Surroundings(
        hourly=hourly_path(lake, symbols, weights, end_ms),
        funding=_funding(lake, symbols, weights, end_ms),
        waivers=_waivers(lake, end_ms),
        record=record,
        limits=limits,
    )


def hourly_path(lake: Lake, symbols: Sequence[str], weights: Floats, end_ms: int) -> Floats | None:
    """Hourly returns of the book over the last `HOURS`; None where nine tenths of it have no hourly bars."""
    dataset = bars_dataset(Market.SPOT, Interval.H1)
    if not lake.tables.exists(dataset) or not np.abs(weights).any():
        return None
    start_ms = end_ms - HOURS * Interval.H1.ms
    rows = lake.scan_bars(Market.SPOT, Interval.H1, symbols=list(symbols), start_ms=start_ms, end_ms=end_ms)
    frame = rows.select("symbol", "open_time_ms", "close").collect()
    if frame.is_empty():
        return None
    wide = frame.pivot(on="symbol", index="open_time_ms", values="close").sort("open_time_ms")
    missing = [
        pl.lit(None, dtype=pl.Float64).alias(symbol) for symbol in symbols if symbol not in wide.columns
    ]
    closes = wide.with_columns(missing).select(symbols).cast(pl.Float64).fill_null(np.nan).to_numpy()
    try:
        path, _ = back_cast(closes, weights)
    except RiskError:
        return None  # the hours held do not cover the book, which the report says
    return path


def _funding(lake: Lake, symbols: Sequence[str], weights: Floats, end_ms: int) -> tuple[FundingLine, ...]:
    if not lake.tables.exists(funding_dataset(Market.UM)):
        return ()
    start_ms = end_ms - _FUNDING_DAYS * DAY_MS
    day = (pl.col("funding_time_ms") // DAY_MS * DAY_MS).alias("day")
    days = (
        lake.scan_funding(Market.UM, start_ms=start_ms, end_ms=end_ms)
        .group_by("symbol", day)
        .agg(pl.col("rate").cast(pl.Float64).sum())
        .collect()
    )
    held = dict(zip(symbols, weights, strict=True))
    lines = []
    for (symbol,), found in days.sort("symbol", "day").partition_by("symbol", as_dict=True).items():
        last = found.filter(pl.col("day") == end_ms - DAY_MS)["rate"]
        lines.append(
            FundingLine(
                symbol=str(symbol),
                last_day=float(last[0]) if len(last) else float("nan"),
                month=float(found["rate"].to_numpy().mean()) * 365.0,
                highest=float(found["rate"].to_numpy().max()),
                weight=float(held.get(str(symbol), 0.0)),
            )
        )
    return tuple(lines)


def _waivers(lake: Lake, now_ms: int) -> tuple[str, ...]:
    try:
        granted = waivers(lake, bars_dataset(Market.SPOT, Interval.D1))
    except DataError:
        return ()
    in_force = (one for one in granted if one.granted_ms <= now_ms < one.until_ms)
    return tuple(f"{one.symbol} {one.check}: {one.who}, {one.why}" for one in in_force)
