"""The units of work a person or a schedule starts."""

from __future__ import annotations

import dagster as dg

DAILY_CLOSE = dg.define_asset_job(
    "daily_close",
    selection=(
        dg.AssetSelection.groups("market", "quality", "portfolio", "risk")
        - dg.AssetSelection.assets("live_trading", "lake_coverage", "compacted_months", "risk_roll_ups")
    ),
    description=(
        "One closed UTC day from the venue to the risk report: fetch, check, transform, weights, report. "
        "A blocking check that fails stops everything after it, and the report of that day is not written."
    ),
)
HISTORY = dg.define_asset_job(
    "history",
    selection=dg.AssetSelection.groups("market") - dg.AssetSelection.assets("compacted_months"),
    description="Market data only, for filling the lake with past days before any research.",
)
RESEARCH = dg.define_asset_job(
    "research",
    selection=dg.AssetSelection.groups("research"),
    description="One strategy on what the lake holds: backtest, sweep, walk-forward and the verdict on luck.",
)
LIVE_RECORD = dg.define_asset_job(
    "live_record",
    selection=dg.AssetSelection.assets("live_trading"),
    description="Summarise the execution journal of the running account; started by the journal sensor.",
)

COVERAGE = dg.define_asset_job(
    "coverage",
    selection=dg.AssetSelection.assets("lake_coverage"),
    description="What the lake holds, and whether the day that closed at midnight is in it.",
)

UPKEEP = dg.define_asset_job(
    "upkeep",
    selection=dg.AssetSelection.assets("compacted_months"),
    description="Join the files of every month that is over into one sorted file.",
)

ROLL_UPS = dg.define_asset_job(
    "roll_ups",
    selection=dg.AssetSelection.assets("risk_roll_ups"),
    description="The week and the month of risk, summed up from the daily reports.",
)

JOBS = (DAILY_CLOSE, HISTORY, RESEARCH, LIVE_RECORD, COVERAGE, UPKEEP, ROLL_UPS)
