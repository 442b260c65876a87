"""Where rows came from, and that real and synthetic prices never share a dataset."""

from __future__ import annotations

from typing import Any

import dagster as dg
import polars as pl

from qtm.errors import DataError
from qtm.market.choose import ChosenSource
from qtm.market.ingest_log import INGEST_LOG
from qtm.market.lake import Lake


def require_one_kind(lake: Lake, dataset: str, chosen: ChosenSource) -> None:
    """Refuse to add synthetic rows to a dataset of real ones, or real rows to a synthetic one.

    Raises
    ------
    DataError
        Naming what the dataset was made from.
    """
    if not lake.tables.exists(INGEST_LOG):
        return
    log = pl.scan_parquet(lake.tables.files(INGEST_LOG)["uri"].to_list())
    taken_from = log.filter(pl.col("dataset") == dataset).select("source").unique().collect()["source"]
    other = [name for name in taken_from if name.startswith("synthetic") != chosen.is_synthetic]
    if not other:
        return
    if chosen.is_synthetic:
        raise DataError(
            f"{dataset} holds real prices, and only the synthetic market is there now: {chosen.reason}",
            where=f"{lake.uri}/{dataset}, taken from {other[0]}",
            remedy="run again when the archive answers; nothing was written",
        )
    raise DataError(
        f"{dataset} holds synthetic prices; real ones from {chosen.source.name} would be mixed with them",
        where=f"{lake.uri}/{dataset}, taken from {other[0]}",
        remedy="point QTM_LAKE at a new folder, or remove the synthetic lake",
    )


def source_metadata(chosen: ChosenSource) -> dict[str, Any]:
    """Where the rows came from and why, with a warning nobody misses when no price in them ever traded."""
    shown: dict[str, Any] = {"source": chosen.source.name, "source chosen because": chosen.reason}
    if chosen.is_synthetic:
        shown["SYNTHETIC"] = dg.MetadataValue.md(
            "**No price here ever traded.** For trying the platform only."
        )
    return shown
