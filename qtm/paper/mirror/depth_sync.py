"""Keeping a copy of the venue's depth: snapshot, updates in sequence, and the gap that makes it worthless.

The venue's rule: updates are buffered until a snapshot arrives; a snapshot older than the first of them is of
no use; updates the snapshot contains are dropped; every further update must continue the sequence. What an
update continues is one less than its `U` in the spot market, and its `pu` in the futures market, where the
numbers between `pu` and `U` belong to other contracts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qtm.paper.depth_frames import Levels, levels_of

MOST_BUFFERED = 5_000
"""Updates kept while a snapshot is awaited; the oldest go first, and the snapshot must then be newer."""


class DepthGapError(Exception):
    """An update is missing: the copy is no longer the venue's depth."""


class DepthSync:
    """The depth of one symbol as the venue has it: price to quantity in 1e-8 units, by side.

    Parameters
    ----------
    before
        The last update before an event, which the event continues.
    """

    def __init__(self, before: Callable[[Mapping[str, Any]], int]) -> None:
        self._before = before
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.last_id: int | None = None
        self._waiting: list[Mapping[str, Any]] = []

    @property
    def synced(self) -> bool:
        """Whether the copy is the venue's depth."""
        return self.last_id is not None

    def forget(self) -> None:
        """Start again: whatever was known is doubtful."""
        self.last_id = None
        self.bids.clear()
        self.asks.clear()
        self._waiting.clear()

    def update(self, event: Mapping[str, Any]) -> tuple[Levels, Levels] | None:
        """Take a depth update (`U`, `u`, `b`, `a`, and `pu` of a contract).

        Returns
        -------
        The bids and asks it changed, or None when it waits for a snapshot or says nothing new.

        Raises
        ------
        DepthGapError
            When updates before it are missing; the copy has been forgotten, the event waits for a snapshot.
        """
        if self.last_id is None:
            if len(self._waiting) >= MOST_BUFFERED:
                del self._waiting[0]
            self._waiting.append(event)
            return None
        before, last = self._before(event), int(event["u"])
        if last <= self.last_id:
            return None
        if before > self.last_id:
            known = self.last_id
            self.forget()
            self._waiting.append(event)
            raise DepthGapError(f"an update continues {before} where {known} is the last one known")
        self.last_id = last
        bids, asks = levels_of(event["b"]), levels_of(event["a"])
        _merge(self.bids, bids)
        _merge(self.asks, asks)
        return bids, asks

    def snapshot(self, answer: Mapping[str, Any]) -> bool:
        """Take GET depth's answer and the updates that waited; False when it is too old to be used.

        Raises
        ------
        DepthGapError
            When the updates that waited have a gap among themselves.
        """
        last_id = int(answer["lastUpdateId"])
        newer = [event for event in self._waiting if int(event["u"]) > last_id]
        if newer and self._before(newer[0]) > last_id:
            return False
        self.bids = dict(levels_of(answer["bids"]))
        self.asks = dict(levels_of(answer["asks"]))
        self.last_id = last_id
        self._waiting.clear()
        for event in newer:
            self.update(event)
        return True


def _merge(side: dict[int, int], changes: Sequence[tuple[int, int]]) -> None:
    for price, quantity in changes:
        if quantity:
            side[price] = quantity
        else:
            side.pop(price, None)
