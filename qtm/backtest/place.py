"""Where and when runs happen, in the words their lineage uses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Market, symbols, interval, window and data.

    `symbol` is the short name of the `symbols`, which are the names in full. Times are UTC milliseconds of
    the first and the last bar's open. `data_version` is the lake's, None for data from elsewhere.
    """

    market: str
    symbol: str
    symbols: tuple[str, ...]
    interval: str
    first_ms: int
    last_ms: int
    data_version: int | None
