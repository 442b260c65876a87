"""The public face of quality: check a dataset, and require that a window passed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

import polars as pl

from qtm.clock import Clock, SystemClock, iso_utc
from qtm.errors import DataError
from qtm.market.bars import BarKind
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import INSTRUMENTS, Lake, bars_dataset, funding_dataset
from qtm.quality.checks import Check, bar_checks, funding_checks, instrument_checks
from qtm.quality.profile import Profiled, Span, profile_bars
from qtm.quality.profile_reference import profile_funding, profile_instruments
from qtm.quality.record import Waiver, quarantined, record_report, verdicts, waivers
from qtm.quality.report import CheckResult, QualityReport
from qtm.quality.suite import judge


def check_bars(
    lake: Lake,
    market: Market,
    interval: Interval,
    symbols: Sequence[str],
    start_ms: int,
    end_ms: int,
    *,
    kind: BarKind = BarKind.TRADE,
) -> QualityReport:
    """Judge the bars of [start_ms, end_ms) and keep the verdicts in the lake.

    Raises
    ------
    DataError
        When the dataset does not exist.
    """
    began = time.perf_counter()
    dataset = bars_dataset(market, interval, kind)
    version = int(lake.tables.open(dataset).version())
    checks = bar_checks(interval, kind)
    names = sorted(set(symbols))
    found = profile_bars(lake, market, interval, kind, names, start_ms, end_ms, version, checks)
    return _recorded(lake, dataset, version, checks, found, start_ms, end_ms, began)


def check_funding(
    lake: Lake, market: Market, symbols: Sequence[str], start_ms: int, end_ms: int
) -> QualityReport:
    """Judge the funding rates of a window and keep the verdicts in the lake."""
    began = time.perf_counter()
    dataset = funding_dataset(market)
    version = int(lake.tables.open(dataset).version())
    checks = funding_checks()
    rates = lake.scan_funding(market, symbols=symbols, start_ms=start_ms, end_ms=end_ms, version=version)
    found = profile_funding(rates.collect(), sorted(set(symbols)), checks)
    return _recorded(lake, dataset, version, checks, found, start_ms, end_ms, began)


def check_instruments(lake: Lake, market: Market, symbols: Sequence[str]) -> QualityReport:
    """Judge the instruments of a market and keep the verdicts in the lake."""
    began = time.perf_counter()
    version = int(lake.tables.open(INSTRUMENTS).version())
    checks = instrument_checks()
    held = {instrument.symbol: instrument for instrument in lake.instruments(market)}
    found = profile_instruments(held, sorted(set(symbols)))
    return _recorded(lake, f"{market}_{INSTRUMENTS}", version, checks, found, 0, 1, began)


def require_passed(
    lake: Lake,
    market: Market,
    interval: Interval,
    symbols: Sequence[str],
    start_ms: int,
    end_ms: int,
    *,
    kind: BarKind = BarKind.TRADE,
    clock: Clock | None = None,
) -> tuple[Waiver, ...]:
    """Let a window be used only if no blocking check failed in it, or each failure is waived by name.

    A window whose present content has not been judged yet is judged now.

    Returns
    -------
    tuple of Waiver
        The waivers the answer rests on; they belong in the result's lineage.

    Raises
    ------
    DataError
        Naming the first symbol, check and time in quarantine, and the remedy.
    """
    dataset = bars_dataset(market, interval, kind)
    unjudged = [symbol for symbol in symbols if not _is_judged(lake, dataset, symbol, start_ms, end_ms)]
    if unjudged:
        check_bars(lake, market, interval, unjudged, start_ms, end_ms, kind=kind)
    now_ms = (clock or SystemClock()).now_ms()
    granted = waivers(lake, dataset)
    used: list[Waiver] = []
    held = quarantined(lake, dataset, symbols).filter(
        (pl.col("from_ms") < end_ms) & (pl.col("to_ms") > start_ms)
    )
    remedies = {check.name: check.remedy for check in bar_checks(interval, kind)}
    for symbol, check, from_ms, to_ms in held.select("symbol", "check", "from_ms", "to_ms").iter_rows():
        span = Span(symbol, from_ms, to_ms)
        excuse = next((waiver for waiver in granted if waiver.covers(check, span, now_ms)), None)
        if excuse is None:
            raise DataError(
                f"{symbol} from {iso_utc(from_ms)} to {iso_utc(to_ms)} is in quarantine: it failed {check}",
                where=dataset,
                remedy=remedies.get(check, "`qtm quality show` explains it"),
            )
        used.append(excuse)
    return tuple(dict.fromkeys(used))


def _recorded(
    lake: Lake,
    dataset: str,
    version: int,
    checks: Sequence[Check],
    found: Profiled,
    start_ms: int,
    end_ms: int,
    began: float,
) -> QualityReport:
    failing = judge(dataset, checks, found.profiles)
    results = []
    for profile in found.profiles:
        symbol = profile["symbol"]
        for check in checks:
            failed = symbol in failing[check.name]
            value = profile.get(check.metric)
            spans = tuple(
                span for span in found.spans.get(check.name, ()) if failed and span.symbol == symbol
            )
            results.append(
                CheckResult(symbol, check, not failed, None if value is None else float(value), spans)
            )
    rows = sum(int(profile["rows"]) for profile in found.profiles)
    seconds = time.perf_counter() - began
    report = QualityReport(dataset, version, start_ms, end_ms, tuple(results), rows, seconds)
    record_report(lake, report)
    return report


def _is_judged(lake: Lake, dataset: str, symbol: str, start_ms: int, end_ms: int) -> bool:
    """True when verdicts on the present content enclose the window, in one piece or side by side."""
    held = verdicts(lake, dataset).filter(pl.col("symbol") == symbol)
    windows = held.select("start_ms", "end_ms", "version").unique().sort("start_ms", "end_ms")
    return _encloses(
        (
            (start, end)
            for start, end, version in windows.iter_rows()
            if end > start_ms and start < end_ms and _is_unchanged(lake, dataset, version, start, end)
        ),
        start_ms,
        end_ms,
    )


def _encloses(windows: Iterable[tuple[int, int]], start_ms: int, end_ms: int) -> bool:
    reached = start_ms
    for start, end in windows:
        if start > reached:
            return False
        reached = max(reached, end)
    return reached >= end_ms


def _is_unchanged(lake: Lake, dataset: str, version: int, start_ms: int, end_ms: int) -> bool:
    """True when the window's months consist of the same files as at `version`."""
    if version == lake.version(dataset):
        return True
    now = lake.files_of(dataset, start_ms, end_ms)
    return now == lake.files_of(dataset, start_ms, end_ms, version=version)
