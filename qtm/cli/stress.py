"""`qtm stress`: what events, composite shocks and your own scenarios would cost, and what breaks a limit."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from qtm.cli.books import AsJson, AsOf, Book, Held, read_book
from qtm.clock import iso_utc
from qtm.settings import settings

if TYPE_CHECKING:
    from qtm.risk.composite_stress import ScenarioLoss
    from qtm.risk.reverse_stress import Breach
    from qtm.risk.stress import StressLoss


def register(app: typer.Typer) -> None:
    """Add `stress` to the command line."""
    app.command("stress")(stress)


def stress(
    held: Held = None,
    scenarios: Annotated[Path | None, typer.Option(help="TOML file of your own scenarios.")] = None,
    as_of: AsOf = None,
    as_json: AsJson = False,
) -> None:
    """Replay crypto events, composite shocks and your own scenarios on a book; find what breaks a limit.

    Losses are fractions of capital; the history comes from the daily bars in the lake.

    Example: [bold]qtm stress --held weights.json --scenarios stress.toml[/bold]
    """
    from qtm.risk.back_cast import back_cast
    from qtm.risk.composite_stress import (
        COMPOSITES,
        Holding,
        StressBook,
        apply_all,
        read_scenarios,
    )
    from qtm.risk.reverse_stress import smallest_breaches
    from qtm.risk.stress import CRYPTO_DAYS, CRYPTO_EVENTS, replay_all
    from qtm.trading.costs import SPOT_COSTS

    own = read_scenarios(scenarios) if scenarios else ()
    book = read_book(held, as_of)
    path, _ = back_cast(book.prices.closes, book.weights)
    exit_cost = SPOT_COSTS.taker_rate + SPOT_COSTS.slippage_bps * 1e-4
    put_through = StressBook(
        holdings=tuple(
            Holding(symbol, float(weight), perpetual=weight < 0.0, exit_cost=exit_cost)
            for symbol, weight in zip(book.symbols, book.weights, strict=True)
        ),
        cash=1.0 - float(book.weights[book.weights > 0.0].sum()),
        hourly_deviation=float(path[-250:].std()) / 24**0.5,
    )
    limits = settings().risk
    headroom = {"daily loss": float(limits.daily_loss), "drawdown": float(limits.max_drawdown)}
    known = (*CRYPTO_EVENTS, *CRYPTO_DAYS)
    events = replay_all(book.symbols, book.weights, book.prices, book.marks, known)
    covered = {event.name for event in events}
    losses = apply_all(put_through, (*COMPOSITES, *own))
    breaches = smallest_breaches(put_through, headroom)
    by_beta = smallest_breaches(put_through, headroom, _betas(book))
    missing = [event.name for event in known if event.name not in covered]
    if as_json:
        body = {
            "as_of": iso_utc(book.history.as_of_ms),
            "book": book.title,
            "weights": dict(zip(book.symbols, (float(w) for w in book.weights), strict=True)),
            "events": [asdict(event) for event in events],
            "events_without_prices": missing,
            "scenarios": [{**asdict(loss), "total": loss.total} for loss in losses],
            "reverse": {
                "uniform": [asdict(breach) for breach in breaches],
                "beta": [asdict(breach) for breach in by_beta],
            },
            "lake": book.history.lake,
            "lake_version": book.history.version,
        }
        typer.echo(json.dumps(body))
        return
    console = Console()
    console.print(f"[bold]Stress[/bold] of {book.title}, prices to {iso_utc(book.history.as_of_ms)[:10]}")
    _print_events(console, events, missing)
    _print_scenarios(console, losses)
    _print_breaches(console, breaches, by_beta)


def _betas(book: Book) -> dict[str, float]:
    """Slope of each symbol's last 730 returns against BTCUSDT's, or the mean's where the book has no BTC."""
    from qtm.risk.concentration import betas

    returns = book.prices.closes[1:] / book.prices.closes[:-1] - 1.0
    if "BTCUSDT" in book.symbols:
        market = returns[:, book.symbols.index("BTCUSDT")]
    else:
        market = np.nanmean(returns, axis=1)
    slopes = {}
    for column, symbol in enumerate(book.symbols):
        both = np.isfinite(returns[:, column]) & np.isfinite(market)
        both[:-730] = False
        slopes[symbol] = float(betas(returns[both, column : column + 1], market[both])[0])
    return slopes


def _print_events(console: Console, events: tuple[StressLoss, ...], missing: list[str]) -> None:
    table = Table(title="Dated events: loss of capital")
    ways = ("on closes", "on lows", "lows, hedges gone", "shorts at highs", "on marks")
    for heading in ("event", *ways, "worst symbol"):
        table.add_column(heading, justify="left" if heading in ("event", "worst symbol") else "right")
    for event in events:
        table.add_row(
            event.name,
            f"{event.on_closes:.1%}",
            f"{event.on_lows:.1%}",
            f"{event.on_lows_longs_only:.1%}",
            f"{event.on_extremes:.1%}",
            "" if event.on_marks is None else f"{event.on_marks:.1%}",
            f"{event.worst_symbol} {event.worst_symbol_loss:.1%}",
        )
    console.print(table)
    if missing:
        console.print(f"[dim]no prices in the lake for: {'; '.join(missing)}[/dim]")


def _print_scenarios(console: Console, losses: tuple[ScenarioLoss, ...]) -> None:
    parts = ("price", "funding", "basis", "exit_cost", "stablecoin", "outage", "venue", "total")
    table = Table(title="Composite and own scenarios: loss of capital")
    table.add_column("scenario")
    for part in parts:
        table.add_column(part.replace("_", " "), justify="right")
    for loss in losses:
        cells = (getattr(loss, part) for part in parts)
        table.add_row(loss.name, *(f"{value:.1%}" if value else "" for value in cells))
    console.print(table)


def _print_breaches(console: Console, uniform: tuple[Breach, ...], by_beta: tuple[Breach, ...]) -> None:
    table = Table(title="Smallest market move that breaches a limit")
    for heading in ("limit", "all move alike", "BTC, others by beta", "alike, hedges gone"):
        table.add_column(heading, justify="left" if heading == "limit" else "right")
    by_limit = {breach.limit: breach for breach in by_beta}
    for breach in uniform:
        moves = (breach.move, by_limit[breach.limit].move, breach.move_without_hedges)
        table.add_row(breach.limit, *("none can" if move is None else f"{move:+.1%}" for move in moves))
    console.print(table)
