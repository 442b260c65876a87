"""Delta tables in one folder or bucket: open, overwrite atomically, list the files a query must read.

Each dataset is one Delta table (`deltalake`, no JVM). Every write is one commit, so a reader sees the table
before it or after it and never between; a process killed in the middle leaves files no version names. The log
is kept for ever, because results name the version they were made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from qtm.errors import DataError, StoreError

if TYPE_CHECKING:
    from deltalake import DeltaTable

ROWS_PER_GROUP = 50_000
"""About one symbol-month of 1m bars, so that a reader of one symbol skips the others."""

_CONFIGURATION = {
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.enableExpiredLogCleanup": "false",
    "delta.checkpointInterval": "50",
}


class DeltaTables:
    """The Delta tables under `root`, a local folder or an object-store URI such as `s3://bucket/lake`."""

    def __init__(self, root: str) -> None:
        self.is_local = "://" not in root
        self.root = str(Path(root).absolute()) if self.is_local else root.rstrip("/")

    def uri(self, dataset: str) -> str:
        """Where `dataset` lives."""
        return f"{self.root}/{dataset}"

    def exists(self, dataset: str) -> bool:
        """True when `dataset` has at least one version."""
        from deltalake import DeltaTable

        return bool(DeltaTable.is_deltatable(self.uri(dataset)))

    def names(self) -> list[str]:
        """Names of the datasets of a local root, sorted; a bucket is asked by name (see `exists`)."""
        if not self.is_local:
            return []
        try:
            return sorted(entry.parent.name for entry in Path(self.root).glob("*/_delta_log"))
        except OSError as error:
            raise StoreError(
                f"the lake cannot be read: {error.strerror}", where=self.root, remedy="check its permissions"
            ) from error

    def open(self, dataset: str, version: int | None = None) -> DeltaTable:
        """The table at `version`, or its newest.

        Raises
        ------
        DataError
            When the dataset or that version does not exist.
        StoreError
            When it exists and cannot be read.
        """
        from deltalake import DeltaTable
        from deltalake.exceptions import DeltaError, TableNotFoundError

        try:
            return DeltaTable(self.uri(dataset), version=version)
        except TableNotFoundError:
            raise DataError(
                f"dataset {dataset!r} is not in the lake",
                where=self.root,
                remedy=f"ingest it first; the lake holds {', '.join(self.names()) or 'nothing yet'}",
            ) from None
        except (DeltaError, OSError) as error:
            if version is not None and self.exists(dataset):
                raise DataError(
                    f"version {version} of dataset {dataset!r} cannot be read",
                    where=self.uri(dataset),
                    remedy=f"its newest version is {self.version(dataset)}",
                ) from error
            raise StoreError(
                f"dataset {dataset!r} cannot be read: {first_line(error)}",
                where=self.uri(dataset),
                remedy="check the folder's permissions and the disk",
            ) from error

    def version(self, dataset: str) -> int | None:
        """Newest version of `dataset`, or None when it does not exist."""
        return int(self.open(dataset).version()) if self.exists(dataset) else None

    def files(self, dataset: str, *, version: int | None = None) -> pl.DataFrame:
        """One row per data file of a version: `uri`, `rows`, partition values and column statistics."""
        table = self.open(dataset, version)
        actions = pl.DataFrame(table.get_add_actions(flatten=True))
        return actions.with_columns(
            pl.format("{}/{}", pl.lit(self.uri(dataset)), pl.col("path")).alias("uri"),
            pl.col("num_records").alias("rows"),
        )

    def overwrite(
        self,
        dataset: str,
        batches: pl.DataFrame | Callable[[], Iterator[pl.DataFrame]],
        *,
        predicate: str | None,
        schema: Mapping[str, pl.DataType] | None = None,
        partition_by: list[str] | None = None,
        commit: Mapping[str, str] | None = None,
    ) -> int:
        """Replace the rows matching `predicate` (None: all rows) in one commit.

        Parameters
        ----------
        batches
            The new rows: a frame, or a function that starts a stream of frames with the columns of `schema`.
            A stream is read while it is written, and started again when another writer's commit came first;
            both then stand. If it raises, nothing is committed.

        Returns
        -------
        int
            The new version.

        Raises
        ------
        StoreError
            When the disk or bucket refuses the write. The table is then as it was.
        """
        from arro3.core import RecordBatchReader
        from deltalake import CommitProperties, DeltaTable, WriterProperties, write_deltalake
        from deltalake.exceptions import CommitFailedError, DeltaError

        if isinstance(batches, pl.DataFrame):
            frame = batches
            columns = frame.schema
            stream: Callable[[], Iterator[pl.DataFrame]] = lambda: iter([frame])  # noqa: E731
        else:
            columns, stream = pl.Schema(schema or {}), batches
        arrow = _arrow_schema(columns)
        options: dict[str, Any] = {
            "partition_by": partition_by,
            "writer_properties": WriterProperties(
                compression="ZSTD", compression_level=1, max_row_group_size=ROWS_PER_GROUP
            ),
            "commit_properties": CommitProperties(custom_metadata=dict(commit or {})),
        }
        with self._writing(dataset):
            if self.is_local:
                Path(self.root).mkdir(parents=True, exist_ok=True)
            for attempt in Retrying(
                retry=retry_if_exception_type(CommitFailedError),
                wait=wait_random_exponential(multiplier=0.05, max=2.0),
                stop=stop_after_attempt(10),
                reraise=True,
            ):
                with attempt:
                    rows = RecordBatchReader.from_batches(arrow, _record_batches(stream()))
                    if self.exists(dataset):
                        table = DeltaTable(self.uri(dataset))
                        write_deltalake(table, rows, mode="overwrite", predicate=predicate, **options)
                        return int(table.version())
                    try:
                        write_deltalake(
                            self.uri(dataset), rows, mode="error", configuration=_CONFIGURATION, **options
                        )
                    except DeltaError as error:
                        if self.exists(dataset):
                            raise CommitFailedError("another writer made the table first") from error
                        raise
            return int(DeltaTable(self.uri(dataset)).version())

    @contextmanager
    def _writing(self, dataset: str) -> Iterator[None]:
        from deltalake.exceptions import DeltaError

        try:
            yield
        except (DeltaError, OSError) as error:
            raise StoreError(
                f"dataset {dataset!r} cannot be written: {first_line(error)}",
                where=self.uri(dataset),
                remedy="free disk space or make the lake writable, then run again; nothing was committed",
            ) from error


def _arrow_schema(columns: pl.Schema) -> Any:
    from arro3.core import Table

    return Table.from_arrow(pl.DataFrame(schema=columns)).schema


def _record_batches(frames: Iterator[pl.DataFrame]) -> Iterator[Any]:
    """One Arrow batch per frame: the writer keeps the order of rows within a batch."""
    from arro3.core import Table

    for frame in frames:
        yield from Table.from_arrow(frame.rechunk()).to_batches()


def first_line(error: BaseException) -> str:
    """The first line of an error's text, for a message that fits on one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].strip()


def quoted(text: str) -> str:
    """`text` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
