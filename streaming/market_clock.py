"""The time orders are judged by: the machine's, or that of a paper exchange that replays the past."""

from __future__ import annotations

from typing import Any

import aiohttp

from qtm.clock import Clock, iso_utc
from qtm.errors import ConfigError, VenueError
from qtm.risk.gate import PAPER
from streaming.config import StreamConfig

CLOCKS_APART_MS = 60_000
"""How far a market's time may be from ours, beyond one bar, and still be the present."""


class MarketClock:
    """Market time of one run, and the paper exchange's own control endpoints."""

    def __init__(self, config: StreamConfig, clock: Clock) -> None:
        self.config = config
        self.clock = clock

    def wall_ms(self) -> int | None:
        """The gate's time for live trading; None in a replay, whose events carry the time."""
        return None if self.config.replay else self.clock.now_ms()

    def now_ms(self, market_ms: int) -> int:
        """The time orders are judged at."""
        return market_ms if self.config.replay else self.clock.now_ms()

    async def market_now_ms(self) -> int:
        """The venue's market time: the replay's own, or now."""
        if not self.config.replay:
            return self.clock.now_ms()
        return int((await self.paper("GET", "status"))["market_time_ms"])

    async def refuse_another_time(self, now_ms: int) -> None:
        """A replayed market taken for the present would pass as history, bar by bar, and never be traded.

        Raises
        ------
        ConfigError
            When the paper exchange's market is not at `now_ms`.
        """
        if self.config.replay or self.config.venue != PAPER:
            return
        market_ms = int((await self.paper("GET", "status"))["market_time_ms"])
        if abs(now_ms - market_ms) > self.config.interval.ms + CLOCKS_APART_MS:
            raise ConfigError(
                f"the paper exchange's market stands at {iso_utc(market_ms)}, not at the present",
                where=self.config.rest_url,
                remedy="add --replay, or --lockstep when it serves --speed step",
            )

    async def paper(self, method: str, path: str, body: dict[str, int] | None = None) -> dict[str, Any]:
        """A request to the paper exchange's own control endpoints."""
        url = f"{self.config.rest_url}/paper/{path}"
        timeout = aiohttp.ClientTimeout(total=self.config.timeout_s)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as client,
                client.request(method, url, json=body) as answer,
            ):
                if answer.status != 200:
                    raise VenueError(
                        f"{method} {url} answered {answer.status}", remedy="is it a paper exchange?"
                    )
                content: dict[str, Any] = await answer.json()
                return content
        except (aiohttp.ClientError, TimeoutError) as error:
            raise VenueError(
                f"the paper exchange does not answer: {error}",
                where=url,
                remedy="start it with `qtm paper serve --market replay`",
            ) from error
