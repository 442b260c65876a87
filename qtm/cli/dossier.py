"""`qtm dossier`: what a person wrote about a strategy, beside what the platform has on record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from qtm.cli.arguments import (
    IntervalOption,
    JsonOption,
    MarketOption,
    SetOption,
    StrategyArgument,
    SymbolsOption,
    print_json,
)
from qtm.cli.promote import candidate_named

if TYPE_CHECKING:
    from qtm.reports.blocks import Document
    from qtm.risk.limits import LimitTree
    from qtm.settings import Settings

_COLOURS = {"good": "green", "bad": "red", "warn": "yellow", "muted": "dim"}


def register(app: typer.Typer) -> None:
    """Add `dossier` to the command line."""
    app.command("dossier")(dossier)


def dossier(
    strategy: StrategyArgument,
    symbols: SymbolsOption = "BTCUSDT",
    interval: IntervalOption = "1h",
    market: MarketOption = "spot",
    parameter: SetOption = None,
    new: Annotated[bool, typer.Option("--new", help="Write one to fill in; nothing is overwritten.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the whole dossier to this HTML file too.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show a strategy's whole dossier; `qtm promote` asks for a complete one before live trading.

    Example: [bold]qtm dossier trend --new[/bold]
    Example: [bold]qtm dossier trend -i 1d --set fast=6 -o trend.html[/bold]
    """
    from qtm.control.dossier import find_dossier, write_template
    from qtm.settings import settings
    from qtm.strategies.registry import load_strategy

    config = settings()
    if new:
        path = write_template(config.dossiers_dir, load_strategy(strategy).name)
        if as_json:
            print_json({"file": str(path)})
        else:
            Console().print(f"fill in {path}", soft_wrap=True)
        return

    from qtm.cli.dossier_document import dossier_document
    from qtm.control.on_record import on_record
    from qtm.reports.page import render_page, write_report
    from qtm.research.examined import ladder
    from qtm.store.database import open_database

    loaded, candidate = candidate_named(strategy, symbols, interval, market, parameter)
    database, caps = open_database(config.database), config.control.limited
    known = on_record(loaded, candidate, ladder(None), database, _limits(config), caps)
    written = find_dossier(config.dossiers_dir, loaded.name)
    document = dossier_document(written, known)
    if output is not None:
        write_report(output, render_page(document))
    if as_json:
        page = None if output is None else str(output)
        print_json({"dossier": written.as_dict(), "on_record": known.as_dict(), "page": page})
        return
    _print(document)
    if output is not None:
        Console().print(f"page: {output}", soft_wrap=True)


def _limits(config: Settings) -> LimitTree:
    """The firm's limit tree over every instrument the lake knows."""
    from qtm.market.lake import INSTRUMENTS, Lake
    from qtm.risk.limits import load_limits

    lake = Lake.from_settings(config)
    known = lake.instruments() if lake.tables.exists(INSTRUMENTS) else []
    return load_limits(config.risk, known, path=config.risk.limits_file)


def _print(document: Document) -> None:
    from qtm.cli.dossier_document import text_blocks
    from qtm.reports.blocks import Paragraph

    console = Console()
    console.print(f"[bold]{document.title}[/bold]: {escape(document.subtitle)}")
    for section, blocks in text_blocks(document):
        console.print(f"\n[bold]{section.title}[/bold]  [dim]{escape(section.note)}[/dim]", soft_wrap=True)
        for block in blocks:
            if isinstance(block, Paragraph):
                console.print(_toned(block.text, block.tone))
                continue
            shown = Table(show_header=any(block.headers))
            for heading in block.headers:
                shown.add_column(heading, overflow="fold")
            for row in block.rows:
                shown.add_row(*(_toned(cell.text, cell.tone) for cell in row))
            console.print(shown)


def _toned(text: str, tone: str) -> str:
    colour = _COLOURS.get(tone)
    return f"[{colour}]{escape(text)}[/{colour}]" if colour else escape(text)
