"""A market that fails ends serving with its reason; nothing is served on without one."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from qtm.errors import DataError
from tests.paper.worlds import exchange, replay


def failing_market() -> Any:
    feed = replay()

    async def run(_venue: object) -> None:
        raise DataError("the recording breaks off", where="line 7")

    feed.run = run  # type: ignore[method-assign]
    return feed


async def test_serving_ends_with_what_the_market_failed_with():
    async with exchange(failing_market(), port=0, begin="now") as broken:
        with pytest.raises(DataError, match="breaks off"):
            await asyncio.wait_for(broken.serve_until(asyncio.Event()), 30)


async def test_serving_ends_quietly_when_asked_to():
    stop = asyncio.Event()
    async with exchange(replay(), port=0, begin="now") as served:
        stop.set()
        await asyncio.wait_for(served.serve_until(stop), 30)


async def test_a_failure_nobody_waited_for_is_logged_at_the_stop(caplog):
    with caplog.at_level(logging.ERROR):
        async with exchange(failing_market(), port=0, begin="now"):
            await asyncio.sleep(0)
            await asyncio.sleep(0)
    assert "breaks off" in caplog.text
