"""What the mirror knows of one symbol: its listing, its depth, and what paper trades have taken of that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from qtm.paper.book import Book, BookSide
from qtm.paper.depth_frames import Levels
from qtm.paper.mirror.depth_sync import DepthSync


class MirroredSymbol:
    """One symbol of the mirrored venue; `listing` is its entry in exchangeInfo."""

    def __init__(self, listing: Mapping[str, Any], before: Callable[[Mapping[str, Any]], int]) -> None:
        self.listing = listing
        self.depth = DepthSync(before)
        self.last_trade_id = 0
        self.taken: set[int] = set()
        """Prices whose displayed quantity paper trades have changed."""
        self.syncing: asyncio.Task[None] | None = None

    def with_restored(self, book: Book, bids: Levels, asks: Levels) -> tuple[Levels, Levels]:
        """Changes of the mirrored depth, and beside them the levels of `taken` as the other venue has them.

        A level that would at once trade with a paper order stays taken: that order has had it already.
        """
        if not self.taken:
            return bids, asks
        waiting: set[int] = set()
        restored: list[Levels] = []
        for side, truth, changes in (
            (book.bids, self.depth.bids, bids), (book.asks, self.depth.asks, asks),
        ):  # fmt: skip
            levels = list(changes)
            for price in self.taken - {price for price, _ in changes}:
                wanted = truth.get(price, 0)
                level = side.levels.get(price)
                shown = level.external if level is not None else 0
                if wanted > shown and _meets_paper_order(book, side, price):
                    waiting.add(price)
                elif wanted != shown:
                    levels.append((price, wanted))
            restored.append(levels)
        self.taken = waiting
        return restored[0], restored[1]


def _meets_paper_order(book: Book, side: BookSide, price: int) -> bool:
    """Whether market quantity at `price` would trade with a paper order that rests on the other side."""
    opposite = book.asks if side is book.bids else book.bids
    for resting in opposite.prices():
        if not opposite.reaches(resting, price):
            return False
        if opposite.levels[resting].orders:
            return True
    return False
