"""The lake's `weights` table: one row per day and symbol with the mandate it was made under."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from assets.partitions import Window
from qtm.errors import DataError
from qtm.market.lake import Lake, months_between

if TYPE_CHECKING:
    from qtm.portfolio.daily import DailyAllocation
    from qtm.portfolio.mandate import Mandate

DATASET = "weights"
SCHEMA: dict[str, pl.DataType] = {
    "open_time_ms": pl.Int64(),
    "symbol": pl.String(),
    "weight": pl.Float64(),
    "cvar_component": pl.Float64(),
    "outcome": pl.String(),
    "mandate": pl.String(),
}
"""`open_time_ms` names the day at whose close the weights, fractions of capital, hold; `mandate` is JSON."""


class Book(NamedTuple):
    """The weights of one day and the mandate they were made under."""

    weights: dict[str, float]
    mandate: Mandate


def write_weights(lake: Lake, window: Window, book: Sequence[DailyAllocation]) -> int:
    """Replace the weights of the days of `window` in one commit; returns the Delta version."""
    rows = []
    for answer in book:
        mandate = json.dumps(asdict(answer.mandate), sort_keys=True)
        allocation = answer.allocation
        rows += [
            (answer.as_of_ms, symbol, float(weight), float(component), allocation.outcome.value, mandate)
            for symbol, weight, component in zip(
                allocation.problem.symbols, allocation.weights, allocation.components, strict=True
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


def read_books(lake: Lake, window: Window) -> dict[int, Book]:
    """The books held from the closes of the days of `window` on, by day in milliseconds.

    Days without a book are left out.

    Raises
    ------
    DataError
        When no day of the window has one.
    """
    found = pl.DataFrame(schema=SCHEMA)
    if lake.tables.exists(DATASET):
        uris = lake.tables.files(DATASET)["uri"].to_list()
        inside = pl.col("open_time_ms").is_between(window.start_ms, window.end_ms, closed="left")
        found = pl.scan_parquet(uris).filter(inside).sort("open_time_ms", "symbol").collect()
    if found.is_empty():
        raise DataError(
            f"no weights for {window}",
            where=f"{lake.uri}/{DATASET}",
            remedy="materialise the asset `weights` first",
        )
    books = {}
    for (day_ms,), rows in found.partition_by("open_time_ms", as_dict=True, maintain_order=True).items():
        weights = dict(rows.select("symbol", "weight").iter_rows())
        books[int(day_ms)] = Book(weights, _mandate(rows["mandate"][0]))
    return books


def _mandate(text: str) -> Mandate:
    from qtm.portfolio.mandate import Mandate

    return Mandate.from_record(json.loads(text))
