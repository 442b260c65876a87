"""`qtm ingest | quality | sql`: history into the lake, judged, and questions about it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from qtm.cli.arguments import print_json
from qtm.cli.lake import register as register_lake
from qtm.errors import ConfigError, DataError
from qtm.settings import Settings, settings

if TYPE_CHECKING:
    from qtm.market.choose import ChosenSource
    from qtm.market.ingest import IngestReport, Progress
    from qtm.market.intervals import Interval
    from qtm.market.lake import Lake
    from qtm.market.repair import Gap
    from qtm.market.source import Bars
    from qtm.quality.report import CheckResult, QualityReport

MarketOption = Annotated[str, typer.Option("--market", help="spot or um (USD-M futures).")]
SymbolsOption = Annotated[
    str | None,
    typer.Option(
        "--symbols", "-s", help="Comma-separated, BTCUSDT,ETHUSDT (default: the settings' universe)."
    ),
]
IntervalOption = Annotated[str, typer.Option("--interval", "-i", help="Bar length: 1m, 1h, 1d ...")]
KindOption = Annotated[str, typer.Option("--kind", help="bars, or mark or index prices of um.")]
FromOption = Annotated[
    str | None, typer.Option("--from", help="First day, UTC: 2024-01-31 (default: the settings' start).")
]
ToOption = Annotated[str | None, typer.Option("--to", help="Day after the last, UTC (default: today).")]
SourceOption = Annotated[str, typer.Option("--source", help="auto, archive, rest or synthetic.")]
ArchiveOption = Annotated[
    str | None,
    typer.Option("--archive", help="Folder laid out like Binance's public archive, or its URL."),
]
FillOption = Annotated[
    bool, typer.Option("--fill", help="Then fill gaps, and the end of the window, from the venue's REST.")
]
RefreshOption = Annotated[
    bool, typer.Option("--refresh", help="Read files again that the lake already took.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def register(app: typer.Typer) -> None:
    """Add the market data commands to the command line."""
    ingest = typer.Typer(help="Take history into the lake.", no_args_is_help=True)
    ingest.command("bars")(ingest_bars)
    ingest.command("funding")(ingest_funding)
    ingest.command("trades")(ingest_trades)
    ingest.command("instruments")(ingest_instruments)
    quality = typer.Typer(help="Judge the lake, show what failed, waive it by name.", no_args_is_help=True)
    quality.command("run")(quality_run)
    quality.command("show")(quality_show)
    quality.command("waive")(quality_waive)
    app.add_typer(ingest, name="ingest")
    app.add_typer(quality, name="quality")
    app.command("sql")(sql)
    register_lake(app)


def ingest_bars(
    interval: IntervalOption = "1m",
    market: MarketOption = "spot",
    symbols: SymbolsOption = None,
    start: FromOption = None,
    end: ToOption = None,
    source: SourceOption = "auto",
    archive: ArchiveOption = None,
    kind: KindOption = "bars",
    refresh: RefreshOption = False,
    fill: FillOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take bars into the lake, and the instruments of their symbols.

    Example: [bold]qtm ingest bars -i 1m -s BTCUSDT,ETHUSDT --from 2024-01-01 --to 2024-07-01[/bold]
    """
    from qtm.market import ingest
    from qtm.market.bars import BarKind
    from qtm.market.intervals import Interval
    from qtm.market.source import Bars

    series = Bars(_market(market), Interval.parse(interval), _choice(BarKind, kind, "--kind"))
    names = _symbols(symbols, series.interval)
    start_ms, end_ms = _window(start, end)
    with _opened(source, archive) as (lake, chosen):
        with _progress(series.dataset) as progress:
            report = ingest.ingest_bars(
                lake, chosen.source, series.market, series.interval, names, start_ms, end_ms,
                kind=series.kind, refresh=refresh, absent_ok=True, progress=progress,
            )  # fmt: skip
        gaps = _filled(lake, series, names, start_ms, end_ms) if fill and not chosen.is_synthetic else []
        unknown = _take_instruments(lake, chosen, market, names)
    _show_ingest(report, chosen, unknown, as_json, gaps)


def ingest_funding(
    market: MarketOption = "um",
    symbols: SymbolsOption = None,
    start: FromOption = None,
    end: ToOption = None,
    source: SourceOption = "auto",
    archive: ArchiveOption = None,
    refresh: RefreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take funding rates into the lake.

    Example: [bold]qtm ingest funding -s BTCUSDT --from 2023-01-01 --to 2024-01-01[/bold]
    """
    from qtm.market import ingest
    from qtm.market.intervals import Interval

    names = _symbols(symbols, Interval.M1)
    start_ms, end_ms = _window(start, end)
    with _opened(source, archive) as (lake, chosen):
        with _progress(f"{market} funding") as progress:
            report = ingest.ingest_funding(
                lake, chosen.source, _market(market), names, start_ms, end_ms,
                refresh=refresh, absent_ok=True, progress=progress,
            )  # fmt: skip
        unknown = _take_instruments(lake, chosen, market, names)
    _show_ingest(report, chosen, unknown, as_json)


def ingest_trades(
    market: MarketOption = "spot",
    symbols: SymbolsOption = None,
    start: FromOption = None,
    end: ToOption = None,
    source: SourceOption = "auto",
    archive: ArchiveOption = None,
    refresh: RefreshOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take aggregate trades into the lake, from the archive's daily files.

    Example: [bold]qtm ingest trades -s BTCUSDT --from 2024-08-05 --to 2024-08-06[/bold]
    """
    from qtm.market import ingest
    from qtm.market.intervals import Interval

    names = _symbols(symbols, Interval.M1)
    start_ms, end_ms = _window(start, end)
    with _opened(source, archive) as (lake, chosen):
        with _progress(f"{market} trades") as progress:
            report = ingest.ingest_trades(
                lake, chosen.source, _market(market), names, start_ms, end_ms,
                refresh=refresh, absent_ok=True, progress=progress,
            )  # fmt: skip
        unknown = _take_instruments(lake, chosen, market, names)
    _show_ingest(report, chosen, unknown, as_json)


def ingest_instruments(
    market: MarketOption = "spot",
    symbols: SymbolsOption = None,
    source: SourceOption = "auto",
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take instruments with their exact filters into the lake.

    Example: [bold]qtm ingest instruments -s BTCUSDT,ETHUSDT[/bold]
    """
    from qtm.market import ingest
    from qtm.market.intervals import Interval

    names = _symbols(symbols, Interval.D1)
    with _opened(source, archive) as (lake, chosen):
        taken = ingest.ingest_instruments(lake, chosen.source, _market(market), names)
    rows = [
        {
            "symbol": one.symbol,
            "tick_size": format(one.tick_size, "f"),
            "step_size": format(one.step_size, "f"),
            "min_notional": format(one.min_notional, "f"),
            "filters_from": one.filters_source,
        }
        for one in taken
    ]
    if as_json:
        print_json({"source": chosen.source.name, "reason": chosen.reason, "instruments": rows})
        return
    _say_source(chosen)
    table = Table("Symbol", "Tick", "Step", "Least notional", "Filters from")
    for row in rows:
        table.add_row(*row.values())
    Console().print(table)


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
    wanted = None if symbols is None else _split(symbols)
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

    dataset = bars_dataset(_market(market), Interval.parse(interval), _choice(BarKind, kind, "--kind"))
    start_ms, end_ms = _window(start, end)
    waiver = Waiver(
        dataset, symbol, check, start_ms, end_ms, who, why, _day_ms(until, "--until"), SystemClock().now_ms()
    )
    grant_waiver(Lake.from_settings(settings()), waiver)
    if as_json:
        print_json({"waived": {"dataset": dataset, "symbol": symbol, "check": check, "until": until}})
    else:
        Console().print(f"{who} waives {check} of {symbol} from {start} to {end}, until {until}")


def sql(
    query: Annotated[str, typer.Argument(help="One SELECT; each dataset of the lake is a table.")],
    rows: Annotated[int, typer.Option("--rows", min=1, help="Rows to show.")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Ask the lake a question in SQL.

    Example: [bold]qtm sql "SELECT symbol, count(*) AS bars FROM spot_bars_1m GROUP BY symbol"[/bold]
    """
    from qtm.market.lake import Lake

    answer = Lake.from_settings(settings()).sql(query)
    if as_json:
        print_json({"columns": answer.columns, "rows": answer.to_dicts()})
        return
    table = Table(*answer.columns)
    for row in answer.head(rows).iter_rows():
        table.add_row(*("" if value is None else str(value) for value in row))
    console = Console()
    console.print(table)
    if len(answer) > rows:
        console.print(f"{len(answer) - rows:,} more rows; --rows shows more")


# -- reading the command line -----------------------------------------------------------------------------


def _split(symbols: str) -> list[str]:
    names = [name.strip().upper() for name in symbols.split(",") if name.strip()]
    if not names:
        raise ConfigError("no symbols given", where="--symbols", remedy="name at least one, such as BTCUSDT")
    return list(dict.fromkeys(names))


def _symbols(symbols: str | None, interval: Interval) -> list[str]:
    """The symbols asked for; by default the settings' universe for bars of that length."""
    if symbols is not None:
        return _split(symbols)
    market = settings().market
    return list(market.daily_universe if interval.ms >= 86_400_000 else market.intraday_symbols)


def _market(text: str) -> Any:
    from qtm.market.instruments import Market

    return _choice(Market, text, "--market")


def _choice(kind: Any, text: str, option: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(str(one) for one in kind)
        raise ConfigError(f"unknown value {text!r}", where=option, remedy=f"use one of {known}") from None


def _day_ms(text: str, option: str) -> int:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a date", where=option, remedy="write year-month-day, such as 2024-01-31"
        ) from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def _window(start: str | None, end: str | None) -> tuple[int, int]:
    """The half-open window of two days; by default from the settings' first day to the start of today."""
    first = start or settings().market.history_start.isoformat()
    after = end or datetime.now(UTC).date().isoformat()
    start_ms, end_ms = _day_ms(first, "--from"), _day_ms(after, "--to")
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    if end_ms > _day_ms(tomorrow.isoformat(), "--to"):
        raise ConfigError(f"{after} lies in the future", where="--to", remedy="--to is at most tomorrow")
    if end_ms <= start_ms:
        raise ConfigError(
            f"the window from {first} to {after} is empty",
            where="--from and --to",
            remedy="give the earlier day as --from; --to is the day after the last",
        )
    return start_ms, end_ms


# -- doing ------------------------------------------------------------------------------------------------


@contextmanager
def _opened(source: str, archive: str | None) -> Iterator[tuple[Lake, ChosenSource]]:
    """The lake and the chosen source, closed afterwards."""
    from typing import get_args

    from qtm.market.choose import SourceName, choose_source
    from qtm.market.lake import Lake

    known = get_args(SourceName)
    if source not in known:
        raise ConfigError(
            f"unknown source {source!r}", where="--source", remedy=f"use one of {', '.join(known)}"
        )
    effective: Settings = settings()
    if archive is not None:
        market = effective.market.model_copy(update={"archive": archive})
        effective = effective.model_copy(update={"market": market})
    chosen = choose_source(effective, source)  # type: ignore[arg-type]
    try:
        yield Lake.from_settings(effective), chosen
    finally:
        chosen.source.close()


def _filled(lake: Lake, series: Bars, names: Sequence[str], start_ms: int, end_ms: int) -> list[Gap]:
    """Fill the window's gaps and its end from the venue's REST interface."""
    from qtm.market.choose import rest_source
    from qtm.market.repair import fill_gaps

    venue = rest_source(settings())
    try:
        return fill_gaps(lake, venue, series, names, start_ms, end_ms)
    finally:
        venue.close()


def _take_instruments(lake: Lake, chosen: ChosenSource, market: str, names: Sequence[str]) -> list[str]:
    """Take the filters of these symbols too; returns the symbols nobody knows the filters of."""
    from qtm.market.ingest import ingest_instruments as take

    which = _market(market)
    try:
        take(lake, chosen.source, which, names)
    except DataError:
        unknown = []
        for name in names:
            try:
                take(lake, chosen.source, which, [name])
            except DataError:
                unknown.append(name)
        return unknown
    return []


@contextmanager
def _progress(title: str) -> Iterator[Progress]:
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)

        def advance(done: int, total: int, what: str) -> None:
            bar.update(task, completed=done, total=total, description=what)

        yield advance


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

    which = _market(market)
    if kind == "instruments":
        names = _split(symbols) if symbols else [one.symbol for one in lake.instruments(which)]
        return check_instruments(lake, which, names)
    bar_kind = None if kind == "funding" else _choice(BarKind, kind, "--kind")
    dataset = bars_dataset(which, interval, bar_kind) if bar_kind else funding_dataset(which)
    held = lake.coverage(dataset)
    if held.is_empty():
        raise DataError(f"{dataset} is empty", where=lake.uri, remedy="ingest it first")
    names = _split(symbols) if symbols else held["symbol"].to_list()
    step = interval.ms if bar_kind else 1
    start_ms = _day_ms(start, "--from") if start else int(held["first_ms"].min())  # type: ignore[arg-type]
    end_ms = _day_ms(end, "--to") if end else int(held["last_ms"].max()) + step  # type: ignore[arg-type]
    if bar_kind is None:
        return check_funding(lake, which, names, start_ms, end_ms)
    return check_bars(lake, which, interval, names, start_ms, end_ms, kind=bar_kind)


# -- printing ---------------------------------------------------------------------------------------------


def _say_source(chosen: ChosenSource) -> None:
    colour = "bold yellow" if chosen.is_synthetic else "green"
    Console().print(f"[{colour}]{chosen.source.name}[/{colour}]: {chosen.reason}")


def _show_ingest(
    report: IngestReport, chosen: ChosenSource, unknown: list[str], as_json: bool, gaps: Sequence[Gap] = ()
) -> None:
    from qtm.clock import iso_utc

    if as_json:
        print_json(
            {
                **report.as_json(),
                "reason": chosen.reason,
                "synthetic": chosen.is_synthetic,
                "filters_unknown": unknown,
                "gaps": [
                    {"symbol": gap.symbol, "from": iso_utc(gap.start_ms), "to": iso_utc(gap.end_ms),
                     "filled": gap.filled}
                    for gap in gaps
                ],
            }
        )  # fmt: skip
        return
    _say_source(chosen)
    title = (
        f"{report.dataset} version {report.version}: {report.rows:,} rows from {report.parts:,} files "
        f"({report.size / 1e6:.1f} MB) in {report.seconds:.2f} s; {report.unchanged:,} files unchanged"
    )
    table = Table("Symbol", "Rows", "First (UTC)", "Last (UTC)", "Months absent", title=title)
    for one in report.symbols.values():
        table.add_row(
            one.symbol,
            f"{one.rows:,}",
            "" if one.first_ms is None else iso_utc(one.first_ms)[:16],
            "" if one.last_ms is None else iso_utc(one.last_ms)[:16],
            str(len(one.months_absent) or ""),
        )
    console = Console()
    console.print(table)
    for gap in gaps:
        console.print(
            f"gap of {gap.symbol} from {iso_utc(gap.start_ms)} to {iso_utc(gap.end_ms)}: "
            + (f"{gap.filled:,} bars from the venue" if gap.filled else "the venue has none either")
        )
    if unknown:
        console.print(
            f"[yellow]No venue filters known for {', '.join(unknown)}: they cannot be traded until "
            "`qtm ingest instruments` reaches the venue[/yellow]"
        )


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
