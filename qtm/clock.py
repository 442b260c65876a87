"""The one place that reads the wall clock. Everything else is handed a `Clock`."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A source of UTC time."""

    def now_ns(self) -> int:
        """Nanoseconds since 1970-01-01T00:00:00Z."""
        ...

    def now_ms(self) -> int:
        """Milliseconds since 1970-01-01T00:00:00Z."""
        ...


class SystemClock:
    """The machine's UTC clock."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return time.time_ns()

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that moves only when told to, never backwards."""

    def __init__(self, start_ms: int) -> None:
        self._now_ns = start_ms * 1_000_000

    def now_ns(self) -> int:
        """Nanoseconds since the epoch."""
        return self._now_ns

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self._now_ns // 1_000_000

    def set_ms(self, ts_ms: int) -> None:
        """Move the clock forward to `ts_ms`; raises ValueError if that is the past."""
        if ts_ms * 1_000_000 < self._now_ns:
            raise ValueError(f"clock cannot go back from {self.now_ms()} ms to {ts_ms} ms")
        self._now_ns = ts_ms * 1_000_000


def iso_utc(ts_ms: int) -> str:
    """`2024-01-31T23:59:00Z` for a time in milliseconds (fractions shown only when present)."""
    moment = datetime.fromtimestamp(ts_ms / 1000, tz=UTC)
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{ts_ms % 1000:03d}Z" if ts_ms % 1000 else f"{text}Z"
