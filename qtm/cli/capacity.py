"""`qtm capacity`: how much capital a strategy bears."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from qtm.cli.arguments import (
    JsonOption,
    PdfOption,
    ReportOption,
    SetOption,
    StrategyArgument,
    assignments,
    print_json,
    write_page,
)
from qtm.cli.progress import progress
from qtm.cli.where import Where, runs_on


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("capacity")(capacity)


@runs_on("1h")
def capacity(
    strategy: StrategyArgument,
    where: Where,
    parameter: SetOption = None,
    most: Annotated[float, typer.Option("--most", help="Largest capital to try.")] = 1e9,
    impact: Annotated[
        float,
        typer.Option("--impact", min=0.0, max=100.0, help="Times volatility and root of the share."),
    ] = 1.0,
    participation: Annotated[
        float, typer.Option("--participation", min=0.0, max=1.0, help="Largest share of a bar's volume.")
    ] = 0.1,
    report: ReportOption = None,
    pdf: PdfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a strategy with more and more capital, from --cash on, until its own trades eat what it earns.

    Example: [bold]qtm capacity trend -s BTCUSDT -i 1d --set fast=20[/bold]
    Example: [bold]qtm capacity cross-momentum -s BTCUSDT,ETHUSDT,SOLUSDT -i 1d --cash 10000 --most 1e8[/bold]
    """
    from qtm.reports.capacity_report import capacity_document
    from qtm.research import capacity as run

    with progress("capitals") as tell:
        found = run(
            strategy,
            where.symbols,
            where.interval,
            params=assignments(parameter),
            most=most,
            impact=impact,
            participation=participation,
            on_progress=tell,
            **where.options,
        )
    document = capacity_document(found)
    name = f"capacity-{Path(strategy).stem}-{where.file_name}.html"
    path = write_page(document, report, name, pdf)
    if as_json:
        body: dict[str, Any] = {**dataclasses.asdict(found), "says": found.in_words(), "report": str(path)}
        print_json(body)
        return
    table = Table("Capital", "Return a year", "Earned a year", "Sharpe", "Max drawdown", "Filled")
    for step in (found.free, *found.steps):
        table.add_row(
            f"{step.cash:,.0f}" + (" *" if step is found.free else ""),
            f"{step.annual_return:+.1%}",
            f"{step.earned_a_year:,.0f}",
            f"{step.sharpe:.2f}",
            f"{step.max_drawdown:.1%}",
            f"{step.filled:.0%}",
        )
    console = Console()
    console.print(table)
    console.print("* where its own trades move no price and find all they ask for", style="dim")
    console.print(found.in_words())
    console.print(f"report: {path}", soft_wrap=True)
