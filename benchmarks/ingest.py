"""Ingestion of archive files beside polars, pandas and DuckDB one-liners; checks; reading one symbol back.

    python -m benchmarks.ingest [--archive DIR] [--months 18] [--repeats 3]

Every contender runs in a process of its own. Ours verifies checksums, refuses damaged rows and commits to the
lake in one transaction; the one-liners only convert, so the ratio is the price of that.
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import resource
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, month_window, months_between

SYMBOLS = ("BTCUSDT", "ETHUSDT")
FIRST_MONTH = "2024-01"
COLUMNS = [
    "open_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "close_time",
    "quote",
    "count",
    "tb",
    "tq",
    "x",
]


def make_archive(root: Path, months: list[str]) -> None:
    """Zip a synthetic market in the archive's layout."""
    from qtm.market.synthetic import synthetic_bars

    for symbol in SYMBOLS:
        for month in months:
            bars = synthetic_bars(symbol, Interval.M1, *month_window(month), 7)
            rows = bars.select(
                "open_time_ms", "open", "high", "low", "close", "volume", pl.col("open_time_ms") + 59_999,
                "quote_volume", "trades", "taker_base", "taker_quote", pl.lit(0),
            )  # fmt: skip
            folder = root / "spot/monthly/klines" / symbol / "1m"
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{symbol}-1m-{month}.zip"
            with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr(f"{path.stem}.csv", rows.write_csv(include_header=False))
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            path.with_name(f"{path.name}.CHECKSUM").write_text(f"{digest}  {path.name}\n")


def zips(root: Path, months: list[str]) -> list[tuple[str, Path]]:
    """The files every contender reads."""
    folder = root / "spot/monthly/klines"
    return [(s, folder / s / "1m" / f"{s}-1m-{month}.zip") for month in months for s in SYMBOLS]


def ours(root: Path, work: Path, months: list[str]) -> None:
    """Qtm: verify, parse, check, one Delta commit."""
    from qtm.market.ingest import ingest_series
    from qtm.market.source import Bars
    from qtm.market.vision import VisionArchive

    start, end = month_window(months[0])[0], month_window(months[-1])[1]
    source = VisionArchive(str(root))
    ingest_series(Lake(str(work / "lake")), source, Bars(Market.SPOT, Interval.M1), SYMBOLS, start, end)


def by_polars(root: Path, work: Path, months: list[str]) -> None:
    """polars: unzip, read_csv, write_parquet."""
    for symbol, path in zips(root, months):
        with zipfile.ZipFile(path) as archive:
            text = archive.read(archive.namelist()[0])
        frame = pl.read_csv(text, has_header=False, new_columns=COLUMNS)
        frame.with_columns(symbol=pl.lit(symbol)).write_parquet(work / f"{path.stem}.parquet")


def by_pandas(root: Path, work: Path, months: list[str]) -> None:
    """pandas: read_csv of the zip, then a pickle (its Parquet needs pyarrow)."""
    import pandas as pd

    for symbol, path in zips(root, months):
        frame = pd.read_csv(path, header=None, names=COLUMNS).assign(symbol=symbol)
        frame.to_pickle(work / f"{path.stem}.pickle")


def by_duckdb(root: Path, work: Path, months: list[str]) -> None:
    """DuckDB: unzip to disk, COPY (read_csv) TO Parquet."""
    import duckdb

    connection = duckdb.connect()
    for symbol, path in zips(root, months):
        with zipfile.ZipFile(path) as archive:
            csv = Path(archive.extract(archive.namelist()[0], work))
        target = work / f"{path.stem}.parquet"
        source = f"read_csv('{csv}', header=false)"
        connection.execute(f"COPY (SELECT *, '{symbol}' AS symbol FROM {source}) TO '{target}'")
        csv.unlink()
    connection.close()


def checks(root: Path, work: Path, months: list[str]) -> None:
    """Qtm: all quality checks of the window, Great Expectations imported first."""
    from qtm.quality.judge import check_bars

    start, end = month_window(months[0])[0], month_window(months[-1])[1]
    check_bars(Lake(str(work / "lake")), Market.SPOT, Interval.M1, SYMBOLS, start, end)


def checks_warm() -> None:
    """Import what the checks import, outside the clock."""
    from qtm.quality.checks import bar_checks
    from qtm.quality.suite import judge

    judge("warm", bar_checks(Interval.M1), [{"symbol": "X", "rows": 1}])


def read_lake(root: Path, work: Path, months: list[str]) -> None:
    """Qtm: `Lake.bars` of one symbol."""
    Lake(str(work / "lake")).bars(Market.SPOT, Interval.M1, SYMBOLS[0])


def read_columns(root: Path, work: Path, months: list[str]) -> None:
    """Qtm: `ColumnFiles.bars` of one symbol, every page touched."""
    from qtm.market.columns import ColumnFiles

    series = ColumnFiles(Lake(str(work / "lake")), work / "columns").bars(
        Market.SPOT, Interval.M1, SYMBOLS[0]
    )
    for column in (series.open, series.high, series.low, series.close, series.volume):
        column.sum()


Job = Callable[[Path, Path, list[str]], None]


def timed(
    job: Job, root: Path, work: Path, months: list[str], warm: Callable[[], None] | None
) -> tuple[float, float]:
    """Seconds and peak MB of one run in a fresh process."""
    queue: Any = multiprocessing.get_context("spawn").Queue()
    child = multiprocessing.get_context("spawn").Process(
        target=_run, args=(queue, job, root, work, months, warm)
    )
    child.start()
    answer: tuple[float, float] = queue.get(timeout=600)
    child.join()
    return answer


def _run(
    queue: Any, job: Job, root: Path, work: Path, months: list[str], warm: Callable[[], None] | None
) -> None:
    import deltalake  # noqa: F401

    if warm is not None:
        warm()
    began = time.perf_counter()
    job(root, work, months)
    seconds = time.perf_counter() - began
    queue.put((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


def main() -> None:
    """Run the contenders in turn, several times, and print medians."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archive", type=Path, help="a real archive with 1m bars of BTCUSDT and ETHUSDT")
    parser.add_argument("--months", type=int, default=18)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    start = month_window(FIRST_MONTH)[0]
    months = months_between(start, start + chosen.months * 31 * 86_400_000)[: chosen.months]
    with tempfile.TemporaryDirectory() as scratch:
        root = chosen.archive or Path(scratch) / "archive"
        if chosen.archive is None:
            make_archive(root, months)
        files = zips(root, months)
        size = sum(path.stat().st_size for _, path in files)
        print(f"{len(files)} symbol-months of 1m bars, {size / 1e6:.0f} MB")
        contenders: list[tuple[Job, Callable[[], None] | None, int]] = [
            (ours, None, len(files)), (by_polars, None, len(files)), (by_pandas, None, len(files)),
            (by_duckdb, None, len(files)), (checks, checks_warm, 1), (read_lake, None, 1),
            (read_columns, None, 1),
        ]  # fmt: skip
        keep = Path(scratch) / "kept"
        timed(ours, root, keep, months, None)
        timed(read_columns, root, keep, months, None)
        for job, warm, parts in contenders:
            runs = []
            for _ in range(chosen.repeats):
                with tempfile.TemporaryDirectory(dir=scratch) as fresh:
                    work = keep if job in (checks, read_lake, read_columns) else Path(fresh)
                    runs.append(timed(job, root, work, months, warm))
            seconds = statistics.median(run[0] for run in runs)
            peak = max(run[1] for run in runs)
            print(
                f"{seconds:8.3f} s  {1000 * seconds / parts:8.1f} ms each  peak {peak:5.0f} MB  {job.__doc__}"
            )


if __name__ == "__main__":
    main()
