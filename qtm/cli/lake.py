"""`qtm lake show | compact | vacuum` and `qtm sql`: what the lake holds, and looking after it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from qtm.cli.arguments import JsonOption, print_json
from qtm.settings import settings

DatasetArgument = Annotated[str, typer.Argument(help="A dataset as `qtm lake show` names it.")]


def register(app: typer.Typer) -> None:
    """Add the lake commands to the command line."""
    group = typer.Typer(help="What the lake holds, and looking after it.", no_args_is_help=True)
    group.command("show")(show)
    group.command("compact")(compact)
    group.command("vacuum")(vacuum)
    app.add_typer(group, name="lake")
    app.command("sql")(sql)


def show(as_json: JsonOption = False) -> None:
    """List the datasets with their symbols, rows, time, files and version.

    Example: [bold]qtm lake show[/bold]
    """
    from qtm.clock import iso_utc
    from qtm.market.lake import Lake

    lake = Lake.from_settings(settings())
    rows: list[dict[str, Any]] = []
    for dataset in lake.datasets():
        files = lake.tables.files(dataset)
        row: dict[str, Any] = {"dataset": dataset, "symbols": None, "rows": int(files["rows"].sum()),
                               "first": None, "last": None}  # fmt: skip
        if "partition.month" in files.columns and len(files):
            held = lake.coverage(dataset)
            first, last = held.select(first=held["first_ms"].min(), last=held["last_ms"].max()).row(0)
            row |= {"symbols": len(held), "first": iso_utc(first), "last": iso_utc(last)}
        size = float(files["size_bytes"].sum()) / 1e6
        rows.append(row | {"files": len(files), "mb": round(size, 2), "version": lake.version(dataset)})
    if as_json:
        print_json({"lake": lake.uri, "datasets": rows})
        return
    table = Table("Dataset", "Symbols", "Rows", "First (UTC)", "Last (UTC)", "Files", "MB", "Version")
    for row in rows:
        table.add_row(
            row["dataset"],
            str(row["symbols"] or ""),
            f"{row['rows']:,}",
            (row["first"] or "")[:16],
            (row["last"] or "")[:16],
            str(row["files"]),
            f"{row['mb']:,.2f}",
            str(row["version"]),
        )
    console = Console()
    console.print(lake.uri, highlight=False)
    console.print(table)


def compact(dataset: DatasetArgument, as_json: JsonOption = False) -> None:
    """Join the files of every month that is over into one sorted file.

    Example: [bold]qtm lake compact spot_bars_1m[/bold]
    """
    from qtm.market import upkeep
    from qtm.market.lake import Lake

    done = upkeep.compact(Lake.from_settings(settings()), dataset)
    rows = [{"month": one.month, "files_before": one.files_before, "version": one.version} for one in done]
    if as_json:
        print_json({"dataset": dataset, "compacted": rows})
        return
    console = Console()
    for row in rows:
        console.print(f"{row['month']}: {row['files_before']} files became one (version {row['version']})")
    if not rows:
        console.print(f"{dataset}: every month that is over is one file already")


def vacuum(
    dataset: DatasetArgument,
    older_than: Annotated[
        int, typer.Option("--older-than", min=1, help="Days a replaced file is kept.")
    ] = 30,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete replaced files, except those of a version that a recorded result was made from.

    Example: [bold]qtm lake vacuum spot_bars_1m --older-than 30 --dry-run[/bold]
    """
    from qtm.backtest.registry import TrialRegistry
    from qtm.market import upkeep
    from qtm.market.lake import Lake

    lake = Lake.from_settings(settings())
    kept = TrialRegistry.open(settings().database).lake_versions(dataset)
    gone = upkeep.vacuum(lake, dataset, older_than_days=older_than, keep=set(kept), dry_run=dry_run)
    if as_json:
        print_json({"dataset": dataset, "dry_run": dry_run, "files": gone, "versions_kept": kept})
        return
    console = Console()
    console.print(f"{dataset}: {len(gone)} files {'would go' if dry_run else 'deleted'}")
    console.print(f"versions that results name, kept whole: {', '.join(map(str, kept)) or 'none'}")


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT; each dataset of the lake is a table.")],
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows to show.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Ask the lake a question in SQL.

    Example: [bold]qtm sql "SELECT symbol, count(*) AS bars FROM spot_bars_1m GROUP BY symbol"[/bold]
    """
    from qtm.market.lake import Lake

    answer = Lake.from_settings(settings()).sql(query)
    if as_json:
        print_json({"columns": answer.columns, "rows": answer.to_dicts()})
        return
    table = Table(*answer.columns)
    for row in answer.head(rows).iter_rows():
        table.add_row(*("" if value is None else str(value) for value in row))
    console = Console()
    console.print(table)
    if len(answer) > rows:
        console.print(f"{len(answer) - rows:,} more rows; --rows shows more")
