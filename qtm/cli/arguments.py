"""Arguments and answers that several commands share."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qtm.errors import ConfigError

if TYPE_CHECKING:
    from qtm.reports.blocks import Document

StrategyArgument = Annotated[str, typer.Argument(help="A bundled strategy's name or the path of a .py file.")]
SymbolOption = Annotated[str, typer.Option("--symbol", "-s", help="Symbol, for example BTCUSDT.")]
SymbolsOption = Annotated[
    str,
    typer.Option(
        "--symbols", "--symbol", "-s", help="Symbols with commas between them; um:BTCUSDT names the market."
    ),
]
IntervalOption = Annotated[str, typer.Option("--interval", "-i", help="Bar length: 1m, 1h, 1d ...")]
MarketOption = Annotated[str, typer.Option("--market", help="spot or um (USD-M futures).")]
FromOption = Annotated[str | None, typer.Option("--from", help="First day, UTC (2024-01-31).")]
ToOption = Annotated[str | None, typer.Option("--to", help="Day after the last, UTC.")]
CashOption = Annotated[float | None, typer.Option("--cash", help="Starting capital; the firm's by default.")]
SizerOption = Annotated[
    str | None,
    typer.Option("--sizing", help="Sizing rule and settings, such as volatility:target=0.01."),
]
MarginModeOption = Annotated[
    str | None, typer.Option("--margin", help="Of futures: cross (the default) or isolated.")
]
LeverageOption = Annotated[
    str | None, typer.Option("--leverage", help="Of futures: 5 by default; 5,BTCUSDT=10 for each symbol.")
]
UngatedOption = Annotated[bool, typer.Option("--ungated", help="Leave the risk gate out.")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="Parameter, for example fast=20.")]
ReportOption = Annotated[
    Path | None, typer.Option("--report", help="Where the HTML report goes; by default under the home.")
]
GridOption = Annotated[
    list[str],
    typer.Option("--grid", help="Values of a parameter: fast=5:45:2 (end excluded) or fast=5,10."),
]
PdfOption = Annotated[Path | None, typer.Option("--pdf", help="Also print the report to this PDF file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def assignment(text: str) -> tuple[str, float]:
    """`fast=20` as a name and its value."""
    name, found, value = text.partition("=")
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not found or not name or not math.isfinite(number):
        raise ConfigError(
            f"cannot read {text!r}", where="--set", remedy="write name=number, for example fast=20"
        )
    return name.strip(), number


def assignments(texts: list[str] | None) -> dict[str, float]:
    """Each `fast=20` as a name and its value."""
    return dict(assignment(text) for text in texts or ())


def axes(texts: list[str]) -> dict[str, list[float]]:
    """Each `fast=5:45:2` or `fast=5,10,20` as a name and its values."""
    return dict(axis(text) for text in texts)


def axis(text: str) -> tuple[str, list[float]]:
    """`fast=5:45:2` or `fast=5,10,20` as a name and its values; the end of a range is excluded."""
    name, _, values = text.partition("=")
    try:
        if ":" in values:
            parts = [float(part) for part in values.split(":")]
            first, end, step = parts if len(parts) == 3 else (*parts, 1.0)
            found = [first + step * i for i in range(max(0, math.ceil((end - first) / step - 1e-9)))]
        else:
            found = [float(part) for part in values.split(",")]
    except (ValueError, ZeroDivisionError):
        found = []
    if not name or not found:
        raise ConfigError(f"cannot read {text!r}", where="--grid", remedy="write fast=5:45:2 or fast=5,10,20")
    return name.strip(), found


def write_page(document: Document, report: Path | None, name: str, pdf: Path | None) -> Path:
    """Write a report as a page, as `name` under the home unless told where, and print it if asked to."""
    from qtm.reports.page import render_page, write_report
    from qtm.settings import settings

    path = write_report(report or settings().reports_dir / name, render_page(document))
    print_pdf(pdf, document)
    return path


def print_pdf(path: Path | None, document: Document) -> None:
    """Print a report to `path`, if one was asked for."""
    if path is None:
        return
    from qtm.clock import SystemClock
    from qtm.reports.pdf import write_pdf

    write_pdf(path, document, made_ms=SystemClock().now_ms())


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout; figures that do not exist are null."""
    typer.echo(json.dumps(_without_nan(value), default=str))


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
