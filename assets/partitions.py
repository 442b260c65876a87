"""How the assets are cut: a UTC day with every symbol inside, or a version of a strategy."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from qtm.settings import settings
from qtm.strategies import ENTRY_POINTS, bundled

DAY_MS = 86_400_000
INGEST_RUN_DAYS = 31
"""Days one ingestion run takes in a backfill: a month of Binance's archive is one file per symbol."""

PLOTTED_DAYS = 31
"""Newest days of a run whose metadata carry pictures."""

DAILY = dg.DailyPartitionsDefinition(
    start_date=datetime.combine(settings().market.history_start, datetime.min.time(), tzinfo=UTC)
)
"""Closed UTC days. A symbol is a column of the day, not a partition: bookkeeping costs one event per day."""


@dataclass(frozen=True, slots=True)
class Window:
    """The half-open span of UTC days a run makes, in milliseconds."""

    start_ms: int
    end_ms: int

    @property
    def first(self) -> str:
        """First day, `2024-01-31`."""
        return day_text(self.start_ms)

    @property
    def last(self) -> str:
        """Last day, inclusive."""
        return day_text(self.end_ms - DAY_MS)

    @property
    def days(self) -> int:
        """Number of days."""
        return (self.end_ms - self.start_ms) // DAY_MS

    def is_recent(self, day_ms: int) -> bool:
        """True for its last `PLOTTED_DAYS` days: pictures on every day of a long run would fill the log."""
        return day_ms >= self.end_ms - PLOTTED_DAYS * DAY_MS

    def each(self) -> Iterator[Window]:
        """Its days, one window each, in order."""
        for start in range(self.start_ms, self.end_ms, DAY_MS):
            yield Window(start, start + DAY_MS)

    def __str__(self) -> str:
        return self.first if self.days == 1 else f"{self.first} to {self.last} ({self.days} days)"


def run_window(context: dg.AssetExecutionContext) -> Window:
    """The days of this run: one partition, or the whole range a backfill handed over."""
    keys = context.partition_key_range
    return window_of_days(keys.start, keys.end)


def window_of_days(first: str, last: str) -> Window:
    """The window from the start of day `first` to the end of day `last`, both `YYYY-MM-DD`."""
    start = datetime.fromisoformat(first).replace(tzinfo=UTC)
    end = datetime.fromisoformat(last).replace(tzinfo=UTC) + timedelta(days=1)
    return Window(int(start.timestamp() * 1000), int(end.timestamp() * 1000))


def day_text(ts_ms: int) -> str:
    """The UTC day of a time, `2024-01-31`."""
    return datetime.fromtimestamp(ts_ms / 1000, tz=UTC).strftime("%Y-%m-%d")


def versions() -> list[str]:
    """Every bundled strategy with its version, `trend@0f3a9c12be77`, in order of name.

    A version is the start of the source's SHA-256, as `Strategy.version` has it. Names and files tell it:
    importing the registry would load the compiler into every run.
    """
    sources = {name.replace("_", "-"): Path(bundled.__path__[0], f"{name}.py") for name in bundled.modules()}
    for entry in importlib.metadata.entry_points(group=ENTRY_POINTS):
        spec = importlib.util.find_spec(entry.module)
        if spec is not None and spec.origin is not None:
            sources[entry.name] = Path(spec.origin)
    return [
        f"{name}@{hashlib.sha256(source.read_bytes()).hexdigest()[:12]}"
        for name, source in sorted(sources.items())
    ]


def strategy_of(key: str) -> tuple[str, str]:
    """Name and version of a partition of `STRATEGIES`."""
    name, _, version = key.partition("@")
    return name, version


STRATEGIES = dg.StaticPartitionsDefinition(versions())
"""One partition per version of a bundled strategy; a new or changed file shows after "Reload definitions"."""
