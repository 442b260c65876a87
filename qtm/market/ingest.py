"""Ingestion: take windows of history from a source into the lake, repeatably.

Months are read and checked in parallel threads and committed in batches of whole windows, up to
`ROWS_PER_COMMIT` rows each. A failure leaves the lake at the last batch committed, and a run that fits one
batch is all or nothing. What was taken from which file (by SHA-256) is kept in the `ingest_log` table, so a
repeated run reads only what is new or was replaced.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from qtm.clock import iso_utc
from qtm.errors import ConfigError, DataError
from qtm.market.bars import BarKind
from qtm.market.delta import quoted
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, Window, bars_dataset, funding_dataset, month_window, months_between
from qtm.market.source import Known, Piece, Series, Source

INGEST_LOG = "ingest_log"
LOG_SCHEMA: dict[str, pl.DataType] = {
    "dataset": pl.String(),
    "symbol": pl.String(),
    "origin": pl.String(),
    "digest": pl.String(),
    "start_ms": pl.Int64(),
    "end_ms": pl.Int64(),
    "rows": pl.Int64(),
    "size": pl.Int64(),
    "version": pl.Int64(),
    "source": pl.String(),
}
"""One row per (dataset, origin): what was taken from a file or window, and the version that first held it."""

ROWS_PER_COMMIT = 2_000_000
THREADS = 2

Progress = Callable[[int, int, str], None]
"""Called with (symbol-months done, symbol-months in all, what was just read)."""

FetchMonth = Callable[[str, int, int, Mapping[str, Known]], list[Piece]]


@dataclass(slots=True)
class SymbolReport:
    """What one symbol's ingestion did; `first_ms` and `last_ms` are the times of the rows written."""

    symbol: str
    rows: int = 0
    pieces_written: int = 0
    pieces_unchanged: int = 0
    months_absent: list[str] = field(default_factory=list)
    size: int = 0
    first_ms: int | None = None
    last_ms: int | None = None


@dataclass(slots=True)
class IngestReport:
    """What an ingestion did; `version` is the dataset's Delta version afterwards, None if there is none."""

    dataset: str
    source: str
    start_ms: int
    end_ms: int
    symbols: dict[str, SymbolReport]
    version: int | None = None
    seconds: float = 0.0

    @property
    def rows(self) -> int:
        """Rows written over all symbols."""
        return sum(report.rows for report in self.symbols.values())

    @property
    def size(self) -> int:
        """Bytes read from the source."""
        return sum(report.size for report in self.symbols.values())

    @property
    def pieces(self) -> int:
        """Files (or windows) written."""
        return sum(report.pieces_written for report in self.symbols.values())

    @property
    def unchanged(self) -> int:
        """Files (or windows) the lake already held."""
        return sum(report.pieces_unchanged for report in self.symbols.values())

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "dataset": self.dataset,
            "source": self.source,
            "start": iso_utc(self.start_ms),
            "end": iso_utc(self.end_ms),
            "rows": self.rows,
            "pieces_written": self.pieces,
            "pieces_unchanged": self.unchanged,
            "bytes_read": self.size,
            "seconds": round(self.seconds, 3),
            "version": self.version,
            "symbols": {
                name: {
                    "rows": report.rows,
                    "first": None if report.first_ms is None else iso_utc(report.first_ms),
                    "last": None if report.last_ms is None else iso_utc(report.last_ms),
                    "months_absent": report.months_absent,
                }
                for name, report in self.symbols.items()
            },
        }


def ingest_bars(
    lake: Lake,
    source: Source,
    market: Market,
    interval: Interval,
    symbols: Sequence[str],
    start_ms: int,
    end_ms: int,
    *,
    kind: BarKind = BarKind.TRADE,
    refresh: bool = False,
    absent_ok: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Take the bars of [start_ms, end_ms) of some symbols into the lake.

    Parameters
    ----------
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
    series = Series(market, interval, kind)

    def fetch(symbol: str, start: int, end: int, known: Mapping[str, Known]) -> list[Piece]:
        return source.bars(series, symbol, start, end, known)

    dataset = bars_dataset(market, interval, kind)
    return _ingest(lake, source, dataset, fetch, symbols, start_ms, end_ms, refresh, absent_ok, progress)


def ingest_funding(
    lake: Lake,
    source: Source,
    market: Market,
    symbols: Sequence[str],
    start_ms: int,
    end_ms: int,
    *,
    refresh: bool = False,
    absent_ok: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Take the funding rates of [start_ms, end_ms) into the lake; parameters and errors as `ingest_bars`."""

    def fetch(symbol: str, start: int, end: int, known: Mapping[str, Known]) -> list[Piece]:
        return source.funding(market, symbol, start, end, known)

    dataset = funding_dataset(market)
    return _ingest(lake, source, dataset, fetch, symbols, start_ms, end_ms, refresh, absent_ok, progress)


def ingest_instruments(
    lake: Lake, source: Source, market: Market, symbols: Sequence[str]
) -> list[Instrument]:
    """Take the instruments of these symbols with their exact filters into the lake."""
    if not symbols:
        raise ConfigError("no symbols given", where="symbols", remedy="name at least one, such as BTCUSDT")
    instruments = source.instruments(market, list(dict.fromkeys(symbols)))
    lake.write_instruments(instruments)
    return instruments


def _ingest(
    lake: Lake,
    source: Source,
    dataset: str,
    fetch: FetchMonth,
    symbols: Sequence[str],
    start_ms: int,
    end_ms: int,
    refresh: bool,
    absent_ok: bool,
    progress: Progress | None,
) -> IngestReport:
    began = time.perf_counter()
    names = list(dict.fromkeys(symbols))
    if not names:
        raise ConfigError("no symbols given", where="symbols", remedy="name at least one, such as BTCUSDT")
    if end_ms <= start_ms:
        raise ConfigError(
            f"the window {iso_utc(start_ms)} to {iso_utc(end_ms)} is empty",
            where="--from and --to",
            remedy="give the earlier date as --from; --to is exclusive",
        )
    report = IngestReport(
        dataset, source.name, start_ms, end_ms, {name: SymbolReport(name) for name in names}
    )
    known = {} if refresh or not lake.tables.exists(dataset) else _known(lake, dataset)
    batch: list[Piece] = []
    held = 0
    for piece in _read_ahead(fetch, names, start_ms, end_ms, known, report, progress):
        batch.append(piece)
        held += len(piece.frame) if piece.frame is not None else 0
        if held >= ROWS_PER_COMMIT:
            report.version = _commit(lake, source, dataset, batch, report)
            batch, held = [], 0
    if batch:
        report.version = _commit(lake, source, dataset, batch, report)
    if report.version is None:
        report.version = lake.version(dataset)
    absent = [name for name, one in report.symbols.items() if not one.pieces_written + one.pieces_unchanged]
    for name in absent:
        if not absent_ok or len(absent) == len(names):
            raise DataError(
                f"the source has nothing for {name} from {iso_utc(start_ms)} to {iso_utc(end_ms)}",
                where=f"{source.name}, {dataset}",
                remedy="check the symbol's spelling, its listing date and the window",
            )
    report.seconds = time.perf_counter() - began
    return report


def _read_ahead(
    fetch: FetchMonth,
    symbols: Sequence[str],
    start_ms: int,
    end_ms: int,
    known: Mapping[str, Known],
    report: IngestReport,
    progress: Progress | None,
) -> Iterator[Piece]:
    """Pieces to write, month by month and symbol by symbol, read a few files ahead in threads."""
    tasks = []
    for month in months_between(start_ms, end_ms):
        first, last = month_window(month)
        tasks += [(month, symbol, max(first, start_ms), min(last, end_ms)) for symbol in sorted(symbols)]
    with ThreadPoolExecutor(THREADS, thread_name_prefix="ingest") as pool:
        waiting: list[Future[list[Piece]]] = []
        try:
            for done, (month, symbol, _start, _end) in enumerate(tasks):
                while len(waiting) < 2 * THREADS and done + len(waiting) < len(tasks):
                    _, name, start, end = tasks[done + len(waiting)]
                    waiting.append(pool.submit(fetch, name, start, end, known))
                pieces = waiting.pop(0).result()
                one = report.symbols[symbol]
                if not pieces:
                    one.months_absent.append(month)
                for piece in pieces:
                    if piece.frame is None:
                        one.pieces_unchanged += 1
                    else:
                        yield piece
                if progress is not None:
                    progress(done + 1, len(tasks), f"{symbol} {month}")
        finally:
            for future in waiting:
                future.cancel()


def _commit(lake: Lake, source: Source, dataset: str, batch: Sequence[Piece], report: IngestReport) -> int:
    """Write a batch in one commit, then its log; a log line lost in between only repeats the reading."""
    frames = [piece.frame for piece in batch if piece.frame is not None]
    version = lake.replace(dataset, pl.concat(frames), _windows(batch), commit={"qtm.source": source.name})
    rows = []
    for piece in batch:
        assert piece.frame is not None
        one = report.symbols[piece.symbol]
        one.pieces_written += 1
        one.rows += len(piece.frame)
        one.size += piece.size
        if len(piece.frame):
            times = piece.frame[piece.frame.columns[1]]
            first, last = int(times[0]), int(times[-1])
            one.first_ms = first if one.first_ms is None else min(one.first_ms, first)
            one.last_ms = last if one.last_ms is None else max(one.last_ms, last)
        rows.append(
            (
                dataset, piece.symbol, piece.origin, piece.digest, piece.start_ms, piece.end_ms,
                len(piece.frame), piece.size, version, source.name,
            )
        )  # fmt: skip
    log = pl.DataFrame(rows, schema=LOG_SCHEMA, orient="row")
    origins = ", ".join(quoted(origin) for origin in log["origin"])
    lake.tables.overwrite(INGEST_LOG, log, predicate=f"dataset = {quoted(dataset)} AND origin IN ({origins})")
    return version


def _windows(batch: Iterable[Piece]) -> list[Window]:
    """The windows a batch replaces: contiguous pieces joined per symbol, equal windows shared by symbols."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for piece in sorted(batch, key=lambda piece: (piece.symbol, piece.start_ms)):
        held = spans.setdefault(piece.symbol, [])
        if held and held[-1][1] == piece.start_ms:
            held[-1] = (held[-1][0], piece.end_ms)
        else:
            held.append((piece.start_ms, piece.end_ms))
    shared: dict[tuple[int, int], list[str]] = {}
    for symbol, windows in spans.items():
        for window in windows:
            shared.setdefault(window, []).append(symbol)
    return [Window(tuple(symbols), start, end) for (start, end), symbols in shared.items()]


def _known(lake: Lake, dataset: str) -> dict[str, Known]:
    if not lake.tables.exists(INGEST_LOG):
        return {}
    log = pl.scan_parquet(lake.tables.files(INGEST_LOG)["uri"].to_list())
    rows = log.filter(pl.col("dataset") == dataset).select("origin", "digest", "start_ms", "end_ms")
    return {origin: Known(digest, start, end) for origin, digest, start, end in rows.collect().iter_rows()}
