"""What a sweep has found so far, on disk: a crash loses at most the group of combinations it was running.

A journal is a folder with `about.json`, which says what is being swept, and `rows.bin`, fixed-size records
appended and synced a group at a time. Each record carries a checksum; what a crash left half-written at the
end is cut off when the journal is opened again. One process at a time may hold a journal.
"""

from __future__ import annotations

import fcntl
import json
import os
import uuid
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from qtm.errors import ConfigError, StoreError

Rows = npt.NDArray[np.float64]


class SweepJournal:
    """An open journal; use it as a context manager.

    Attributes
    ----------
    run_id
        Names the sweep in the trial registry, over all its processes.
    found
        Combination number to its row of figures.
    """

    def __init__(
        self, folder: Path, about: Mapping[str, Any], figures: Sequence[str], *, resume: bool
    ) -> None:
        """Open the journal of a sweep, going on with it if `resume`, else afresh.

        Raises
        ------
        ConfigError
            When another process holds it.
        StoreError
            When the folder cannot be written.
        """
        self.folder = folder
        self.found: dict[int, Rows] = {}
        self._record = np.dtype(
            [("number", "<i8"), ("figures", "<f8", (len(figures),)), ("checksum", "<u4")], align=False
        )
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = (folder / "rows.bin").open("a+b")
        except OSError as error:
            raise _unwritable(folder, error, "free disk space or make the folder writable") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise ConfigError(
                "this sweep is running in another process",
                where=str(folder),
                remedy="wait for it, or stop it",
            ) from None
        known = self._read_about() if resume else None
        self.run_id = str(known["run_id"]) if known else str(uuid.uuid4())
        if known is None:
            try:
                self._write_about({**about, "figures": list(figures), "run_id": self.run_id})
            except OSError as error:
                self._file.close()
                raise _unwritable(folder, error, "free disk space or make the folder writable") from error
            self._file.truncate(0)
        else:
            self._read_rows()

    def append(self, numbers: Sequence[int], rows: Rows) -> None:
        """Write rows of figures, (n, F), for good."""
        records = np.zeros(len(numbers), self._record)
        records["number"], records["figures"] = numbers, rows
        for record in records:
            record["checksum"] = _checksum(record)
        try:
            self._file.write(records.tobytes())
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise _unwritable(self.folder, error, "free disk space, then go on with --resume") from error
        self.found.update(zip(numbers, rows, strict=True))

    def _read_rows(self) -> None:
        self._file.seek(0)
        held = self._file.read()
        whole = len(held) // self._record.itemsize
        records = np.frombuffer(held, self._record, whole)
        sound = next(
            (at for at, record in enumerate(records) if record["checksum"] != _checksum(record)), whole
        )
        self._file.truncate(sound * self._record.itemsize)
        for record in records[:sound]:
            self.found[int(record["number"])] = record["figures"].copy()

    def _read_about(self) -> dict[str, Any] | None:
        path = self.folder / "about.json"
        if not path.is_file():
            return None
        try:
            about: dict[str, Any] = json.loads(path.read_text())
        except ValueError as error:
            raise StoreError("the sweep's journal is damaged", where=str(path), remedy="delete it") from error
        return about

    def _write_about(self, about: Mapping[str, Any]) -> None:
        part = self.folder / "about.part"
        try:
            with part.open("w") as file:
                json.dump(about, file, indent=2, default=str)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.folder / "about.json")
        except OSError:
            part.unlink(missing_ok=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()


def _unwritable(folder: Path, error: OSError, remedy: str) -> StoreError:
    return StoreError(
        f"the sweep's journal cannot be written: {error.strerror}", where=str(folder), remedy=remedy
    )


def _checksum(record: Any) -> int:
    return zlib.crc32(record.tobytes()[:-4])
