"""`qtm sweep`: a strategy over many combinations of parameters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from qtm.cli.arguments import (
    CashOption,
    FromOption,
    GridOption,
    IntervalOption,
    JsonOption,
    MarketOption,
    PdfOption,
    StrategyArgument,
    SymbolOption,
    ToOption,
    UngatedOption,
    axis,
    print_json,
    print_pdf,
)
from qtm.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

    from qtm.sweep import SweepResult

_SHOWN = ("sharpe", "total_return", "max_drawdown", "trades", "win_rate", "fees")
"""What the terminal shows of a row; `--json` and `--output` have everything."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("sweep")(sweep)


def sweep(
    strategy: StrategyArgument,
    grid: GridOption,
    symbol: SymbolOption = "BTCUSDT",
    interval: IntervalOption = "1m",
    market: MarketOption = "spot",
    start: FromOption = None,
    end: ToOption = None,
    cash: CashOption = None,
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
    report: Annotated[
        Path | None,
        typer.Option("--report", help="Where the page of heat maps goes."),
    ] = None,
    pdf: PdfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a strategy over combinations of parameter values.

    Example: [bold]qtm sweep trend --grid fast=5:45:2 --grid slow=50:250:10 --interval 1h[/bold]
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from qtm.backtest.sweep import FIGURES
    from qtm.sweep import sweep as run_sweep

    if sort not in FIGURES:
        raise ConfigError(
            f"there is no figure {sort!r}", where="--sort", remedy=f"use one of {', '.join(FIGURES)}"
        )
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("sweep", total=None)
        found = run_sweep(
            strategy,
            symbol,
            interval,
            grid=dict(axis(text) for text in grid),
            method=method,
            trials=trials,
            seed=seed,
            objective=sort,
            market=market,
            start=start,
            end=end,
            cash=cash,
            gated=not ungated,
            budget_bytes=budget_mb * 2**20,
            resume=resume,
            on_progress=lambda done, total: progress.update(task, completed=done, total=total),
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
    table = Table(title=title)
    for name in shown:
        table.add_column(name.replace("_", " "), justify="right")
    for row in best.select(*shown).iter_rows():
        table.add_row(*(_figure(value) for value in row))
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


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
