"""Make a range of days at once, without waiting for the daemon between runs.

The same assets with the same bookkeeping as a backfill from the UI, one calendar month after the other in
this process; the first month that fails ends it. Example:

    python -m pipelines.backfill --from 2024-01-01 --to 2024-03-31 --select "bars_1m*"
"""

from __future__ import annotations

import calendar
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import dagster as dg
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from qtm.errors import ConfigError, QtmError

RANGE_START, RANGE_END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
"""Run tags by which a range of partitions is made in one run."""

DEFAULT_SELECTION = 'group:"market"'
_QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


def calendar_months(first: date, last: date) -> Iterator[tuple[date, date]]:
    """The months of `first` to `last`, each as its first and last day, cut to that range."""
    while first <= last:
        month_end = first.replace(day=calendar.monthrange(first.year, first.month)[1])
        yield first, min(month_end, last)
        first = month_end + timedelta(days=1)


def selected_assets(defs: dg.Definitions, selection: str) -> list[dg.AssetKey]:
    """The daily or unpartitioned assets a selection such as `bars_1m*` or `group:"risk"` names.

    Research that is downstream of them is cut by strategies, not by days, and is left out.

    Raises
    ------
    ConfigError
        When it cannot be read, names nothing, or names nothing but assets cut by something other than days.
    """
    graph = defs.resolve_asset_graph()
    try:
        keys = dg.AssetSelection.from_string(selection).resolve(graph)
    except (dg.DagsterError, ValueError) as error:
        raise ConfigError(
            f"the selection cannot be read: {str(error).splitlines()[0]}",
            where=f"--select {selection}",
            remedy="try bars_1m*, group:market or key:weights or key:risk_report",
        ) from None
    if not keys:
        known = ", ".join(sorted(key.to_user_string() for key in graph.materializable_asset_keys))
        raise ConfigError(
            "the selection names no asset", where=f"--select {selection}", remedy=f"known: {known}"
        )
    daily = [
        key
        for key in keys
        if isinstance(graph.get(key).partitions_def, dg.TimeWindowPartitionsDefinition | None)
    ]
    if not daily:
        raise ConfigError(
            f"{min(keys).to_user_string()} is not made day by day",
            where=f"--select {selection}",
            remedy="leave it out; materialise it from Dagster's UI",
        )
    return sorted(daily)


def materialise_days(
    defs: dg.Definitions,
    assets: list[dg.AssetKey],
    first: date,
    last: date,
    instance: dg.DagsterInstance,
) -> dg.ExecuteInProcessResult:
    """Make `assets` for the days `first` to `last` (inclusive) in one recorded run of this process."""
    return defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        asset_selection=assets,
        tags={
            RANGE_START: first.isoformat(),
            RANGE_END: last.isoformat(),
        },
        run_config=_QUIET,
    )


@contextmanager
def recording_instance(ephemeral: bool) -> Iterator[dg.DagsterInstance]:
    """The instance of `DAGSTER_HOME`, else of ./dagster.yaml, or one that forgets when the command ends."""
    if ephemeral:
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance
        return
    if not os.environ.get("DAGSTER_HOME"):
        if not Path("dagster.yaml").is_file():
            raise ConfigError(
                "no Dagster instance here",
                where=str(Path.cwd()),
                remedy="run in the folder of dagster.yaml, set DAGSTER_HOME, or add --ephemeral",
            )
        os.environ["DAGSTER_HOME"] = str(Path.cwd())
    with dg.DagsterInstance.get() as instance:
        yield instance


def backfill(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First UTC day.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last UTC day, included.")],
    select: Annotated[str, typer.Option(help="Assets, in Dagster's selection syntax.")] = DEFAULT_SELECTION,
    ephemeral: Annotated[
        bool, typer.Option(help="Keep no record of the runs (the data stays in the lake).")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Make a range of days in this process, month by month.

    Example: python -m pipelines.backfill --from 2024-01-01 --to 2024-03-31 --select "bars_1m*"
    """
    if last < first:
        raise ConfigError(
            f"--to {last:%Y-%m-%d} is before --from {first:%Y-%m-%d}", remedy="swap the two dates"
        )
    from pipelines.definitions import defs

    assets = selected_assets(defs, select)
    require_partitions(defs, assets, first.date(), last.date())
    started = time.perf_counter()
    spans = list(calendar_months(first.date(), last.date()))
    with recording_instance(ephemeral) as instance, _progress() as progress:
        task = progress.add_task("", total=len(spans))
        for month_first, month_last in spans:
            progress.update(task, description=f"{month_first:%Y-%m}")
            materialise_days(defs, assets, month_first, month_last, instance)
            progress.advance(task)
    summary = {
        "assets": [key.to_user_string() for key in assets],
        "from": first.date().isoformat(),
        "to": last.date().isoformat(),
        "runs": len(spans),
        "seconds": round(time.perf_counter() - started, 2),
    }
    if as_json:
        sys.stdout.write(json.dumps(summary) + "\n")
    else:
        Console().print(
            f"{len(assets)} assets from {summary['from']} to {summary['to']}: "
            f"{len(spans)} runs in {summary['seconds']} s"
        )


def require_partitions(defs: dg.Definitions, assets: list[dg.AssetKey], first: date, last: date) -> None:
    """Raise ConfigError when a day of the range is not offered by one of the assets."""
    graph = defs.resolve_asset_graph()
    for key in assets:
        partitions = graph.get(key).partitions_def
        if partitions is None:
            continue
        for day in (first, last):
            if not partitions.has_partition_key(day.isoformat()):
                offered = partitions.get_first_partition_key(), partitions.get_last_partition_key()
                raise ConfigError(
                    f"{key.to_user_string()} has no partition {day}",
                    where="--from/--to",
                    remedy=f"it runs from {offered[0]} (setting market.history_start) to {offered[1]}, "
                    "the last closed day",
                )


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def main() -> None:
    """Run the command; a failure the user can act on ends in one line on stderr."""
    try:
        typer.run(backfill)
    except QtmError as error:
        sys.stderr.write(f"backfill: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
