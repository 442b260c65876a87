"""`qtm ingest`: history into the lake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
    chosen_symbols,
    market_named,
    window,
)
from qtm.errors import ConfigError, DataError
from qtm.settings import Settings, settings

if TYPE_CHECKING:
    from qtm.market.choose import ChosenSource
    from qtm.market.ingest_report import IngestReport, Progress
    from qtm.market.instruments import Market
    from qtm.market.lake import Lake
    from qtm.market.repair import Gap
    from qtm.market.source import Bars, Series

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


def register(app: typer.Typer) -> None:
    """Add `qtm ingest` to the command line."""
    ingest = typer.Typer(help="Take history into the lake.", no_args_is_help=True)
    ingest.command("bars")(ingest_bars)
    ingest.command("funding")(ingest_funding)
    ingest.command("trades")(ingest_trades)
    ingest.command("instruments")(ingest_instruments)
    app.add_typer(ingest, name="ingest")


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
    from qtm.market.bars import BarKind
    from qtm.market.intervals import Interval
    from qtm.market.source import Bars

    series = Bars(market_named(market), Interval.parse(interval), choice(BarKind, kind, "--kind"))
    names = chosen_symbols(symbols, series.interval)
    _ingest(series, names, start, end, source, archive, refresh, as_json, series if fill else None)


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
    from qtm.market.intervals import Interval
    from qtm.market.source import Funding

    names = chosen_symbols(symbols, Interval.M1)
    _ingest(Funding(market_named(market)), names, start, end, source, archive, refresh, as_json)


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
    from qtm.market.intervals import Interval
    from qtm.market.source import Trades

    names = chosen_symbols(symbols, Interval.M1)
    _ingest(Trades(market_named(market)), names, start, end, source, archive, refresh, as_json)


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

    names = chosen_symbols(symbols, Interval.D1)
    with _opened(source, archive) as (lake, chosen):
        taken = ingest.ingest_instruments(lake, chosen.source, market_named(market), names)
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


def _ingest(
    series: Series,
    names: Sequence[str],
    start: str | None,
    end: str | None,
    source: str,
    archive: str | None,
    refresh: bool,
    as_json: bool,
    to_fill: Bars | None = None,
) -> None:
    """Take a series and its symbols' instruments into the lake, fill its gaps, and show what came."""
    from qtm.market.ingest import ingest_series

    start_ms, end_ms = window(start, end)
    with _opened(source, archive) as (lake, chosen):
        with _progress(series.dataset) as progress:
            report = ingest_series(
                lake, chosen.source, series, names, start_ms, end_ms,
                refresh=refresh, absent_ok=True, progress=progress,
            )  # fmt: skip
        gaps: list[Gap] = []
        if to_fill is not None and not chosen.is_synthetic:
            gaps = _filled(lake, to_fill, names, start_ms, end_ms)
        unknown = _take_instruments(lake, chosen, series.market, names)
    _show_ingest(report, chosen, unknown, as_json, gaps)


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


def _take_instruments(lake: Lake, chosen: ChosenSource, which: Market, names: Sequence[str]) -> list[str]:
    """Take the filters of these symbols too; returns the symbols nobody knows the filters of."""
    from qtm.market.ingest import ingest_instruments as take

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
