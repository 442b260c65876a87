"""The lake's `weights` table: one row per day and symbol, replaced day by day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from assets.partitions import Window, day_text
from qtm.errors import DataError
from qtm.market.lake import Lake, months_between

if TYPE_CHECKING:
    from qtm.portfolio.daily import DailyAllocation

DATASET = "weights"
SCHEMA: dict[str, pl.DataType] = {
    "open_time_ms": pl.Int64(),
    "symbol": pl.String(),
    "weight": pl.Float64(),
    "cvar_component": pl.Float64(),
    "outcome": pl.String(),
}
"""`open_time_ms` names the day at whose close the weights, fractions of capital, hold."""


def write_weights(lake: Lake, window: Window, book: Sequence[DailyAllocation]) -> int:
    """Replace the weights of the days of `window` in one commit; returns the Delta version."""
    rows = [
        (answer.as_of_ms, symbol, float(weight), float(component), answer.allocation.outcome.value)
        for answer in book
        for symbol, weight, component in zip(
            answer.allocation.problem.symbols,
            answer.allocation.weights,
            answer.allocation.components,
            strict=True,
        )
    ]
    month = pl.from_epoch("open_time_ms", time_unit="ms").dt.strftime("%Y-%m").alias("month")
    frame = pl.DataFrame(rows, schema=SCHEMA, orient="row").with_columns(month)
    months = months_between(window.start_ms, window.end_ms)
    predicate = (
        f"month >= '{months[0]}' AND month <= '{months[-1]}' "
        f"AND open_time_ms >= {window.start_ms} AND open_time_ms < {window.end_ms}"
    )
    return lake.tables.overwrite(DATASET, frame, predicate=predicate, partition_by=["month"])


def read_weights(lake: Lake, day_ms: int) -> dict[str, float]:
    """The weights held from the close of a day on.

    Raises
    ------
    DataError
        When that day has none.
    """
    found = pl.DataFrame(schema=SCHEMA)
    if lake.tables.exists(DATASET):
        uris = lake.tables.files(DATASET)["uri"].to_list()
        found = pl.scan_parquet(uris).filter(pl.col("open_time_ms") == day_ms).collect()
    if found.is_empty():
        raise DataError(
            f"no weights for {day_text(day_ms)}",
            where=f"{lake.uri}/{DATASET}",
            remedy="materialise the asset `weights` for that day first",
        )
    return dict(found.sort("symbol").select("symbol", "weight").iter_rows())
