"""What every source of history has in common: the series asked for and the parts it comes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import polars as pl

from qtm.market.bars import BarKind
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.market.lake import bars_dataset, funding_dataset, trades_dataset

SYNTHETIC = "synthetic"


@dataclass(frozen=True, slots=True)
class Bars:
    """The bars of a market."""

    market: Market
    interval: Interval
    kind: BarKind = BarKind.TRADE

    @property
    def dataset(self) -> str:
        """The table that holds them."""
        return bars_dataset(self.market, self.interval, self.kind)

    @property
    def step_ms(self) -> int:
        """Time from one row to the next."""
        return self.interval.ms


@dataclass(frozen=True, slots=True)
class Funding:
    """The funding rates of a market."""

    market: Market

    @property
    def dataset(self) -> str:
        """The table that holds them."""
        return funding_dataset(self.market)

    @property
    def step_ms(self) -> int:
        """Time from one row to the next, at most."""
        return 8 * 3_600_000


@dataclass(frozen=True, slots=True)
class Trades:
    """The aggregate trades of a market."""

    market: Market

    @property
    def dataset(self) -> str:
        """The table that holds them."""
        return trades_dataset(self.market)

    @property
    def step_ms(self) -> int:
        """Time from one row to the next, on a busy day."""
        return 50


Series = Bars | Funding | Trades


@dataclass(frozen=True, slots=True)
class Part:
    """One symbol's share of a window in one origin (a file, or the answers for one month).

    `digest` names the origin's content: a part whose digest the lake has seen is not read again. The rows
    wanted lie in [start_ms, end_ms); the origin may hold more, within [holds_from_ms, holds_to_ms).
    """

    symbol: str
    start_ms: int
    end_ms: int
    origin: str
    digest: str
    holds_from_ms: int
    holds_to_ms: int


class Rows(NamedTuple):
    """The rows of a part, strictly increasing in time, and the bytes read to get them."""

    frame: pl.DataFrame
    size: int


class Source(Protocol):
    """Where history comes from."""

    @property
    def name(self) -> str:
        """What the source is, for reports; starts with `SYNTHETIC` when no price in it ever traded."""
        ...

    @property
    def is_venue(self) -> bool:
        """True when its instruments come from the venue itself."""
        ...

    def parts(self, series: Series, symbol: str, start_ms: int, end_ms: int) -> list[Part]:
        """The parts of a window that lies in one UTC month; empty when the source has none."""
        ...

    def read(self, series: Series, part: Part) -> Rows:
        """The rows of a part with the columns of the series' schema."""
        ...

    def instruments(self, market: Market, symbols: Sequence[str]) -> list[Instrument]:
        """The instruments of these symbols with exact filters."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
