"""What an ingestion reports: rows, parts and gaps per symbol, and the version that holds them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from qtm.clock import iso_utc

Progress = Callable[[int, int, str], None]
"""Called with (parts done, parts to read, what was just read)."""


@dataclass(slots=True)
class SymbolReport:
    """What one symbol's ingestion did; `first_ms` and `last_ms` are the times of the rows written."""

    symbol: str
    rows: int = 0
    parts_found: int = 0
    parts_written: int = 0
    parts_unchanged: int = 0
    months_absent: list[str] = field(default_factory=list)
    size: int = 0
    first_ms: int | None = None
    last_ms: int | None = None

    def add(self, times: pl.Series, size: int) -> None:
        """Count one part written."""
        self.parts_written += 1
        self.rows += len(times)
        self.size += size
        if len(times):
            first, last = int(times[0]), int(times[-1])
            self.first_ms = first if self.first_ms is None else min(self.first_ms, first)
            self.last_ms = last if self.last_ms is None else max(self.last_ms, last)


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
    def parts(self) -> int:
        """Files (or months of answers) written."""
        return sum(report.parts_written for report in self.symbols.values())

    @property
    def unchanged(self) -> int:
        """Files (or months of answers) the lake had taken before."""
        return sum(report.parts_unchanged for report in self.symbols.values())

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "dataset": self.dataset,
            "source": self.source,
            "start": iso_utc(self.start_ms),
            "end": iso_utc(self.end_ms),
            "rows": self.rows,
            "parts_written": self.parts,
            "parts_unchanged": self.unchanged,
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
