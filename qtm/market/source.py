"""What every source of history has in common: the series asked for and the pieces it comes in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import polars as pl

from qtm.market.bars import BarKind
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval


class Series(NamedTuple):
    """Which bars: market, interval and kind of price."""

    market: Market
    interval: Interval
    kind: BarKind = BarKind.TRADE


class Known(NamedTuple):
    """What the lake already took from one origin: its digest and the window it covers."""

    digest: str
    start_ms: int
    end_ms: int

    def covers(self, digest: str, start_ms: int, end_ms: int) -> bool:
        """True when the origin is unchanged and the window was taken from it."""
        return digest == self.digest and self.start_ms <= start_ms and end_ms <= self.end_ms


@dataclass(frozen=True, slots=True)
class Piece:
    """One symbol's rows from one origin (a file, or the answers to one window).

    `frame` is None when the lake already holds the piece unchanged. The rows lie in [start_ms, end_ms) and
    are strictly increasing in time. `size` is the bytes read to get them.
    """

    symbol: str
    start_ms: int
    end_ms: int
    origin: str
    digest: str
    size: int
    frame: pl.DataFrame | None


class Source(Protocol):
    """Where history comes from."""

    @property
    def name(self) -> str:
        """What the source is, for reports."""
        ...

    def bars(
        self, series: Series, symbol: str, start_ms: int, end_ms: int, known: Mapping[str, Known]
    ) -> list[Piece]:
        """The pieces of a window that lies in one UTC month; empty when the source has none."""
        ...

    def funding(
        self, market: Market, symbol: str, start_ms: int, end_ms: int, known: Mapping[str, Known]
    ) -> list[Piece]:
        """The funding rates of a window that lies in one UTC month."""
        ...

    def instruments(self, market: Market, symbols: list[str]) -> list[Instrument]:
        """The instruments of these symbols with exact filters."""
        ...
