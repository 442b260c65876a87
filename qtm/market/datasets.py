"""How the lake names and keeps its tables, and which rows a window of one may take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import polars as pl

from qtm.clock import iso_utc
from qtm.errors import DataError
from qtm.market.bars import BarKind
from qtm.market.delta import quoted
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.schemas import BAR_SCHEMA, FUNDING_SCHEMA, TRADE_SCHEMA

INSTRUMENTS = "instruments"


def bars_dataset(market: Market, interval: Interval, kind: BarKind = BarKind.TRADE) -> str:
    """Name of a bar table: `spot_bars_1m`."""
    return f"{market}_{kind}_{interval}"


def funding_dataset(market: Market) -> str:
    """Name of a market's funding table: `um_funding`."""
    return f"{market}_funding"


def trades_dataset(market: Market) -> str:
    """Name of a market's table of aggregate trades: `spot_trades`."""
    return f"{market}_trades"


class TimeTable(NamedTuple):
    """How a table over time is kept: its columns, which is the time, and what tells a symbol's rows apart."""

    schema: Mapping[str, pl.DataType]
    time: str
    key: str


def time_table(dataset: str) -> TimeTable:
    """The layout of a bar, funding or trade table."""
    if dataset.endswith("_funding"):
        return TimeTable(FUNDING_SCHEMA, "funding_time_ms", "funding_time_ms")
    if dataset.endswith("_trades"):
        return TimeTable(TRADE_SCHEMA, "time_ms", "trade_id")
    return TimeTable(BAR_SCHEMA, "open_time_ms", "open_time_ms")


def months_between(start_ms: int, end_ms: int) -> list[str]:
    """The UTC months (`2024-01`) a half-open window touches."""
    if end_ms <= start_ms:
        return []
    first, last = iso_utc(start_ms)[:7], iso_utc(end_ms - 1)[:7]
    year, month = int(first[:4]), int(first[5:])
    months = [first]
    while months[-1] != last:
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        months.append(f"{year:04d}-{month:02d}")
    return months


def month_window(month: str) -> tuple[int, int]:
    """First millisecond of a UTC month `2024-01` and of the next."""
    year, number = int(month[:4]), int(month[5:])
    after = (year + 1, 1) if number == 12 else (year, number + 1)
    ends = (datetime(year, number, 1, tzinfo=UTC), datetime(*after, 1, tzinfo=UTC))
    return int(ends[0].timestamp()) * 1000, int(ends[1].timestamp()) * 1000


class Window(NamedTuple):
    """A half-open stretch of time of some symbols."""

    symbols: tuple[str, ...]
    start_ms: int
    end_ms: int


def window_predicate(window: Window, time: str) -> str:
    """SQL that is true of the rows in a window."""
    first, last = iso_utc(window.start_ms)[:7], iso_utc(window.end_ms - 1)[:7]
    listed = ", ".join(quoted(symbol) for symbol in window.symbols)
    return (
        f"(month >= '{first}' AND month <= '{last}' AND symbol IN ({listed}) "
        f"AND {time} >= {window.start_ms} AND {time} < {window.end_ms})"
    )


def _is_in_order(rows: pl.DataFrame, time: str) -> bool:
    """True when rows are sorted by (month, symbol, time)."""
    month, symbol = pl.col("month"), pl.col("symbol")
    before, same_month = month.shift(), month == month.shift()
    later = (
        (month > before)
        | (same_month & (symbol > symbol.shift()))
        | (same_month & (symbol == symbol.shift()) & (pl.col(time) >= pl.col(time).shift()))
    )
    return bool(rows.select(later.fill_null(True).all()).item())


def writable_rows(
    dataset: str,
    frame: pl.DataFrame,
    layout: TimeTable,
    windows: Sequence[Window],
) -> pl.DataFrame:
    """`frame` as it is stored: columns of the schema and `month`, in order and within the windows."""
    schema, time, key = layout
    missing = [name for name in schema if name not in frame.columns]
    if missing:
        raise DataError(
            f"column {missing[0]!r} is missing", where=dataset, remedy="give the columns of the schema"
        )
    month = pl.from_epoch(time, time_unit="ms").dt.strftime("%Y-%m").alias("month")
    rows = frame.select(pl.col(name).cast(kind) for name, kind in schema.items()).with_columns(month)
    if not _is_in_order(rows, time):
        rows = rows.sort("month", "symbol", time, key)
    holes = [name for name, nulls in rows.null_count().row(0, named=True).items() if nulls]
    if holes:
        raise DataError(
            f"column {holes[0]!r} has nulls", where=dataset, remedy="mend the source; nothing was written"
        )
    inside = pl.any_horizontal(
        pl.col("symbol").is_in(list(window.symbols))
        & pl.col(time).is_between(window.start_ms, window.end_ms, closed="left")
        for window in windows
    )
    repeated = (pl.col("symbol") == pl.col("symbol").shift()) & (pl.col(key) == pl.col(key).shift())
    for broken, what in (
        (rows.filter(~inside), "lies outside the window being written"),
        (rows.filter(repeated), "occurs more than once"),
    ):
        if len(broken):
            symbol, at = broken.select("symbol", time).row(0)
            raise DataError(
                f"{symbol} at {iso_utc(at)} {what}",
                where=dataset,
                remedy="mend the source; nothing was written",
            )
    return rows
