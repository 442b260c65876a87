"""The ingestion's log: which files and windows the lake has taken, with the digests of their content."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import polars as pl

from qtm.errors import ConfigError
from qtm.market.delta import quoted
from qtm.market.lake import Lake
from qtm.market.source import SYNTHETIC, Part, Source

INGEST_LOG = "ingest_log"
LOG_SCHEMA: dict[str, pl.DataType] = {
    "dataset": pl.String(),
    "symbol": pl.String(),
    "origin": pl.String(),
    "digest": pl.String(),
    "start_ms": pl.Int64(),
    "end_ms": pl.Int64(),
    "rows": pl.Int64(),
    "size": pl.Int64(),
    "version": pl.Int64(),
    "source": pl.String(),
}
"""One row per (dataset, origin): what was taken from a file or window, and the version that first held it."""


class Taken(NamedTuple):
    """What the lake already took from one origin."""

    digest: str
    start_ms: int
    end_ms: int

    def covers(self, part: Part) -> bool:
        """True when the origin is unchanged and the part's window was taken from it."""
        return part.digest == self.digest and self.start_ms <= part.start_ms and part.end_ms <= self.end_ms

    def joined(self, part: Part) -> tuple[int, int]:
        """The window taken from the origin once `part` is taken too (days arrive one by one)."""
        touches = part.start_ms <= self.end_ms and self.start_ms <= part.end_ms
        if part.digest != self.digest or not touches:
            return part.start_ms, part.end_ms
        return min(self.start_ms, part.start_ms), max(self.end_ms, part.end_ms)


def taken_parts(lake: Lake, dataset: str) -> dict[str, Taken]:
    """What the lake already took into a dataset, by origin."""
    if not (lake.tables.exists(INGEST_LOG) and lake.tables.exists(dataset)):
        return {}
    log = pl.scan_parquet(lake.tables.files(INGEST_LOG)["uri"].to_list())
    rows = log.filter(pl.col("dataset") == dataset).select("origin", "digest", "start_ms", "end_ms")
    return {origin: Taken(digest, start, end) for origin, digest, start, end in rows.collect().iter_rows()}


def note_taken(
    lake: Lake,
    dataset: str,
    source: Source,
    version: int,
    taken: Sequence[tuple[Part, int, int]],
    known: Mapping[str, Taken],
) -> None:
    """Log parts as (part, rows, bytes) with the version that first holds them."""
    log = []
    for part, count, size in taken:
        start, end = known[part.origin].joined(part) if part.origin in known else (part.start_ms, part.end_ms)
        log.append(
            (dataset, part.symbol, part.origin, part.digest, start, end, count, size, version, source.name)
        )
    rows = pl.DataFrame(log, schema=LOG_SCHEMA, orient="row")
    origins = ", ".join(quoted(origin) for origin in rows["origin"])
    predicate = f"dataset = {quoted(dataset)} AND origin IN ({origins})"
    lake.tables.overwrite(INGEST_LOG, rows, predicate=predicate)


def refuse_mixing(lake: Lake, source: Source, dataset: str) -> None:
    """Keep synthetic prices and prices that traded out of one table."""
    if not (lake.tables.exists(INGEST_LOG) and lake.tables.exists(dataset)):
        return
    log = pl.scan_parquet(lake.tables.files(INGEST_LOG)["uri"].to_list())
    names = log.filter(pl.col("dataset") == dataset).select(pl.col("source").unique()).collect()["source"]
    for name in names:
        if name.startswith(SYNTHETIC) != source.name.startswith(SYNTHETIC):
            raise ConfigError(
                f"{dataset} holds history from the {name}; the {source.name} would mix with it",
                where=lake.uri,
                remedy="keep synthetic and real history apart: set QTM_HOME to another folder",
            )
