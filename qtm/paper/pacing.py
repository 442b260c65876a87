"""Feeds with a time of their own: played at a speed, as fast as possible, or step by step."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime

from qtm.errors import ConfigError
from qtm.paper.venue import Venue

STEP = -1.0
"""Speed at which only `advance` moves the market."""
MAX = 0.0
"""Speed without any pause."""

TURN = 0
"""A moment that has always come: clients may get a turn, time does not pass."""

_YIELD_S = 0.0005
"""How long the market may hold the event loop before clients get a turn."""


def parse_speed(text: str) -> float:
    """`max`, `step`, or a positive number of market seconds per second."""
    if text in ("max", "step"):
        return MAX if text == "max" else STEP
    try:
        speed = float(text)
    except ValueError:
        speed = -1.0
    if not 0 < speed < float("inf"):
        raise ConfigError(
            f"speed {text!r} cannot be used", where="--speed", remedy="use a number, max or step"
        )
    return speed


def parse_moment(text: str, where: str) -> int | None:
    """Milliseconds since the epoch of an ISO date or time in UTC; None for an empty text."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a date", where=where, remedy="write 2025-06-01 or 2025-06-01T12:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000)


class PacedFeed(ABC):
    """A feed made of steps; each step is a series of moments in market time.

    `speed` is market seconds per second of wall time, or `MAX`, or `STEP`.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        self._started = asyncio.Event()

    @property
    @abstractmethod
    def done(self) -> bool:
        """Whether nothing more will happen."""

    @abstractmethod
    def moments(self, venue: Venue) -> Iterator[int]:
        """Make one step happen; yields the market time (ms) reached after each of its events.

        Between two yields nothing else runs, so `TURN` belongs after every symbol of an event: an order never
        waits for a whole market to move.
        """

    def begin(self) -> None:
        """Let time run (no effect in step mode)."""
        self._started.set()

    def advance(self, venue: Venue, steps: int) -> int:
        """Make up to `steps` steps at once; returns how many there were."""
        made = 0
        while made < steps and not self.done:
            for _moment in self.moments(venue):
                pass
            made += 1
        return made

    async def run(self, venue: Venue) -> None:
        """Play to the end at the set speed, from `begin` on."""
        if self.speed == STEP:
            return
        await self._started.wait()
        loop = asyncio.get_running_loop()
        started, origin = loop.time(), venue.clock.now_ms()
        turn = started
        while not self.done:
            for moment in self.moments(venue):
                now = loop.time()
                due = started + (moment - origin) / 1000 / self.speed if self.speed != MAX else now
                if due > now or now - turn > _YIELD_S:
                    await asyncio.sleep(max(0.0, due - now))
                    turn = loop.time()
