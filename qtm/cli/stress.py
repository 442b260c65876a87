"""`qtm stress`: what events, composite shocks and your own scenarios would cost, and what breaks a limit."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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


PARTS = ("price", "funding", "basis", "exit_cost", "stablecoin", "outage", "venue")
"""What the loss of a scenario is made of."""


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
    _print_events(console, events, missing, short=bool((book.weights < 0.0).any()))
    _print_scenarios(console, losses)
    _print_breaches(console, breaches, by_beta)


def _betas(book: Book) -> dict[str, float]:
    """Slope of each symbol's last 730 returns against BTCUSDT's, or the mean's where the book has no BTC."""
    import numpy as np

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


def _print_events(
    console: Console, events: tuple[StressLoss, ...], missing: list[str], *, short: bool
) -> None:
    """Every way to look at the events that concerns the book; what befalls shorts only where it is short."""
    ways = {"closes": "on_closes", "lows": "on_lows"}
    if short:
        ways |= {"no hedges": "on_lows_longs_only", "highs": "on_extremes"}
        ways |= {"marks": "on_marks"} if any(event.on_marks is not None for event in events) else {}
    table = Table(title="Dated events: loss of capital")
    for heading in ("event", *ways, "largest"):
        table.add_column(heading, justify="right" if heading in ways else "left")
    for event in events:
        losses = (getattr(event, way) for way in ways.values())
        largest = f"{event.worst_symbol.removesuffix('USDT')} {event.worst_symbol_loss:.1%}"
        table.add_row(event.name, *("" if loss is None else f"{loss:.1%}" for loss in losses), largest)
    console.print(table)
    if short:
        console.print(
            "[dim]no hedges: on lows with the short legs closed before; highs: shorts at their highs, longs "
            "at their lows; marks: the same with shorts at their highest mark price[/dim]"
        )
    if missing:
        console.print(f"[dim]no prices in the lake for: {'; '.join(missing)}[/dim]")


def _print_scenarios(console: Console, losses: tuple[ScenarioLoss, ...]) -> None:
    table = Table(title="Composite and own scenarios: loss of capital")
    for heading in ("scenario", "total", "made of"):
        table.add_column(heading, justify="right" if heading == "total" else "left")
    for loss in losses:
        parts = (
            f"{part.replace('_', ' ')} {getattr(loss, part):.1%}" for part in PARTS if getattr(loss, part)
        )
        table.add_row(loss.name, f"{loss.total:.1%}", ", ".join(parts))
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
