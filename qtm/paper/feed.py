"""What drives a venue: bars replayed, recorded messages replayed, or a synthetic market."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from qtm.market.instruments import Instrument
from qtm.paper.venue import Venue


class MarketFeed(Protocol):
    """A source of market events for one venue."""

    def instruments(self) -> Mapping[str, Instrument]:
        """What is traded."""
        ...

    def open(self, venue: Venue) -> None:
        """List the symbols and let the book stand before time runs."""
        ...

    def begin(self) -> None:
        """Let time run (a feed that follows the wall clock or a speed)."""
        ...

    async def run(self, venue: Venue) -> None:
        """Drive the venue until the end, or forever."""
        ...

    def advance(self, venue: Venue, steps: int) -> int:
        """Move by whole steps at once; returns how many were made."""
        ...

    def status(self) -> dict[str, object]:
        """Progress, for the status page."""
        ...
