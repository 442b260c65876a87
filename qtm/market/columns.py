"""Column files cut from the lake for research: mapped into memory, shared by every process, never copied.

One file holds one symbol's whole history of one dataset as the engine takes it. Its name carries a digest of
the lake files it was cut from, so a file is never stale: other content has another name. Reading a window
costs two binary searches; pages are loaded by the operating system when they are touched, once for all the
workers of a sweep.
"""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.errors import StoreError
from qtm.market.bars import BarKind, BarSeries
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, bars_dataset

COLUMNS = ("open_time_ms", "open", "high", "low", "close", "volume")
CUTS_KEPT = 2
"""Files of one symbol that are kept: the newest, and the one before it for whoever still reads it."""


class ColumnFiles:
    """The column files of a lake under `folder` (a local one)."""

    def __init__(self, lake: Lake, folder: Path) -> None:
        self.lake = lake
        self.folder = folder

    @classmethod
    def of(cls, lake: Lake, home: Path) -> ColumnFiles:
        """The column files beside a local lake, or under `home` for one in a bucket."""
        return cls(lake, (Path(lake.uri).parent if lake.tables.is_local else home) / "columns")

    def bars(
        self,
        market: Market,
        interval: Interval,
        symbol: str,
        *,
        start_ms: int | None = None,
        end_ms: int | None = None,
        version: int | None = None,
        kind: BarKind = BarKind.TRADE,
    ) -> BarSeries:
        """The bars of a window as views of a mapped file, cut from the lake first if need be.

        Arguments, result and errors are those of `Lake.bars`. The arrays are private to the process: writing
        to one never reaches the file.
        """
        dataset = bars_dataset(market, interval, kind)
        path = self.path_of(dataset, symbol, version, ".npy")
        if not path.exists():
            self.write(path, _table_of(self.lake.bars(market, interval, symbol, version=version, kind=kind)))
        # Copy-on-write keeps the arrays writable for numba, which compiles read-only ones apart.
        table = np.load(path, mmap_mode="c")
        time = table[0].view(np.int64)
        first = 0 if start_ms is None else int(np.searchsorted(time, start_ms))
        last = len(time) if end_ms is None else int(np.searchsorted(time, end_ms))
        if first >= last:
            return self.lake.bars(
                market, interval, symbol, start_ms=start_ms, end_ms=end_ms, version=version, kind=kind
            )
        columns = dict(zip(COLUMNS, table, strict=True))
        columns["open_time_ms"] = time
        whole = BarSeries(symbol, interval, **{name: np.asarray(column) for name, column in columns.items()})
        return whole.slice(first, last)

    def size(self) -> int:
        """Bytes of all column files."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def path_of(self, dataset: str, symbol: str, version: int | None, ending: str) -> Path:
        """Where the cut of a symbol's present files (or those of `version`) belongs."""
        files = self.lake.tables.files(dataset, version=version)
        if len(files):
            files = files.filter(pl.col("min.symbol") <= symbol, pl.col("max.symbol") >= symbol)
        digest = hashlib.sha256("\n".join(sorted(files["path"].to_list())).encode()).hexdigest()[:16]
        return self.folder / dataset / symbol / f"{digest}{ending}"

    def write(self, path: Path, parts: Iterable[bytes | memoryview]) -> None:
        """Write a file whole or not at all, part by part, and drop the oldest of its symbol's.

        Raises
        ------
        StoreError
            When the disk is full or the folder cannot be written to.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as part:
                try:
                    for one in parts:
                        part.write(one)
                    part.flush()
                    # Renamed before its bytes are on the disk, a crash would leave a file of nothing.
                    os.fsync(part.fileno())
                except BaseException:
                    Path(part.name).unlink(missing_ok=True)
                    raise
            Path(part.name).replace(path)
            whole = (cut for cut in path.parent.iterdir() if cut.suffix == path.suffix)
            cuts = sorted(whole, key=lambda cut: cut.stat().st_mtime_ns, reverse=True)
            for old in cuts[CUTS_KEPT:]:
                # A reader that has it mapped keeps its pages until it lets go.
                old.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(
                f"the column file cannot be written: {error.strerror}",
                where=str(path),
                remedy="free disk space or make the folder writable",
            ) from error


def _table_of(series: BarSeries) -> Iterator[bytes | memoryview]:
    """The file of a series: the columns in rows of eight bytes, as `numpy.load` reads them."""
    table: npt.NDArray[np.float64] = np.empty((len(COLUMNS), len(series)))
    table[0] = series.open_time_ms.view(np.float64)
    for row, name in enumerate(COLUMNS[1:], start=1):
        table[row] = getattr(series, name)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(table))
    yield head.getvalue()
    yield table.data
