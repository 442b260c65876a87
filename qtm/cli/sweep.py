"""`qtm sweep`: a strategy over many combinations of parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from qtm.cli.arguments import (
    GridOption,
    JsonOption,
    PdfOption,
    ReportOption,
    StrategyArgument,
    UngatedOption,
    axes,
    print_json,
    print_pdf,
)
from qtm.cli.progress import progress
from qtm.cli.where import Where, runs_on
from qtm.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from qtm.sweep import SweepResult

_SHOWN = ("sharpe", "total_return", "max_drawdown", "trades", "win_rate", "fees")
"""What the terminal shows of a row; `--json` and `--output` have everything."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("sweep")(sweep)


@runs_on("1m")
def sweep(
    strategy: StrategyArgument,
    grid: GridOption,
    where: Where,
    ungated: UngatedOption = False,
    method: Annotated[str, typer.Option("--method", help="grid, random or bayes.")] = "grid",
    trials: Annotated[
        int | None, typer.Option("--trials", min=1, help="Combinations to run with random and bayes.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Decides the draws of random and bayes.")] = 0,
    budget_mb: Annotated[int, typer.Option("--budget-mb", min=1, help="Most memory to allocate, MiB.")] = 256,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with this very sweep where it was stopped.")
    ] = False,
    sort: Annotated[str, typer.Option("--sort", help="Figure to rank by; bayes makes it large.")] = "sharpe",
    top: Annotated[int, typer.Option("--top", min=1, help="Rows to show.")] = 10,
    output: Annotated[
        Path | None, typer.Option("--output", help="Write every row to this Parquet file.")
    ] = None,
    report: ReportOption = None,
    pdf: PdfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a strategy of any kind over combinations of parameter values.

    Example: [bold]qtm sweep trend --grid fast=5:45:2 --grid slow=50:250:10 --interval 1h[/bold]
    Example: [bold]qtm sweep pairs --grid window=120,240 -s um:BTCUSDT,um:ETHUSDT -i 5m[/bold]
    """
    from qtm.backtest.sweep_lane import FIGURES
    from qtm.sweep import sweep as run_sweep

    if sort not in FIGURES:
        raise ConfigError(
            f"there is no figure {sort!r}", where="--sort", remedy=f"use one of {', '.join(FIGURES)}"
        )
    where.options["gated"] = not ungated
    with progress("sweep") as tell:
        found = run_sweep(
            strategy,
            where.symbols,
            where.interval,
            grid=axes(grid),
            method=method,
            trials=trials,
            seed=seed,
            objective=sort,
            budget_bytes=budget_mb * 2**20,
            resume=resume,
            on_progress=lambda done, total: tell("sweep", done, total),
            **where.options,
        )
    ranked = found.table.sort(sort, descending=True, nulls_last=True)
    if output is not None:
        ranked.write_parquet(output)
    path = found.page(report)
    print_pdf(pdf, found.document)
    if as_json:
        print_json(_as_json(found, ranked.head(top), sort, path))
        return
    _print(found, ranked.head(top), strategy, sort, path)


def _as_json(found: SweepResult, best: pl.DataFrame, sort: str, path: Path) -> dict[str, object]:
    return {
        "combinations": len(found.table),
        "resumed": found.resumed,
        "sorted_by": sort,
        "memory_bytes": found.footing.total,
        "run_id": found.run_id,
        "report": str(path),
        "rows": best.to_dicts(),
    }


def _print(found: SweepResult, best: pl.DataFrame, strategy: str, sort: str, path: Path) -> None:
    shown = dict.fromkeys((*found.space.axes, sort, *_SHOWN))
    title = (
        f"{strategy} on {found.symbol} {found.interval}: {len(found.table):,} combinations, best by {sort}"
    )
    table = Table(
        title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )  # no rules between columns: a wide grid fits a terminal
    for name in shown:
        table.add_column(name.removeprefix("max_").replace("_", " "), justify="right")
    for row in best.select(*shown).iter_rows():
        table.add_row(*(_figure(name, value) for name, value in zip(shown, row, strict=True)))
    console = Console()
    console.print(table)
    if found.resumed:
        console.print(f"{found.resumed:,} of them were found before and not run again")
    footing = found.footing
    console.print(
        f"memory: at most {footing.total / 2**20:,.1f} MiB beside the mapped columns, "
        f"{footing.workers} workers x {footing.group} combinations"
    )
    console.print(f"heat maps: {path}", soft_wrap=True)


def _figure(name: str, value: float | None) -> str:
    from qtm.backtest.sweep_lane import FIGURES
    from qtm.reports.formats import statistic

    if name in FIGURES or value is None:
        return statistic(name, value)
    return f"{value:,.6g}"
