"""`qtm promote`: the evidence pack of a strategy, and one step up the ladder when it is complete."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from qtm.cli.arguments import (
    IntervalOption,
    JsonOption,
    MarketOption,
    SetOption,
    StrategyArgument,
    SymbolsOption,
    assignments,
    print_json,
)
from qtm.errors import ConfigError

if TYPE_CHECKING:
    from qtm.control.candidate import Candidate
    from qtm.control.promotion import Pack, Standing
    from qtm.control.requirements import Rung, Waiver
    from qtm.strategies.registry import Strategy


def register(app: typer.Typer) -> None:
    """Add `promote` to the command line."""
    app.command("promote")(promote)


def promote(
    strategy: StrategyArgument,
    symbols: SymbolsOption = "BTCUSDT",
    interval: IntervalOption = "1h",
    market: MarketOption = "spot",
    parameter: SetOption = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Rung to grant; without it only the pack is shown.")
    ] = None,
    author: Annotated[str, typer.Option("--author", help="Who wrote the strategy.")] = "",
    authoriser: Annotated[str, typer.Option("--authoriser", help="Who lets it through.")] = "",
    waive: Annotated[
        list[str] | None, typer.Option("--waive", help="What risk accepts: a failed gate, or `source`.")
    ] = None,
    waived_by: Annotated[str, typer.Option("--waived-by", help="The risk officer who waives.")] = "",
    reason: Annotated[str, typer.Option("--reason", help="Why it is waived.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Show what a strategy's next rung asks for; grant it with --to when all of it is there.

    Example: [bold]qtm promote trend -i 1d --set fast=6 --to BACKTEST --author ann --authoriser bob[/bold]
    Example: [bold]qtm promote pairs -s um:BTCUSDT,um:ETHUSDT -i 1h --set window=240[/bold]
    """
    from qtm.research.examined import ladder as ladder_of

    loaded, candidate = candidate_named(strategy, symbols, interval, market, parameter)
    ladder = ladder_of(None)
    waiver = _waiver(waive or [], waived_by, reason)
    if to is None:
        pack = ladder.pack(loaded, candidate, waiver)
        if as_json:
            print_json(pack.as_dict())
        else:
            _print_pack(pack)
        return
    granted = ladder.promote(
        loaded, candidate, _rung(to), author=author, authoriser=authoriser, waiver=waiver
    )
    if as_json:
        print_json(
            {"candidate": candidate.digest, "standing": str(granted.rung), "expires": _expiry(granted)}
        )
        return
    Console().print(f"{candidate.strategy} stands at {granted.rung} until {_expiry(granted)}")


def candidate_named(
    strategy: str, symbols: str, interval: str, market: str, parameter: list[str] | None
) -> tuple[Strategy, Candidate]:
    """The strategy, and the candidate that it is today, as the options name them."""
    from qtm.control.candidate import candidate_of, place_of
    from qtm.research.request import parse_symbols
    from qtm.settings import settings
    from qtm.strategies.registry import load_strategy

    loaded = load_strategy(strategy)
    markets, names = place_of(parse_symbols(symbols, market))
    params = loaded.params(assignments(parameter))
    candidate = candidate_of(
        loaded, params, market=markets, symbol=names, interval=interval, settings=settings()
    )
    return loaded, candidate


def _rung(text: str) -> Rung:
    from qtm.control.requirements import Rung

    try:
        return Rung(text.upper())
    except ValueError:
        raise ConfigError(
            f"unknown rung {text!r}", where="--to", remedy=f"use one of {', '.join(Rung)}"
        ) from None


def _waiver(controls: list[str], by: str, reason: str) -> Waiver | None:
    from qtm.control.requirements import Waiver

    return Waiver(tuple(controls), by, reason) if controls else None


def _expiry(standing: Standing) -> str:
    from qtm.clock import iso_utc

    return "" if standing.expires_ms is None else iso_utc(standing.expires_ms)


def _print_pack(pack: Pack) -> None:
    from qtm.cli.honesty import print_verdict

    console = Console()
    candidate = pack.candidate
    chosen = ", ".join(f"{name}={value:g}" for name, value in candidate.params)
    console.print(
        f"{candidate.strategy} ({chosen}) on {candidate.market} {candidate.symbol} {candidate.interval}, "
        f"candidate {candidate.digest[:12]}"
    )
    if pack.verdict is not None:
        print_verdict(pack.verdict)
    table = Table(
        "Asked for", "", "Observed", "What would meet it", title=f"{pack.standing.rung} to {pack.to}"
    )
    for one in pack.requirements:
        mark = "[green]met[/green]" if one.met else "[red]not met[/red]"
        table.add_row(one.name, mark, one.observed, "" if one.met else one.remedy)
    console.print(table)
    if pack.caps is not None:
        caps = ", ".join(f"{name} {value}" for name, value in pack.caps)
        console.print(f"Would trade under the caps of TD-07, one venue: {caps}")
    words = "nothing is missing: grant it with --to" if pack.complete else "refused until all of it is met"
    console.print(f"{pack.to}: {words}")
