"""`qtm compare`: saved runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from qtm.cli.arguments import JsonOption, PdfOption, print_json, write_page

_SHOWN = ("total_return", "sharpe", "max_drawdown", "trades", "turnover", "fees")


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("compare")(compare)


def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders written by `qtm backtest --out`.")],
    report: Annotated[
        Path | None, typer.Option("--report", help="Where the HTML page goes; by default under the home.")
    ] = None,
    pdf: PdfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put saved runs side by side: equity, figures, what differs, correlation.

    Example: [bold]qtm compare runs/fast runs/slow[/bold]
    """
    from qtm.reports import comparison
    from qtm.reports.run_folder import read_run

    read = [read_run(folder) for folder in runs]
    found = comparison.compare(read)
    document = comparison.comparison_document(read)
    path = write_page(document, report, "comparison.html", pdf)
    if as_json:
        print_json({**found, "report": str(path)})
        return
    table = Table("Run", *(name.replace("_", " ") for name in _SHOWN))
    for one in found["runs"]:
        table.add_row(one["name"], *(f"{one[name]:,.4g}" for name in _SHOWN))
    console = Console()
    console.print(table)
    for one in read:
        if one.standstill is not None:
            console.print(f"{one.name}: {one.standstill.in_words()}", soft_wrap=True)
    console.print(f"differs: {', '.join(found['differences']) or 'nothing'}")
    console.print(f"comparison: {path}", soft_wrap=True)
