"""`qtm slippage`: what own orders cost beside the cost model, and the model fitted to them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from qtm.cli.arguments import IntervalOption, JsonOption, MarketOption, SymbolOption, print_json

if TYPE_CHECKING:
    from qtm.execution.shortfall import ShortfallReport


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("slippage")(slippage)


def slippage(
    symbol: SymbolOption = "BTCUSDT",
    interval: IntervalOption = "1m",
    market: MarketOption = "spot",
    account: Annotated[str, typer.Option("--account", help="Account whose orders are measured.")] = "paper",
    tier: Annotated[int, typer.Option("--tier", min=0, max=9, help="VIP tier of the fees.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Measure own fills against the cost model and fit slippage and impact to them.

    Example: [bold]qtm slippage --account paper --symbol BTCUSDT --interval 1m[/bold]
    """
    from qtm.execution.shortfall import shortfall
    from qtm.market.instruments import Market
    from qtm.market.intervals import Interval
    from qtm.market.lake import Lake
    from qtm.settings import settings
    from qtm.store.database import open_database
    from qtm.trading.fee_tiers import fee_schedule

    config = settings()
    bars = Lake.from_settings(config).bars(Market(market), Interval.parse(interval), symbol)
    report = shortfall(open_database(config.database), account, symbol, bars, fee_schedule(market, tier))
    if as_json:
        print_json(_as_json(report))
        return
    _print(report, account)


def _as_json(report: ShortfallReport) -> dict[str, object]:
    fit = report.fit
    return {
        "symbol": report.symbol,
        "orders": len(report.orders),
        "skipped": report.skipped,
        "totals": report.totals(),
        "fit": dataclasses.asdict(fit) if fit else None,
        "costs": (fit.costs(report.costs) if fit else report.costs)._asdict(),
    }


def _print(report: ShortfallReport, account: str) -> None:
    totals = report.totals()
    per_bps = 1e4 / totals["notional"] if totals["notional"] else 0.0
    table = Table(
        "Part", "Paid", "bp", "Model",
        title=f"{len(report.orders):,} taker orders of {account} on {report.symbol}, "
        f"{totals['notional']:,.0f} traded",
    )  # fmt: skip
    for name, model in (("delay", None), ("slippage", "model_slippage"), ("fees", "model_fees")):
        expected = "" if model is None else f"{totals[model]:,.2f}"
        table.add_row(name, f"{totals[name]:,.2f}", f"{totals[name] * per_bps:.2f}", expected)
    table.add_row("shortfall", f"{totals['shortfall']:,.2f}", f"{totals['shortfall'] * per_bps:.2f}", "")
    console = Console()
    console.print(table)
    if report.skipped:
        console.print(f"{report.skipped:,} filled orders left out: makers, or decided outside the bars")
    if report.fit is None:
        console.print("too few orders to fit the model to")
        return
    fit = report.fit
    console.print(
        f"fitted: slippage {fit.slippage_bps:.3f} ± {fit.slippage_error:.3f} bp, "
        f"impact {fit.impact:.3f} ± {fit.impact_error:.3f}, unexplained {fit.spread_bps:.3f} bp"
    )
