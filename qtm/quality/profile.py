"""Profiles of bar tables: one row of numbers per symbol, and the stretches of time at fault, by DuckDB."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import polars as pl

from qtm.market.bars import BarKind
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, bars_dataset
from qtm.quality import bar_queries as sql
from qtm.quality.checks import REUSE_RATIO, SCALE_RATIO, Check, jump_sigmas, pause_ms, stale_bars

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROWS_AT_ONCE = 1_000_000
"""Symbols are profiled in groups of about this many rows, which bounds the memory."""

Profile = dict[str, Any]
"""The numbers of one symbol by name; `symbol` among them."""


class Span(NamedTuple):
    """A half-open stretch of one symbol's time at fault, and how many rows (or holes) it joins."""

    symbol: str
    from_ms: int
    to_ms: int
    rows: int = 1


class Profiled(NamedTuple):
    """What a look at a table gave: the profiles and, per check that failed, its spans."""

    profiles: list[Profile]
    spans: dict[str, list[Span]]


def profile_bars(
    lake: Lake,
    market: Market,
    interval: Interval,
    kind: BarKind,
    symbols: Sequence[str],
    start_ms: int,
    end_ms: int,
    version: int,
    checks: Sequence[Check],
) -> Profiled:
    """Profile a window of bars.

    Parameters
    ----------
    checks
        The spans of those that a profile breaks are looked up.

    Returns
    -------
    Profiled
        One profile per symbol asked for; a symbol without bars has `rows` 0 and nothing else.
    """
    dataset = bars_dataset(market, interval, kind)
    files = lake.tables.files(dataset, version=version)
    edges = _neighbours(files["uri"].to_list(), symbols, interval.ms, start_ms, end_ms)
    numbers = {
        "step": interval.ms,
        "pause": pause_ms(interval),
        "jump": jump_sigmas(interval),
        "scale": SCALE_RATIO,
        "reuse": REUSE_RATIO,
        "stale": stale_bars(interval),
        "start": start_ms,
        "end": end_ms,
    }
    profiles: dict[str, Profile] = {symbol: {"symbol": symbol, "rows": 0} for symbol in symbols}
    spans: dict[str, list[Span]] = {}
    inside = lake.files_of(dataset, start_ms, end_ms, version=version)
    for group in _groups(symbols, (end_ms - start_ms) // interval.ms):
        steps = _steps(inside, edges, group, interval.ms, start_ms, end_ms)
        with _connection(steps) as connection:
            for statement in (sql.SIGMAS, sql.STALE_RUNS, sql.EDGES):
                connection.execute(statement.format(**numbers))
            for profile in _rows(connection, _profile_query(numbers)):
                profiles[profile["symbol"]] = profile
            for check in checks:
                broken = {symbol for symbol in group if check.is_broken_by(profiles[symbol])}
                if broken and check.spans:
                    found = _rows(connection, sql.SPANS.format(faults=_faults(check, numbers)))
                    held = spans.setdefault(check.name, [])
                    held.extend(Span(**row) for row in found if row["symbol"] in broken)
    return Profiled([profiles[symbol] for symbol in symbols], spans)


def _profile_query(numbers: dict[str, Any]) -> str:
    counts = ",\n    ".join(
        f"count(*) FILTER (inside AND ({sql.BAD_ROWS[condition].format(**numbers)})) AS {column}"
        for column, condition in sql.COUNTED.items()
    )
    return sql.PROFILE.format(counts=counts, **numbers)


def _faults(check: Check, numbers: dict[str, Any]) -> str:
    if check.spans in sql.BAD_ROWS:
        condition = sql.BAD_ROWS[check.spans].format(**numbers)
        return sql.ROW_FAULTS.format(condition=condition, **numbers)
    if check.spans in sql.BAD_STEPS:
        condition = sql.BAD_STEPS[check.spans].format(**numbers)
        return sql.STEP_FAULTS.format(condition=condition, **numbers)
    return {"stale": sql.STALE_FAULTS, "uncovered": sql.UNCOVERED_FAULTS}[check.spans].format(**numbers)


def _neighbours(
    uris: list[str], symbols: Sequence[str], step_ms: int, start_ms: int, end_ms: int
) -> pl.DataFrame:
    """The last bar before the window and the first after it, per symbol.

    One that lies further away than a step is moved to the window's edge without its price: only the part of
    a hole that lies inside the window is the window's.
    """
    columns = {"symbol": pl.String, "open_time_ms": pl.Int64, "open": pl.Float64, "close": pl.Float64}
    if not uris:
        return pl.DataFrame(schema=columns)
    time = pl.col("open_time_ms")
    rows = pl.scan_parquet(uris).filter(pl.col("symbol").is_in(list(symbols))).select(list(columns))
    sides = [
        rows.filter(time < start_ms).group_by("symbol").agg(pl.all().sort_by("open_time_ms").last()),
        rows.filter(time >= end_ms).group_by("symbol").agg(pl.all().sort_by("open_time_ms").first()),
    ]
    near = time.clip(start_ms - step_ms, end_ms)
    prices = [pl.when(near == time).then(pl.col(name)).alias(name) for name in ("open", "close")]
    return pl.concat(pl.collect_all(sides)).with_columns(*prices, near)


def _groups(symbols: Sequence[str], bars_each: int) -> Iterator[list[str]]:
    size = max(1, ROWS_AT_ONCE // max(bars_each, 1))
    for start in range(0, len(symbols), size):
        yield list(symbols[start : start + size])


def _steps(
    uris: Sequence[str],
    edges: pl.DataFrame,
    symbols: Sequence[str],
    step_ms: int,
    start_ms: int,
    end_ms: int,
) -> pl.DataFrame:
    """The bars of a group of symbols with their edges, in order, each beside the one before it."""
    columns = (
        "symbol",
        "open_time_ms",
        "open",
        "high",
        "low",
        "close",
        "volume",
        "quote_volume",
        "taker_base",
    )
    wanted = pl.col("symbol").is_in(list(symbols))
    time = pl.col("open_time_ms")
    pieces = [edges.filter(wanted, time < start_ms), edges.filter(wanted, time >= start_ms)]
    if uris:
        rows = pl.scan_parquet(list(uris)).filter(wanted, time.is_between(start_ms, end_ms, closed="left"))
        pieces.insert(1, rows.select(*columns, pl.lit(True).alias("inside")).collect())
    bars = pl.concat(pieces, how="diagonal").with_columns(pl.col("inside").fill_null(False))
    if len(symbols) > 1 or not bars["open_time_ms"].is_sorted():
        bars = bars.sort("symbol", "open_time_ms")
    same = pl.col("symbol") == pl.col("symbol").shift()
    beside = bars.with_columns(
        pl.when(same).then(time.shift()).alias("before_ms"),
        pl.when(same).then(pl.col("close").shift()).alias("before_close"),
    ).with_columns((time - pl.col("before_ms")).alias("step_ms"))
    close, before = pl.col("close"), pl.col("before_close")
    moved = (pl.col("step_ms") <= step_ms) & (close > 0) & (before > 0)
    still = (pl.col("open") == close) & (pl.col("high") == close) & (pl.col("low") == close)
    return beside.with_columns(
        pl.when(moved).then((close / before).log()).alias("log_return"),
        (still & (close == before) & (pl.col("step_ms") == step_ms)).fill_null(False).alias("stale"),
    )


@contextmanager
def _connection(steps: pl.DataFrame) -> Iterator[DuckDBPyConnection]:
    """An in-memory DuckDB that sees `steps` without a copy."""
    import duckdb
    from arro3.core import Table

    connection = duckdb.connect(":memory:", config={"threads": "2", "memory_limit": "1GB"})
    try:
        connection.register("steps", Table.from_arrow(steps))
        yield connection
    finally:
        connection.close()


def _rows(connection: DuckDBPyConnection, query: str) -> Iterable[Profile]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description or []]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
