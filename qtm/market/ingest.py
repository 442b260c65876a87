"""Ingestion: take windows of history from a source into the lake, repeatably.

First every part of the window is located and compared, by the digest of its content, with what the lake has
already taken (`ingest_log`); only new or replaced parts are read. They stream through the checks into one
Delta commit, a few files ahead in threads, and a failure anywhere leaves the lake as it was. Only windows of
more than `ROWS_PER_COMMIT` rows take several commits, each of whole files, which bounds the memory.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import polars as pl

from qtm.clock import iso_utc
from qtm.errors import ConfigError, DataError, StoreError
from qtm.market.ingest_log import Taken, note_taken, refuse_mixing, taken_parts
from qtm.market.ingest_report import IngestReport, Progress, SymbolReport
from qtm.market.instruments import Instrument, Market
from qtm.market.lake import INSTRUMENTS, Lake, Window, month_window, months_between
from qtm.market.source import Part, Rows, Series, Source

ROWS_PER_COMMIT = 2_000_000
"""What a commit may hold: the writer keeps some 200 MB per million rows until it is made."""

BYTES_PER_ROW = 64
"""On disk, a little above what a bar with all its columns takes in a compressed file."""

ROWS_PER_BATCH = 500_000
THREADS = 2


def ingest_series(
    lake: Lake,
    source: Source,
    series: Series,
    symbols: Sequence[str],
    start_ms: int,
    end_ms: int,
    *,
    refresh: bool = False,
    absent_ok: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Take the bars, funding rates or trades of [start_ms, end_ms) of some symbols into the lake.

    Parameters
    ----------
    series
        What of the market, for example `Bars(Market.SPOT, Interval.M1)`, `Funding(...)` or `Trades(...)`.
    refresh
        Read every file again even when the lake already took it unchanged.
    absent_ok
        Report a symbol the source has nothing for (not listed yet, say) instead of failing, as long as it has
        some other one.
    progress
        Called after each symbol-month.

    Raises
    ------
    ConfigError
        For an impossible window or no symbols.
    DataError
        For a file that is damaged, or when the source has nothing for a symbol.
    VenueError, StoreError
        When the source cannot be reached or the lake cannot be written.
    """
    began = time.perf_counter()
    names = sorted(set(symbols))
    if not names:
        raise ConfigError("no symbols given", where="symbols", remedy="name at least one, such as BTCUSDT")
    if end_ms <= start_ms:
        raise ConfigError(
            f"the window {iso_utc(start_ms)} to {iso_utc(end_ms)} is empty",
            where="--from and --to",
            remedy="give the earlier date as --from; --to is exclusive",
        )
    report = IngestReport(
        series.dataset, source.name, start_ms, end_ms, {name: SymbolReport(name) for name in names}
    )
    refuse_mixing(lake, source, series.dataset)
    known = {} if refresh else taken_parts(lake, series.dataset)
    wanted = _new_parts(source, series, known, absent_ok, report)
    _require_room(lake, wanted, series.step_ms)
    done = 0
    for parts in _by_commit(wanted, series.step_ms):
        report.version = _take(lake, source, series, parts, known, report, progress, done, len(wanted))
        done += len(parts)
    if report.version is None:
        report.version = lake.version(series.dataset)
    report.seconds = time.perf_counter() - began
    return report


def ingest_instruments(
    lake: Lake, source: Source, market: Market, symbols: Sequence[str]
) -> list[Instrument]:
    """Take the instruments of these symbols with their exact filters into the lake.

    Packaged filters never replace what the venue said before.

    Returns
    -------
    list of Instrument
        What the lake now holds for the symbols.

    Raises
    ------
    DataError
        For a symbol whose filters neither the source nor the lake knows.
    """
    if not symbols:
        raise ConfigError("no symbols given", where="symbols", remedy="name at least one, such as BTCUSDT")
    names = list(dict.fromkeys(symbols))
    held: dict[str, Instrument] = {}
    if lake.tables.exists(INSTRUMENTS):
        held = {one.symbol: one for one in lake.instruments(market) if not one.is_packaged}
    found = source.instruments(market, [name for name in names if name not in held or source.is_venue])
    new = [one for one in found if not (one.is_packaged and one.symbol in held)]
    if new:
        lake.write_instruments(new)
    taken = held | {one.symbol: one for one in new}
    return [taken[name] for name in names]


def _require_room(lake: Lake, wanted: Sequence[Part], step_ms: int) -> None:
    """Refuse before the first byte what the disk of a local lake could not hold.

    A disk that fills up in the middle would leave uncommitted files behind, which only fill it further.
    """
    if not lake.tables.is_local:
        return
    folder = next(place for place in (Path(lake.uri), *Path(lake.uri).parents) if place.exists())
    rows = sum((part.end_ms - part.start_ms) // step_ms for part in wanted)
    needed, free = rows * BYTES_PER_ROW, shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            f"the disk has {free / 2**20:,.0f} MiB free; {rows:,} rows need about {needed / 2**20:,.0f} MiB",
            where=lake.uri,
            remedy="free disk space or set QTM_HOME to another disk; nothing was written",
        )


def _new_parts(
    source: Source, series: Series, known: Mapping[str, Taken], absent_ok: bool, report: IngestReport
) -> list[Part]:
    """The parts of the report's window that the lake has not taken yet, by month and symbol.

    Raises DataError when the source has no part for a symbol (for any symbol, with `absent_ok`).
    """
    asked = []
    for month in months_between(report.start_ms, report.end_ms):
        first, last = month_window(month)
        asked += [
            (symbol, max(first, report.start_ms), min(last, report.end_ms)) for symbol in report.symbols
        ]
    with ThreadPoolExecutor(THREADS, thread_name_prefix="locate") as pool:
        located = list(pool.map(lambda one: source.parts(series, *one), asked))
    wanted = []
    for (symbol, start, _), parts in zip(asked, located, strict=True):
        one = report.symbols[symbol]
        if not parts:
            one.months_absent.append(iso_utc(start)[:7])
        for part in parts:
            one.parts_found += 1
            if part.origin in known and known[part.origin].covers(part):
                one.parts_unchanged += 1
            else:
                wanted.append(part)
    absent = [symbol for symbol, one in report.symbols.items() if not one.parts_found]
    if absent and not (absent_ok and len(absent) < len(report.symbols)):
        window = f"{iso_utc(report.start_ms)} to {iso_utc(report.end_ms)}"
        raise DataError(
            f"the source has nothing for {absent[0]} from {window}",
            where=f"{source.name}, {series.dataset}",
            remedy="check the symbol's spelling, its listing date and the window; nothing was written",
        )
    return wanted


def _by_commit(parts: Sequence[Part], step_ms: int) -> Iterator[list[Part]]:
    """Runs of parts of at most `ROWS_PER_COMMIT` rows; parts of one start (a month, a day) stay together."""
    held: list[Part] = []
    rows = 0
    in_time = sorted(parts, key=lambda part: part.start_ms)
    for _, together in groupby(in_time, key=lambda part: part.start_ms):
        grown = list(together)
        more = sum((part.end_ms - part.start_ms) // step_ms for part in grown)
        if held and rows + more > ROWS_PER_COMMIT:
            yield held
            held, rows = [], 0
        held, rows = held + grown, rows + more
    if held:
        yield held


def _take(
    lake: Lake,
    source: Source,
    series: Series,
    parts: Sequence[Part],
    known: Mapping[str, Taken],
    report: IngestReport,
    progress: Progress | None,
    done_before: int,
    total: int,
) -> int:
    """Read parts into one commit, then log them; a log lost in between only repeats the reading."""
    taken: list[tuple[Part, Rows]] = []

    def batches() -> Iterator[pl.DataFrame]:
        taken.clear()
        frames: list[pl.DataFrame] = []
        month = ""
        for part, rows in _read_ahead(source, series, parts):
            here = iso_utc(part.start_ms)[:7]
            if frames and (here != month or sum(map(len, frames)) + len(rows.frame) > ROWS_PER_BATCH):
                yield pl.concat(frames)
                frames = []
            month = here
            frames.append(rows.frame)
            taken.append((part, Rows(rows.frame.select(rows.frame.columns[1]), rows.size)))
            if progress is not None:
                progress(done_before + len(taken), total, f"{part.symbol} {here}")
        if frames:
            yield pl.concat(frames)

    version = lake.replace(series.dataset, batches, _windows(parts), commit={"qtm.source": source.name})
    for part, (times, size) in taken:
        report.symbols[part.symbol].add(times.to_series(), size)
    counted = [(part, len(times), size) for part, (times, size) in taken]
    note_taken(lake, series.dataset, source, version, counted, known)
    return version


def _read_ahead(source: Source, series: Series, parts: Sequence[Part]) -> Iterator[tuple[Part, Rows]]:
    """Read parts in order, a few ahead in threads."""
    with ThreadPoolExecutor(THREADS, thread_name_prefix="ingest") as pool:
        waiting: deque[Future[Rows]] = deque()
        ahead = iter(parts)
        try:
            for part in parts:
                while len(waiting) < 2 * THREADS and (following := next(ahead, None)) is not None:
                    waiting.append(pool.submit(source.read, series, following))
                yield part, waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _windows(parts: Sequence[Part]) -> list[Window]:
    """The windows parts replace: contiguous ones joined per symbol, equal windows shared by symbols."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for part in sorted(parts, key=lambda part: (part.symbol, part.start_ms)):
        held = spans.setdefault(part.symbol, [])
        if held and held[-1][1] == part.start_ms:
            held[-1] = (held[-1][0], part.end_ms)
        else:
            held.append((part.start_ms, part.end_ms))
    shared: dict[tuple[int, int], list[str]] = {}
    for symbol, windows in spans.items():
        for window in windows:
            shared.setdefault(window, []).append(symbol)
    return [Window(tuple(symbols), start, end) for (start, end), symbols in shared.items()]
