"""Scenario sets kept in the lake: written in one commit per day, read back with their record.

Whoever optimises, checks orders or reports reads the same rows of the same Delta version.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import numpy as np
import polars as pl

from qtm.clock import iso_utc
from qtm.errors import DataError
from qtm.market.lake import Lake
from qtm.portfolio.scenarios.scenario_set import Backfill, Exclusion, Provenance, ScenarioSet

DATASET = "scenarios"
SCHEMA: dict[str, pl.DataType] = {
    "as_of_ms": pl.Int64(),
    "scenario": pl.Int32(),
    "open_time_ms": pl.Int64(),
    "probability": pl.Float64(),
    "returns": pl.List(pl.Float64()),
    "record": pl.String(),
}
"""One row per scenario; `returns` in the order of the record's symbols, `record` is JSON, the same in every
row of a day. `as_of_ms` is the open time of the last day known."""


@dataclass(frozen=True, slots=True)
class StoredScenarios:
    """A day's scenarios as they lie in the lake, and the Delta version they were read from."""

    as_of_ms: int
    scenarios: ScenarioSet
    version: int


def store_scenarios(lake: Lake, scenarios: ScenarioSet, as_of_ms: int) -> int:
    """Replace the scenarios of the day that opens at `as_of_ms`, in one commit; returns the Delta version.

    A reader sees the day as it was or as it is now. Raises `StoreError` when the lake cannot be written.
    """
    rows = scenarios.returns.shape[0]
    equal = np.full(rows, 1.0 / rows)
    frame = pl.DataFrame(
        {
            "as_of_ms": np.full(rows, as_of_ms, dtype=np.int64),
            "scenario": np.arange(rows, dtype=np.int32),
            "open_time_ms": scenarios.open_time_ms,
            "probability": equal if scenarios.probabilities is None else scenarios.probabilities,
            "returns": pl.Series(list(scenarios.returns), dtype=pl.List(pl.Float64())),
            "record": [_record(scenarios)] * rows,
        },
        schema=SCHEMA,
    ).with_columns(pl.lit(_month(as_of_ms)).alias("month"))
    return lake.tables.overwrite(
        DATASET,
        frame,
        predicate=f"month = '{_month(as_of_ms)}' AND as_of_ms = {as_of_ms}",
        partition_by=["month"],
    )


def load_scenarios(lake: Lake, as_of_ms: int | None = None, *, version: int | None = None) -> StoredScenarios:
    """The scenarios of the day that opens at `as_of_ms`, or of the newest day, at a Delta `version`.

    Raises
    ------
    DataError
        If the lake holds no scenarios of that day.
    """
    days = scenario_days(lake, version=version)
    wanted = (days[-1] if days else None) if as_of_ms is None else as_of_ms
    if wanted is None or wanted not in days:
        when = "" if as_of_ms is None else f" as of {iso_utc(as_of_ms)[:10]}"
        raise DataError(
            f"no scenarios{when}",
            where=f"{lake.uri}/{DATASET}",
            remedy="make them first (asset `scenarios`)",
        )
    at = lake.tables.version(DATASET) if version is None else version
    assert at is not None  # the table has a day, so it has a version
    files = lake.tables.files(DATASET, version=at)
    of_month = files.filter(pl.col("partition.month") == _month(wanted))
    rows = (
        pl.scan_parquet(of_month["uri"].to_list())
        .filter(pl.col("as_of_ms") == wanted)
        .sort("scenario")
        .collect()
    )
    return StoredScenarios(wanted, _set_of(rows), at)


def scenario_days(lake: Lake, *, version: int | None = None) -> list[int]:
    """Open times of the days the lake holds scenarios of, oldest first.

    The table's log tells, unless files of several days were joined.
    """
    if not lake.tables.exists(DATASET):
        return []
    files = lake.tables.files(DATASET, version=version)
    days = files["min.as_of_ms"]
    if (days != files["max.as_of_ms"]).any():
        days = pl.scan_parquet(files["uri"].to_list()).select("as_of_ms").collect()["as_of_ms"]
    return days.unique().sort().to_list()


def _record(scenarios: ScenarioSet) -> str:
    return json.dumps(
        {
            "symbols": scenarios.symbols,
            "model": scenarios.model,
            "equally_likely": scenarios.probabilities is None,
            "excluded": [asdict(entry) for entry in scenarios.excluded],
            "backfilled": [asdict(entry) for entry in scenarios.backfilled],
            "provenance": {
                **asdict(scenarios.provenance),
                "parameters": dict(scenarios.provenance.parameters),
            },
        },
        sort_keys=True,
    )


def _set_of(rows: pl.DataFrame) -> ScenarioSet:
    record = json.loads(rows["record"][0])
    origin = record["provenance"]
    return ScenarioSet(
        symbols=tuple(record["symbols"]),
        open_time_ms=rows["open_time_ms"].to_numpy().astype(np.int64),
        returns=np.array(rows["returns"].to_list(), dtype=np.float64),
        model=record["model"],
        excluded=tuple(Exclusion(**entry) for entry in record["excluded"]),
        backfilled=tuple(Backfill(**entry) for entry in record["backfilled"]),
        probabilities=None if record["equally_likely"] else rows["probability"].to_numpy().astype(np.float64),
        provenance=Provenance(**{**origin, "window_ms": tuple(origin["window_ms"])}),
    )


def _month(time_ms: int) -> str:
    return iso_utc(time_ms)[:7]
