"""Group `quality`: what the lake is worth today, and its upkeep, over all datasets.

The checks themselves belong to the datasets they judge (see `assets.quality_checks`).
"""

import dagster as dg

from assets.checks import verdict_over_datasets
from assets.failures import failures_in_words
from assets.market import bars_1d, bars_1h, bars_1m, um_bars_5m, um_funding
from assets.partitions import DAY_MS, day_text
from assets.presentation import table
from assets.resources import MarketLake
from qtm.clock import SystemClock
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, bars_dataset

GROUP = "quality"
OWNERS = ["team:market-data"]

DAILY_DATASETS = tuple(bars_dataset(Market.SPOT, each) for each in (Interval.M1, Interval.H1, Interval.D1))
"""Datasets that must hold every closed day."""

EVERY_DATASET = [
    dg.AssetDep(each, partition_mapping=dg.AllPartitionMapping())
    for each in (bars_1m, bars_1h, bars_1d, um_bars_5m, um_funding)
]
TIME_TABLES = ("spot_bars_", "um_bars_", "um_funding")
"""How the names of the tables of bars and funding rates begin."""


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"deltalake"},
    deps=EVERY_DATASET,
    check_specs=[
        dg.AssetCheckSpec(
            "up_to_date",
            asset="lake_coverage",
            description="The spot datasets hold the day that closed at 00:00 UTC. Asked of the data itself: "
            "making an old day again does not turn this green.",
        )
    ],
    description=(
        "What every dataset of the lake holds: symbols, rows, first and last day, days behind, Delta "
        "version. Made every morning after the daily run; `up_to_date` fails when yesterday is missing."
    ),
)
def lake_coverage(lake: MarketLake) -> dg.MaterializeResult:
    """The lake's inventory and whether yesterday is in it."""
    opened, yesterday = lake.open(), SystemClock().now_ms() // DAY_MS - 1
    rows, late = [], {}
    for dataset in sorted({*DAILY_DATASETS, *opened.datasets()}):
        row = inventory(opened, dataset, yesterday)
        if row is None:
            late.update({dataset: "holds nothing"} if dataset in DAILY_DATASETS else {})
            continue
        rows.append(row)
        if dataset in DAILY_DATASETS and row["days behind"]:
            late[dataset] = f"newest day {row['last day']}, {row['days behind']} days behind"
    return dg.MaterializeResult(
        metadata={"datasets": len(rows), "inventory": table(rows), "lake": dg.MetadataValue.path(opened.uri)},
        check_results=[verdict_over_datasets("up_to_date", len(DAILY_DATASETS), late)],
    )


@dg.asset(
    group_name=GROUP,
    owners=OWNERS,
    kinds={"deltalake"},
    deps=EVERY_DATASET,
    description=(
        "Months that are over, rewritten as one file sorted by symbol and time: every day ingested adds "
        "files, and one sorted file reads several times faster. Rows do not change, and versions that a "
        "result names stay readable."
    ),
)
def compacted_months(context: dg.AssetExecutionContext, lake: MarketLake) -> dg.MaterializeResult:
    """Join the files of finished months, dataset by dataset."""
    from qtm.market.upkeep import compact

    opened, rows = lake.open(), []
    with failures_in_words():
        for dataset in opened.datasets():
            if not dataset.startswith(TIME_TABLES):
                continue
            for month in compact(opened, dataset):
                rows.append({"dataset": dataset, "month": month.month, "files before": month.files_before})
                context.log.info(f"{dataset} {month.month}: {month.files_before} files joined")
    return dg.MaterializeResult(metadata={"months rewritten": len(rows), "months": table(rows)})


def inventory(lake: Lake, dataset: str, yesterday: int) -> dict[str, object] | None:
    """What one table of bars or funding rates holds; None when it is another kind of table, or empty.

    `yesterday` counts UTC days since 1970-01-01.
    """
    if not dataset.startswith(TIME_TABLES) or not lake.tables.exists(dataset):
        return None
    held = lake.coverage(dataset)
    if held.is_empty():
        return None
    first, last = int(held["first_ms"].min()), int(held["last_ms"].max())  # type: ignore[arg-type]
    files = lake.tables.files(dataset)
    return {
        "dataset": dataset,
        "symbols": len(held),
        "rows": int(held["rows"].sum()),
        "first day": day_text(first),
        "last day": day_text(last),
        "days behind": max(0, yesterday - last // DAY_MS),
        "files": len(files),
        "MB": round(float(files["size_bytes"].sum()) / 1e6, 2),
        "delta version": lake.version(dataset),
    }
