"""The closing page of `qtm demo`: what happened, how long it took, where to look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from qtm.cli.demo import Step


_SHOWN_WEIGHT = 0.0005


def print_summary(console: Console, steps: Sequence[Step], market: str, home: Path, total_s: float) -> None:
    """Print the tables of the demo's results, the wall time and memory of every step, and where `home` is."""
    console.rule("[bold]What happened")
    _results(console, steps, market)
    _backtests(console, steps)
    _steps(console, steps, total_s)
    console.print("[bold]Reports[/bold]")
    for title, path in _reports(steps):
        console.print(f"  {title}: {path}", soft_wrap=True, highlight=False)
    console.print(
        f"[bold]Next[/bold]  `QTM_HOME={home} make ui` opens the pipelines on this lake; "
        "`qtm --help` lists the commands.",
        soft_wrap=True,
        highlight=False,
    )


def _with(steps: Sequence[Step], title: str) -> list[Step]:
    return [step for step in steps if step.title.startswith(title)]


def _results(console: Console, steps: Sequence[Step], market: str) -> None:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    bars = sum(step.body["rows"] for step in _with(steps, "History"))
    quality = [step.body for step in _with(steps, "Quality")]
    blocking = sum(body["blocking_failures"] for body in quality)
    warnings = sum(body["warnings"] for body in quality)
    checks = sum(body["checks"] for body in quality)
    weights = _with(steps, "Weights")[0].body
    stream = _with(steps, "Stream")[0].body
    orders = stream["orders"]
    held = ", ".join(
        f"{symbol} {weight:.1%}" for symbol, weight in weights["weights"].items() if weight >= _SHOWN_WEIGHT
    )
    for name, value in (
        ("Market", market),
        ("Bars", f"{bars:,} in the lake's window, {_with(steps, 'Funding')[0].body['rows']:,} funding rates"),
        (
            "Checks",
            f"{checks - blocking - warnings} passed, {blocking} failed (blocking), {warnings} warnings",
        ),
        ("Weights", f"{held}; cash {weights['cash']:.1%}"),
        ("CVaR 95 %", f"{weights['cvar']:.2%} a day, cap {weights['cvar_cap']:.2%} ({weights['outcome']})"),
        ("Paper", f"{stream['bars']:,} bars streamed, {stream['signals']:,} signals"),
        (
            "Orders",
            f"{orders['approved']} sent, {orders['refused']} refused by the gate, {orders['filled']} filled, "
            f"{orders['expired']} expired",
        ),
        ("Equity", f"{float(stream['equity']):,.2f} {stream['quote']} on paper at the end of the day"),
        ("Bar to order", _latency(stream["tick_to_order_us"])),
    ):
        table.add_row(f"[bold]{name}[/bold]", value)
    console.print(table)


def _latency(microseconds: Mapping[str, float]) -> str:
    """From a bar's frame to the order on the wire; nothing is measured on a day without orders."""
    if not microseconds:
        return "no order was sent"
    return f"p50 {microseconds['p50'] / 1e3:.1f} ms, p99 {microseconds['p99'] / 1e3:.1f} ms on the wire"


def _backtests(console: Console, steps: Sequence[Step]) -> None:
    table = Table(title="Backtests of BTCUSDT, after fees and slippage", title_justify="left")
    for heading in ("strategy", "return", "yearly", "Sharpe", "max DD", "CVaR", "trades", "fees"):
        table.add_column(heading, justify="left" if heading == "strategy" else "right")
    for step in _with(steps, "Backtest"):
        figures = step.body["statistics"]
        table.add_row(
            step.body["lineage"]["strategy"],
            _percent(figures["total_return"]),
            _percent(figures["annual_return"]),
            "-" if figures["sharpe"] is None else f"{figures['sharpe']:.2f}",
            _percent(figures["max_drawdown"]),
            _percent(figures["cvar_95"]),
            f"{figures['trades']:,}",
            f"{figures['fees']:,.0f}",
        )
    console.print(table)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _steps(console: Console, steps: Sequence[Step], total_s: float) -> None:
    table = Table(title="Steps", title_justify="left", show_footer=True)
    together = sum(step.peak_mb for step in steps if step.title in ("Paper exchange", "Stream"))
    peak = max(together, *(step.peak_mb for step in steps))
    table.add_column("step", footer="all, one after another")
    table.add_column("wall", justify="right", footer=f"{total_s:.1f} s")
    table.add_column("done after", justify="right")
    table.add_column("peak memory", justify="right", footer=f"{peak:,.0f} MB at one time")
    for step in steps:
        table.add_row(step.title, f"{step.wall_s:.1f} s", f"{step.done_s:.0f} s", f"{step.peak_mb:,.0f} MB")
    console.print(table)


def _reports(steps: Sequence[Step]) -> list[tuple[str, str]]:
    sheets = [
        (f"Tear sheet, {step.body['lineage']['strategy']}", step.body["report"])
        for step in _with(steps, "Backtest")
    ]
    risk = _with(steps, "Risk report")[0].body
    return [*sheets, ("Daily risk report", risk["page"]), ("Its data", risk["data"])]
