"""How a book of weights is told: as one JSON object, and as tables for a person."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from qtm.clock import iso_utc

if TYPE_CHECKING:
    from qtm.portfolio.daily import DailyAllocation
    from qtm.portfolio.lots import LotBook

_WALK_LINES = (
    ("return, year", "annual_return", ".1%"),
    ("volatility, year", "annual_volatility", ".1%"),
    ("Sharpe ratio", "sharpe", ".2f"),
    ("largest drawdown", "max_drawdown", ".1%"),
    ("realised CVaR, day", "cvar", ".2%"),
    ("promised CVaR, day", "promised_cvar", ".2%"),
    ("realised over cap", "realised_over_cap", ".0%"),
    ("worst day", "worst_day", ".1%"),
    ("turnover, year", "turnover_per_year", ".1f"),
    ("cost, year", "cost_per_year", ".2%"),
    ("rebalances", "rebalances", "d"),
    ("fallbacks", "fallbacks", "d"),
)


def book_body(answer: DailyAllocation) -> dict[str, Any]:
    """A book and what it was made from."""
    return {
        "as_of": iso_utc(answer.as_of_ms),
        **answer.allocation.summary(),
        "cvar_cap": answer.mandate.cvar_cap,
        "scenario_model": answer.scenarios.model,
        "scenario_window": [iso_utc(time)[:10] for time in answer.scenarios.provenance.window_ms],
        "scenario_parameters": dict(answer.scenarios.provenance.parameters),
        "scenario_seed": answer.scenarios.provenance.seed,
        "excluded": {entry.symbol: entry.reason for entry in answer.scenarios.excluded},
        "backfilled": {entry.symbol: entry.rows for entry in answer.scenarios.backfilled},
        "lake": answer.lake,
        "lake_version": answer.lake_version,
    }


def print_book(answer: DailyAllocation) -> None:
    """Show a book, its tail risk and what binds it."""
    from qtm.portfolio.problem import Objective

    allocation = answer.allocation

    console = Console()
    say = partial(console.print, soft_wrap=True)
    table = Table(title=f"Daily book as of {iso_utc(answer.as_of_ms)[:10]} ({allocation.outcome.value})")
    for heading, justify in (("symbol", "left"), ("weight", "right"), ("share of CVaR", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    shares = (
        dict(zip(allocation.problem.symbols, allocation.components / allocation.cvar, strict=True))
        if allocation.cvar
        else {}
    )
    summary = allocation.summary()
    for symbol, weight in summary["weights"].items():
        table.add_row(symbol, f"{weight:.2%}", f"{shares.get(symbol, 0.0):.1%}")
    table.add_row("cash", f"{summary['cash']:.2%}", "")
    console.print(table)
    level = f"{allocation.problem.alpha * 100:g} %"
    capped = allocation.problem.objective is not Objective.MIN_CVAR
    cap = f" (cap {answer.mandate.cvar_cap:.2%})" if capped else ""
    say(
        f"CVaR {level} {allocation.cvar:.3%} a day{cap}, VaR {allocation.var:.3%}, "
        f"expected return {allocation.expected_return:.3%} a day"
    )
    if allocation.tail_risk > allocation.cvar * (1.0 + 1e-9):
        say(f"worst over the models and the distance they may be wrong: {allocation.tail_risk:.3%}")
    say(f"scenarios: {answer.scenarios.model}, {len(answer.scenarios.returns):,} rows")
    gap = "" if math.isnan(allocation.gap) else f", proven gap {allocation.gap:.1e}"
    say(f"solver {allocation.solver}{gap}, lake version {answer.lake_version}")
    for binding in allocation.binding:
        say(f"binds: {binding.words}")
    for entry in answer.scenarios.excluded:
        say(f"left out: {entry.symbol}, {entry.reason}")
    if allocation.reason:
        say(f"[bold yellow]{allocation.reason}[/bold yellow]")


def lots_body(book: LotBook) -> dict[str, Any]:
    """The positions of a book in whole lots."""
    positions = {
        position.symbol: {
            "lots": position.lots,
            "quantity": str(position.quantity),
            "value": str(position.value),
        }
        for position in book.positions
    }
    return {"positions": positions, "lot_cash": str(book.cash), "lots_removed": book.removed}


def print_lots(book: LotBook) -> None:
    """Show a book in whole lots."""
    table = Table(title="In lots at the last close")
    for heading in ("symbol", "lots", "quantity", "value"):
        table.add_column(heading, justify="left" if heading == "symbol" else "right")
    for position in book.positions:
        table.add_row(position.symbol, f"{position.lots:,}", f"{position.quantity}", f"{position.value:,.2f}")
    table.add_row("cash", "", "", f"{book.cash:,.2f}")
    Console().print(table)


def walk_table(runs: Sequence[Mapping[str, Any]], every_days: int) -> Table:
    """Summaries of walks through history, a column each."""
    table = Table(
        title=f"{runs[0]['from']} to {runs[0]['to']}, rebalanced every {every_days} days, after costs"
    )
    table.add_column("")
    for run in runs:
        table.add_column(run["book"], justify="right")
    for label, key, style in _WALK_LINES:
        table.add_row(label, *(format(run[key], style) for run in runs))
    return table
