"""Looking after the lake: join the files of a finished month, delete files that no version in use names.

Every ingestion of a day adds files; `compact` rewrites a month as one sorted file. The files it replaced stay
readable through the old versions until `vacuum` deletes those that neither the present, nor the recent past,
nor any version a recorded result was made from still needs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import polars as pl

from qtm.clock import Clock, SystemClock
from qtm.errors import ConfigError, DataError
from qtm.market.lake import Lake, Window, month_window, time_table

ROWS_PER_BATCH = 500_000
LEAST_RETENTION_DAYS = 1
"""A reader that opened a version just now is never left without its files."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """A month that was rewritten: its files before, and the version that holds it as one file."""

    month: str
    files_before: int
    version: int


def compact(lake: Lake, dataset: str, *, clock: Clock | None = None) -> list[Compacted]:
    """Rewrite every month that is over and has more than one file as one file, sorted by symbol and time.

    The rows do not change, and old versions stay readable.

    Raises
    ------
    DataError
        For a dataset that is not partitioned by month.
    """
    schema, _, key = time_table(dataset)
    files = lake.tables.files(dataset)
    if "partition.month" not in files.columns:
        raise DataError(
            f"{dataset} is not kept by month", where=lake.uri, remedy="name a bar or funding table"
        )
    now_ms = (clock or SystemClock()).now_ms()
    done = []
    by_month = files.group_by("partition.month").agg("uri").sort("partition.month")
    for month, uris in by_month.iter_rows():
        first, last = month_window(month)
        if len(uris) < 2 or last > now_ms:
            continue
        rows = pl.scan_parquet(uris).select(list(schema)).sort("symbol", key).collect()

        def batches(rows: pl.DataFrame = rows) -> Iterator[pl.DataFrame]:
            yield from rows.iter_slices(ROWS_PER_BATCH)

        window = Window(tuple(rows["symbol"].unique().sort()), first, last)
        version = lake.replace(dataset, batches, [window], commit={"qtm.upkeep": f"compacted {month}"})
        done.append(Compacted(month, len(uris), version))
    return done


def vacuum(
    lake: Lake, dataset: str, *, older_than_days: int, keep: Collection[int], dry_run: bool = False
) -> list[str]:
    """Delete the files of a dataset that nothing needs any more; returns their names.

    Needed are the files of the present version, of every version `keep` names, and whatever was replaced
    within the last `older_than_days` days.

    Raises
    ------
    ConfigError
        When less than a day would be kept.
    """
    if older_than_days < LEAST_RETENTION_DAYS:
        raise ConfigError(
            f"a vacuum of files younger than {LEAST_RETENTION_DAYS} day could take them from a reader",
            where="older than",
            remedy="keep at least a day",
        )
    table = lake.tables.open(dataset)
    return list(
        table.vacuum(
            retention_hours=24 * older_than_days,
            dry_run=dry_run,
            enforce_retention_duration=False,
            full=True,
            keep_versions=sorted(version for version in keep if 0 <= version <= table.version()),
        )
    )
