"""`qtm backtest | strategies | check`: research from the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from qtm.cli.arguments import (
    JsonOption,
    PdfOption,
    ReportOption,
    SetOption,
    StrategyArgument,
    UngatedOption,
    assignments,
    print_json,
    print_pdf,
)
from qtm.cli.where import Where, runs_on

if TYPE_CHECKING:
    from qtm.backtest.standstill import Standstill
    from qtm.research import ResearchRun


def register(app: typer.Typer) -> None:
    """Add the research commands to the command line."""
    app.command("backtest")(backtest)
    app.command("strategies")(strategies)
    app.command("check")(check)


@runs_on("1m")
def backtest(
    strategy: StrategyArgument,
    where: Where,
    parameter: SetOption = None,
    ungated: UngatedOption = False,
    report: ReportOption = None,
    pdf: PdfOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Also write the run to this folder, for qtm compare.")
    ] = None,
    debug: Annotated[
        bool, typer.Option("--debug", help="Run the step as plain Python, where breakpoint() works.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a strategy of any kind on symbols of the lake and write its tear sheet.

    Several symbols share one account, and so do several strategies (names with commas between them, their
    parameters as trend.fast=24). Order strategies run on every trade with --interval trades.

    Example: [bold]qtm backtest trend --symbol BTCUSDT --interval 1h --from 2024-01-01 --set fast=24[/bold]
    Example: [bold]qtm backtest trend -s BTCUSDT -i 1d --sizing volatility:target=0.02,cap=0.9[/bold]
    Example: [bold]qtm backtest basis-carry --symbols spot:BTCUSDT,um:BTCUSDT --interval 1h[/bold]
    """
    from qtm.research import backtest as run_one

    where.options["gated"] = not ungated
    run = run_one(
        strategy,
        where.symbols,
        where.interval,
        params=assignments(parameter),
        debug=debug,
        **where.options,
    )
    path = run.tear_sheet(report)
    print_pdf(pdf, run.document)
    if out is not None:
        run.save(out)
    if as_json:
        print_json(_as_json(run, path))
        return
    _print_run(run, path)


def strategies(as_json: JsonOption = False) -> None:
    """List the bundled strategies with their parameters.

    Example: [bold]qtm strategies[/bold]
    """
    from qtm.strategies.registry import list_strategies

    known = list_strategies()
    if as_json:
        rows = [
            {
                "name": one.name,
                "kind": one.kind,
                "summary": one.summary,
                "version": one.version,
                "parameters": {
                    name: {"default": value, "bounds": one.bounds.get(name)}
                    for name, value in one.params()._asdict().items()
                },
            }
            for one in known
        ]
        print_json({"strategies": rows})
        return
    table = Table("Strategy", "Kind", "What it does", "Parameters", "Version")
    for one in known:
        chosen = ", ".join(f"{name}={value:g}" for name, value in one.params()._asdict().items())
        table.add_row(one.name, one.kind, one.summary, chosen, one.version)
    Console().print(table)


def check(
    strategy: StrategyArgument,
    parameter: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that a strategy compiles, is repeatable and cannot see the future.

    Runs it on a made-up market, again with the data cut off at every bar, and again with the future poisoned.
    Its source is read for files, clocks and data of its own: what is found is for another person to judge.

    Example: [bold]qtm check my_strategy.py --set fast=10[/bold]
    """
    from qtm.backtest.proofs import prove
    from qtm.strategies.registry import load_strategy

    loaded = load_strategy(strategy)
    proof = prove(loaded, assignments(parameter))
    if as_json:
        print_json({"strategy": loaded.name, "version": loaded.version, **proof.as_dict()})
    else:
        console = Console()
        for finding in proof.findings:
            unmet = "[yellow]to be judged[/yellow]" if finding.acceptable else "[red]failed[/red]"
            mark = "[green]passed[/green]" if finding.passed else unmet
            console.print(f"{mark}  {finding.name}: {finding.observed}")
    if not proof.passed:
        raise typer.Exit(4)


def _as_json(run: ResearchRun, path: Path) -> dict[str, Any]:
    import dataclasses

    standstill = run.result.standstill
    return {
        "lineage": dataclasses.asdict(run.result.lineage),
        "statistics": run.statistics.as_dict(),
        "limit_notes": run.result.limit_notes,
        "standstill": None if standstill is None else standstill._asdict(),
        "verdict": run.verdict.as_dict() if run.verdict else None,
        "report": str(path),
    }


def _print_run(run: ResearchRun, path: Path) -> None:
    from qtm.reports.formats import money, percent, ratio

    made_from, figures = run.result.lineage, run.statistics
    size = "" if made_from.interval == "trades" else f", {made_from.bars:,} bars"
    refused = int((run.orders["status"] == "REFUSED").sum())
    table = Table(
        title=f"{made_from.strategy} on {made_from.symbol} {made_from.interval}{size}",
        show_header=False,
    )
    table.add_column(justify="left")
    table.add_column(justify="right")
    for name, value in (
        *_stopped(run.result.standstill),
        ("Final equity", money(figures.final_equity, 2)),
        ("Total return", percent(figures.total_return, signed=True)),
        ("Annual return", percent(figures.annual_return, signed=True)),
        ("Sharpe", ratio(figures.sharpe)),
        ("Max drawdown", percent(figures.max_drawdown)),
        ("CVaR 95 %, daily", percent(figures.cvar_95)),
        ("Round trips", f"{figures.trades:,}"),
        ("Win rate", percent(figures.win_rate, 1)),
        ("Fees", money(figures.fees, 2)),
        ("Orders (refused)", f"{figures.orders:,} ({refused:,})"),
    ):
        table.add_row(name, value)
    console = Console()
    console.print(table)
    if refused:
        console.print(f"refused by the firm's limits: {_refusals(run)}", soft_wrap=True)
    for note in run.result.limit_notes:
        console.print(note, soft_wrap=True)
    console.print(f"luck: {_luck(run)}", soft_wrap=True)
    console.print(f"tear sheet: {path}", soft_wrap=True)


def _stopped(standstill: Standstill | None) -> list[tuple[str, str]]:
    """What stands above the figures of a run that its loss limits stopped."""
    from qtm.reports.formats import duration, ratio

    if standstill is None:
        return []
    traded = f"{ratio(standstill.sharpe)} in the first {duration(standstill.days * 86_400.0)}"
    return [
        ("[red]Trading stopped by a loss limit[/red]", f"[red]{standstill.since}[/red]"),
        ("Nothing traded since", standstill.aftermath),
        ("Sharpe while it traded", traded),
    ]


def _luck(run: ResearchRun) -> str:
    """The verdict on record, or what was examined instead."""
    from qtm.reports.verdict_section import examined_in_words

    if run.verdict:
        return run.verdict.summary
    never = "these parameters were never examined" if run.others_examined else "never examined"
    others = f"; examined were {examined_in_words(run.others_examined)}" if run.others_examined else ""
    return f"{never}: `qtm overfit` does{others}"


def _refusals(run: ResearchRun) -> str:
    """How often each control refused an order, the busiest first: `PT-03 (maximum order value) 19 times`."""
    from qtm.risk.rules import CONTROL_NAMES

    controls = run.orders.filter(run.orders["status"] == "REFUSED")["control"].str.split(",").explode()
    counts = controls.value_counts(sort=True).iter_rows()
    return ", ".join(
        f"{control} ({CONTROL_NAMES[control]}) {'once' if times == 1 else f'{times:,} times'}"
        for control, times in counts
    )
