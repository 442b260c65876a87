"""`qtm quality`: the lake judged, what failed, and what was waived by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from qtm.cli.arguments import IntervalOption, JsonOption, MarketOption, print_json
from qtm.cli.series_arguments import (
    FromOption,
    KindOption,
    SymbolsOption,
    ToOption,
    choice,
    day_ms,
    market_named,
    split_symbols,
    window,
)
from qtm.errors import DataError
from qtm.settings import settings

if TYPE_CHECKING:
    from qtm.market.intervals import Interval
    from qtm.market.lake import Lake
    from qtm.quality.report import CheckResult, QualityReport


def register(app: typer.Typer) -> None:
    """Add `qtm quality` to the command line."""
    quality = typer.Typer(help="Judge the lake, show what failed, waive it by name.", no_args_is_help=True)
    quality.command("run")(quality_run)
    quality.command("show")(quality_show)
    quality.command("waive")(quality_waive)
    app.add_typer(quality, name="quality")


def quality_run(
    interval: IntervalOption = "1m",
    market: MarketOption = "spot",
    symbols: SymbolsOption = None,
    start: FromOption = None,
    end: ToOption = None,
    kind: Annotated[str, typer.Option("--kind", help="bars, mark, index, funding or instruments.")] = "bars",
    as_json: JsonOption = False,
) -> None:
    """Judge a window of the lake; exit code 3 when a blocking check fails.

    Without --symbols every symbol of the dataset is judged; without --from and --to all its time.

    Example: [bold]qtm quality run -i 1d --from 2024-01-01 --to 2024-07-01[/bold]
    """
    from qtm.market.intervals import Interval
    from qtm.market.lake import Lake

    lake = Lake.from_settings(settings())
    report = _judged(lake, kind, market, Interval.parse(interval), symbols, start, end)
    if as_json:
        print_json(report.as_json())
    else:
        _show_quality(report)
    if not report.passed:
        raise typer.Exit(DataError.exit_code)


def quality_show(
    symbols: SymbolsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the quarantine and the waivers.

    Example: [bold]qtm quality show -s BTCUSDT[/bold]
    """
    from qtm.clock import SystemClock, iso_utc
    from qtm.market.lake import Lake
    from qtm.quality.record import quarantined, waivers

    lake = Lake.from_settings(settings())
    wanted = None if symbols is None else split_symbols(symbols)
    held = quarantined(lake, symbols=wanted)
    granted = [waiver for waiver in waivers(lake) if wanted is None or waiver.symbol in wanted]
    now_ms = SystemClock().now_ms()
    quarantine = [
        {
            "dataset": row["dataset"],
            "symbol": row["symbol"],
            "check": row["check"],
            "from": iso_utc(row["from_ms"]),
            "to": iso_utc(row["to_ms"]),
            "version": row["version"],
        }
        for row in held.iter_rows(named=True)
    ]
    waived = [
        {
            "dataset": waiver.dataset,
            "symbol": waiver.symbol,
            "check": waiver.check,
            "from": iso_utc(waiver.from_ms),
            "to": iso_utc(waiver.to_ms),
            "who": waiver.who,
            "why": waiver.why,
            "until": iso_utc(waiver.until_ms),
            "in_force": now_ms < waiver.until_ms,
        }
        for waiver in granted
    ]
    if as_json:
        print_json({"quarantine": quarantine, "waivers": waived})
        return
    console = Console()
    for title, rows in (("Quarantine", quarantine), ("Waivers", waived)):
        if not rows:
            console.print(f"{title}: none")
            continue
        table = Table(*(name.replace("_", " ") for name in rows[0]), title=title)
        for line in rows:
            table.add_row(*(str(value) for value in line.values()))
        console.print(table)


def quality_waive(
    symbol: Annotated[str, typer.Argument(help="The symbol in quarantine.")],
    check: Annotated[str, typer.Argument(help="The check it failed, as `qtm quality show` names it.")],
    who: Annotated[str, typer.Option("--who", help="Who answers for it.")],
    why: Annotated[str, typer.Option("--why", help="Why the data may be used.")],
    start: Annotated[str, typer.Option("--from", help="First day waived, UTC.")],
    end: Annotated[str, typer.Option("--to", help="Day after the last, UTC.")],
    until: Annotated[str, typer.Option("--until", help="Day the waiver ends, UTC.")],
    interval: IntervalOption = "1m",
    market: MarketOption = "spot",
    kind: KindOption = "bars",
    as_json: JsonOption = False,
) -> None:
    """Let a failed check pass on a stretch of time, in your name and until a date.

    Example: [bold]qtm quality waive BTCUSDT no_long_gap --who "A. Quant" --why "venue outage, not traded"
    --from 2018-02-08 --to 2018-02-11 --until 2027-01-01[/bold]
    """
    from qtm.clock import SystemClock
    from qtm.market.bars import BarKind
    from qtm.market.intervals import Interval
    from qtm.market.lake import Lake, bars_dataset
    from qtm.quality.record import Waiver, grant_waiver

    dataset = bars_dataset(market_named(market), Interval.parse(interval), choice(BarKind, kind, "--kind"))
    start_ms, end_ms = window(start, end)
    waiver = Waiver(
        dataset, symbol, check, start_ms, end_ms, who, why, day_ms(until, "--until"), SystemClock().now_ms()
    )
    grant_waiver(Lake.from_settings(settings()), waiver)
    if as_json:
        print_json({"waived": {"dataset": dataset, "symbol": symbol, "check": check, "until": until}})
    else:
        Console().print(f"{who} waives {check} of {symbol} from {start} to {end}, until {until}")


def _judged(
    lake: Lake,
    kind: str,
    market: str,
    interval: Interval,
    symbols: str | None,
    start: str | None,
    end: str | None,
) -> QualityReport:
    from qtm.market.bars import BarKind
    from qtm.market.lake import bars_dataset, funding_dataset
    from qtm.quality.judge import check_bars, check_funding, check_instruments

    which = market_named(market)
    if kind == "instruments":
        names = split_symbols(symbols) if symbols else [one.symbol for one in lake.instruments(which)]
        return check_instruments(lake, which, names)
    bar_kind = None if kind == "funding" else choice(BarKind, kind, "--kind")
    dataset = bars_dataset(which, interval, bar_kind) if bar_kind else funding_dataset(which)
    held = lake.coverage(dataset)
    if held.is_empty():
        raise DataError(f"{dataset} is empty", where=lake.uri, remedy="ingest it first")
    names = split_symbols(symbols) if symbols else held["symbol"].to_list()
    step = interval.ms if bar_kind else 1
    start_ms = day_ms(start, "--from") if start else int(held["first_ms"].min())  # type: ignore[arg-type]
    end_ms = day_ms(end, "--to") if end else int(held["last_ms"].max()) + step  # type: ignore[arg-type]
    if bar_kind is None:
        return check_funding(lake, which, names, start_ms, end_ms)
    return check_bars(lake, which, interval, names, start_ms, end_ms, kind=bar_kind)


def _show_quality(report: QualityReport) -> None:
    from qtm.clock import iso_utc

    console = Console()
    blocking = [result for result in report.failures if result.blocking]
    warnings = [result for result in report.failures if not result.blocking]
    verdict = "[red]blocked[/red]" if blocking else "[green]passed[/green]"
    console.print(
        f"{report.dataset} version {report.version}, {iso_utc(report.start_ms)} to {iso_utc(report.end_ms)}: "
        f"{verdict}; {report.rows:,} rows, {len(report.symbols)} symbols, {len(report.results)} checks, "
        f"{len(blocking)} blocking and {len(warnings)} warning, {report.seconds:.2f} s"
    )
    by_check: dict[str, list[CheckResult]] = {}
    for result in report.failures:
        by_check.setdefault(result.name, []).append(result)
    for name, results in by_check.items():
        check = results[0].check
        colour = "red" if check.blocking else "yellow"
        console.print(f"\n[{colour}]{check.severity}[/{colour}] [bold]{name}[/bold]: {check.description}")
        alike: dict[str, list[str]] = {}
        for result in results:
            place = f" at {result.where}" if result.spans else ""
            alike.setdefault(f"{_observed(result)}{place}", []).append(result.symbol)
        for what, names in alike.items():
            console.print(f"  {', '.join(names)}: {what}", soft_wrap=True, highlight=False)
        console.print(f"  -> {check.remedy}", soft_wrap=True, highlight=False)


def _observed(result: CheckResult) -> str:
    """The number measured, beside the bound it breaks."""
    if result.observed is None:
        return "nothing to measure"
    if result.check.metric.endswith("_ms"):
        return f"{result.observed / 3_600_000:,.1f} h"
    return f"{result.observed:,.6g} ({result.check.allowed} allowed)"
