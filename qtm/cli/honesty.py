"""`qtm overfit | walk-forward | trials`: how much of a backtest is luck."""

from __future__ import annotations

import dataclasses
import getpass
import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

from qtm.cli.arguments import (
    GridOption,
    JsonOption,
    PdfOption,
    ReportOption,
    StrategyArgument,
    assignments,
    axes,
    print_json,
    write_page,
)
from qtm.cli.progress import progress
from qtm.cli.where import Where, runs_on
from qtm.errors import RiskError

if TYPE_CHECKING:
    from qtm.backtest.overfitting.verdict import Verdict
    from qtm.backtest.overfitting.walk_forward import WalkForward


def register(app: typer.Typer) -> None:
    """Add the honesty commands to the command line."""
    app.command("overfit")(overfit)
    app.command("walk-forward")(walk_forward)
    app.command("trials")(trials)


@runs_on("1h")
def overfit(
    strategy: StrategyArgument,
    grid: GridOption,
    where: Where,
    parameter: Annotated[
        list[str] | None, typer.Option("--set", help="Judge this combination, not the best: fast=20.")
    ] = None,
    report: ReportOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run every combination of a strategy of any kind, count the trials, and test the best of them for luck.

    The verdict goes on record for `qtm promote`.

    Example: [bold]qtm overfit trend --grid fast=5:45:5 --grid slow=50:250:25 --interval 1h[/bold]
    Example: [bold]qtm overfit cross-momentum --grid lookback=30,60,90 -s BTCUSDT,ETHUSDT,SOLUSDT -i 1d[/bold]
    """
    from qtm.backtest.overfitting.assessment import assessment_table
    from qtm.honesty import examine, put_on_record
    from qtm.reports.overfitting_report import overfitting_page
    from qtm.reports.page import write_report
    from qtm.settings import settings

    with progress("trials") as tell:
        found = examine(
            strategy,
            where.symbols,
            where.interval,
            grid=axes(grid),
            params=assignments(parameter) if parameter else None,
            on_progress=tell,
            **where.options,
        )
    kept_off = ""
    try:
        put_on_record(found, getpass.getuser())
    except RiskError as error:
        kept_off = str(error)
    name = f"overfitting-{found.verdict.subject.strategy}-{where.file_name}.html"
    path = write_report(report or settings().reports_dir / name, overfitting_page(found))
    if as_json:
        print_json({**assessment_table(found), "not_on_record": kept_off or None, "report": str(path)})
        return
    print_verdict(found.verdict)
    if kept_off:
        Console().print(f"not on record: {kept_off}", soft_wrap=True)
    Console().print(f"report: {path}", soft_wrap=True)


@runs_on("1h", choices=True)
def walk_forward(
    strategy: StrategyArgument,
    grid: GridOption,
    where: Where,
    train_days: Annotated[int, typer.Option("--train-days", min=1, help="Days to choose on.")] = 365,
    test_days: Annotated[int, typer.Option("--test-days", min=1, help="Days to trade the choice.")] = 90,
    anchored: Annotated[bool, typer.Option("--anchored", help="Choose on all days so far.")] = False,
    report: ReportOption = None,
    pdf: PdfOption = None,
    as_json: JsonOption = False,
) -> None:
    """Choose symbol and parameters on the past, trade the next window, and choose again.

    Example: [bold]qtm walk-forward trend --grid fast=5:45:5 --grid slow=50:250:25 -s BTCUSDT[/bold]
    """
    from qtm.honesty import walk_forward as run
    from qtm.reports.walk_forward_report import walk_forward_document

    wanted = axes(grid)
    total = math.prod(len(values) for values in wanted.values()) * len(where.choices)
    with progress("trials") as tell:
        found = run(
            strategy,
            where.choices,
            where.interval,
            grid=wanted,
            train_days=train_days,
            test_days=test_days,
            anchored=anchored,
            on_progress=lambda done: tell("trials", done, total),
            **where.options,
        )
    document = walk_forward_document(found, strategy=strategy, interval=where.interval)
    name = f"walk-forward-{Path(strategy).stem}-{where.file_name}.html"
    path = write_page(document, report, name, pdf)
    body = {**_walk_table(found), "report": str(path)}
    if as_json:
        print_json(body)
    else:
        _print_walk(body)


def trials(
    strategy: Annotated[str | None, typer.Argument(help="Only this strategy's trials.")] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Rows to show, newest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Show the trial registry: what was ever tried, and how many of it count.

    Example: [bold]qtm trials trend[/bold]
    """
    from qtm.backtest.registry import DAILY_SHARPE, TrialRegistry
    from qtm.settings import settings

    registry = TrialRegistry.open(settings().database)
    recorded = registry.recorded_count(strategy)
    names = registry.strategies() if strategy is None else [strategy] * (recorded > 0)
    counts = [dataclasses.asdict(registry.count(name)) for name in names]
    newest = registry.table(strategy, top)
    if as_json:
        print_json({"counts": counts, "recorded": recorded, "rows": newest.to_dicts()})
        return
    table = Table("Strategy", "Distinct trials", "Spread of yearly Sharpe", title="Trials that count")
    for count in counts:
        spread = math.sqrt(count["sharpe_variance"] * 365)
        table.add_row(count["strategy"], f"{count['trials']:,}", f"{spread:.2f}")
    Console().print(table)
    rows = Table("Strategy", "Symbol", "Interval", "Parameters", "Sharpe", title="Newest")
    for row in newest.iter_rows(named=True):
        sharpe = row[DAILY_SHARPE] * math.sqrt(365)
        rows.add_row(row["strategy"], row["symbol"], row["interval"], row["params"], f"{sharpe:.2f}")
    Console().print(rows)


def print_verdict(verdict: Verdict) -> None:
    """The gates on the terminal, each with what it says below it."""
    from qtm.reports.verdict_section import bound_in_words, shown

    subject = verdict.subject
    chosen = ", ".join(f"{name}={value:g}" for name, value in subject.params.items())
    console = Console()
    console.print(f"[bold]{subject.strategy} on {subject.symbol} {subject.interval}: {chosen}[/bold]\n")
    for gate in verdict.gates:
        mark = "[green]passed[/green]" if gate.passed else "[red]failed[/red]"
        measured, wanted = shown(gate.control, gate.measured), bound_in_words(gate.control, gate.bound)
        console.print(f"{mark}  {gate.bound.title}: {measured}, wanted {wanted}", highlight=False)
        console.print(Padding(gate.explanation, (0, 0, 1, 8)), style="dim")
    console.print(verdict.summary)


def _walk_table(found: WalkForward) -> dict[str, Any]:
    from qtm.backtest.overfitting.sharpe import probabilistic_sharpe_ratio, sharpe_sample
    from qtm.backtest.statistics import sharpe_ratio
    from qtm.clock import iso_utc
    from qtm.reports.backtest_figures import drawdown_path

    returns = found.returns
    varies = returns.size >= 4 and float(returns.std()) > 0.0
    return {
        "total_return": float(found.equity[-1]) / found.cash - 1.0,
        "sharpe": sharpe_ratio(returns),
        "probabilistic_sharpe": probabilistic_sharpe_ratio(sharpe_sample(returns)) if varies else None,
        "max_drawdown": -float(drawdown_path(found.equity, found.cash).min()),
        "efficiency": found.efficiency,
        "days": int(returns.size),
        "refits": len(found.steps),
        "different_choices": found.choices,
        "refit_costs": sum(step.refit_cost for step in found.steps),
        "steps": [
            {
                "chosen_from": iso_utc(step.train_from_ms)[:10],
                "traded_from": iso_utc(step.train_to_ms)[:10],
                "traded_to": iso_utc(step.test_to_ms)[:10],
                "symbol": step.symbol,
                "params": dict(step.params._asdict()),
                "train_sharpe": step.train_sharpe * math.sqrt(365),
                "test_sharpe": step.test_sharpe * math.sqrt(365),
                "test_return": step.test_return,
            }
            for step in found.steps
        ],
    }


def _print_walk(body: dict[str, Any]) -> None:
    table = Table("Traded from", "to", "Symbol", "Parameters", "Sharpe before", "after", "Return")
    for step in body["steps"]:
        table.add_row(
            step["traded_from"],
            step["traded_to"],
            step["symbol"],
            ", ".join(f"{name}={value:g}" for name, value in step["params"].items()),
            f"{step['train_sharpe']:.2f}",
            f"{step['test_sharpe']:.2f}",
            f"{step['test_return']:+.1%}",
        )
    console = Console()
    console.print(table)
    kept = (
        "" if math.isnan(body["efficiency"]) else f", {body['efficiency']:.0%} of the Sharpe ratio promised"
    )
    console.print(
        f"Out of sample: {body['total_return']:+.1%} in {body['days']:,} days, Sharpe {body['sharpe']:.2f}"
        f"{kept}, drawdown {body['max_drawdown']:.1%}; {body['refits']} refits cost "
        f"{body['refit_costs']:,.2f} to leave positions."
    )
    console.print(f"report: {body['report']}", soft_wrap=True)
