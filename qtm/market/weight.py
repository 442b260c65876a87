"""Binance's request weight: spend it from a budget, and wait for the next minute before it runs out.

The venue counts weight per IP address in fixed calendar minutes and tells the count in every answer
(`X-MBX-USED-WEIGHT-1M`). Overspending earns a 429 and then a ban, so the budget keeps a reserve for live
trading on the same address.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from qtm.clock import Clock

MINUTE_MS = 60_000
RESERVE = 0.3
"""Share of the venue's limit that ingestion leaves alone."""


class WeightBudget:
    """What may still be spent in this minute on one host.

    Parameters
    ----------
    limit
        Weight the venue allows per minute.
    sleep
        How to wait, in seconds.
    """

    def __init__(self, limit: int, clock: Clock, sleep: Callable[[float], None] = time.sleep) -> None:
        self.limit = limit
        self.used = 0
        self._minute = clock.now_ms() // MINUTE_MS
        self._clock = clock
        self._sleep = sleep

    def spend(self, weight: int) -> None:
        """Wait until `weight` fits into the budget, and count it."""
        self._roll()
        if self.used and self.used + weight > self.limit * (1.0 - RESERVE):
            rest_ms = MINUTE_MS - self._clock.now_ms() % MINUTE_MS
            self._sleep(rest_ms / 1000 + 0.05)
            self._roll()
        self.used += weight

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take the venue's own count from an answer's headers."""
        for name, value in headers.items():
            if name.lower() == "x-mbx-used-weight-1m":
                self._roll()
                self.used = max(self.used, int(value))

    def _roll(self) -> None:
        minute = self._clock.now_ms() // MINUTE_MS
        if minute != self._minute:
            self._minute, self.used = minute, 0
