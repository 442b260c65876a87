"""A replay that waits for us: the market moves one bar when everything about the last one is handled.

This makes a replayed day deterministic and as fast as the machine allows, and lets a killed stream continue
in a market that stood still meanwhile.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from qtm.errors import VenueError

if TYPE_CHECKING:
    from streaming.session import Session

PATIENCE_S = 10.0


class Lockstep:
    """Moves the paper exchange's market on request and waits until its closed bars have arrived."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.done = False
        self.idle = True
        self._closes: list[bytes] = []
        self._changed = asyncio.Event()

    def keeps(self, payload: bytes) -> bool:
        """Whether a frame of the market stream is a close that is kept until `advance` lets it go."""
        if self.idle or b'"x":true' not in payload:
            return False
        self._closes.append(payload)
        self._changed.set()
        return True

    async def advance(self) -> None:
        """Let one bar of market time pass; returns when its closes are here.

        What the bar did to resting orders is reported before its close, as it happened.

        Raises
        ------
        VenueError
            When the market is none of bars, or has moved but its bars do not arrive.
        """
        self.idle = False
        before = await self.session.time.paper("GET", "status")
        if "klines_published" not in before:
            raise VenueError(
                f"a {before['market']} market does not move bar by bar",
                where=self.session.config.rest_url,
                remedy="serve it with `qtm paper serve --market replay --speed step`, or drop --lockstep",
            )
        after = await self.session.time.paper("POST", "advance", {"bars": 1})
        expected = after["klines_published"] - before["klines_published"]
        try:
            async with asyncio.timeout(PATIENCE_S):
                while len(self._closes) < expected:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise VenueError(
                f"{expected - len(self._closes)} closed bars did not arrive within {PATIENCE_S:g} s",
                where=self.session.config.stream_url,
                remedy="is the paper exchange in step mode, with the same symbols?",
            ) from None
        await self.session.feed.orders.look_at_resting()
        for payload in self._closes:
            self.session.feed.pass_on(payload)
        self._closes.clear()
        self.done = after["advanced"] == 0
        self.idle = True
