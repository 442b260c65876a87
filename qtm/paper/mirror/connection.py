"""Staying connected to the mirrored venue's streams, without a hole where that is possible.

The venue ends every connection after 24 hours and announces its restarts (`serverShutdown`). Before either,
a second connection is opened and must speak before the first one is closed; what both carry is recognised by
its sequence numbers. A connection that breaks is replaced after a random pause that grows with the failures.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence

from picows import (
    WSError,
    WSFrame,
    WSInvalidStatusError,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)

log = logging.getLogger(__name__)

ROTATE_AFTER_S = 23.5 * 3600
FIRST_FRAME_WITHIN_S = 30.0
CALM_S = 5.0
LONGEST_PAUSE_S = 30.0
IDLE_PING_S, PONG_WITHIN_S = 15.0, 10.0

_GREETING = b'{"method":"LIST_SUBSCRIPTIONS","id":1}'
"""Asked at once, so that a connection speaks although its markets are quiet."""


class _Connection(WSListener):
    """One connection; `spoke` is set by its first message, `ended` when it is gone."""

    def __init__(self, on_message: Callable[[bytes], bool]) -> None:
        self.spoke = asyncio.Event()
        self.ended = asyncio.Event()
        self.retiring = asyncio.Event()
        self.transport: WSTransport | None = None
        self._on_message = on_message

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport
        transport.send(WSMsgType.TEXT, _GREETING)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.spoke.set()
            if not self._on_message(frame.get_payload_as_bytes()):
                self.retiring.set()
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self.ended.set()

    def close(self) -> None:
        """Hang up."""
        if self.transport is not None:
            self.transport.disconnect()


class MirrorConnection:
    """One living connection, replaced as needed until `run` is cancelled.

    Parameters
    ----------
    urls
        Its address, then those to try when the venue does not have that one (404).
    on_message
        Takes every text message; False asks for another connection (a shutdown was announced).
    on_open
        Called when a connection speaks.
    on_lost
        Called when messages may have been missed.
    rotate_after_s
        Age at which a connection is replaced.
    """

    def __init__(
        self,
        urls: Sequence[str],
        on_message: Callable[[bytes], bool],
        *,
        on_open: Callable[[], None],
        on_lost: Callable[[], None],
        rotate_after_s: float = ROTATE_AFTER_S,
    ) -> None:
        self.rotate_after_s = rotate_after_s
        self.connections = 0
        self.speaks = False
        self._urls = urls
        self._at = 0
        self._on_message = on_message
        self._on_open = on_open
        self._on_lost = on_lost

    @property
    def host(self) -> str:
        """The address without the streams."""
        return self._urls[self._at].partition("/stream?")[0]

    async def run(self) -> None:
        """Stay connected."""
        current: _Connection | None = None
        failures = 0
        loop = asyncio.get_running_loop()
        try:
            while True:
                opened_at = loop.time()
                fresh = await self._open()
                if fresh is not None:
                    if current is not None:
                        current.close()
                    current, self.speaks = fresh, True
                    self._on_open()
                    if not await self._lasted(current):
                        continue
                if current is None or current.ended.is_set():
                    current, self.speaks = None, False
                    self._on_lost()
                failures = 0 if fresh is not None and loop.time() - opened_at > CALM_S else failures + 1
                await asyncio.sleep(random.uniform(0.05, min(LONGEST_PAUSE_S, 0.2 * 2**failures)))
        finally:
            if current is not None:
                current.close()

    async def _open(self) -> _Connection | None:
        """A connection that has spoken, None when there is none to be had."""
        connection = _Connection(self._on_message)
        try:
            await ws_connect(
                lambda: connection,
                self._urls[self._at],
                enable_auto_ping=True,
                auto_ping_idle_timeout=IDLE_PING_S,
                auto_ping_reply_timeout=PONG_WITHIN_S,
                enable_auto_pong=True,
            )
            await asyncio.wait_for(connection.spoke.wait(), FIRST_FRAME_WITHIN_S)
        except (WSError, OSError, TimeoutError) as error:
            log.warning("cannot connect to %s: %s %s", self.host, type(error).__name__, error)
            connection.close()
            if isinstance(error, WSInvalidStatusError) and error.response and error.response.status == 404:
                self._at = (self._at + 1) % len(self._urls)
            return None
        self.connections += 1
        log.info("mirroring %s", self.host)
        return connection

    async def _lasted(self, connection: _Connection) -> bool:
        """Wait until the connection ends (True) or is to be replaced while it still speaks (False)."""
        ended = asyncio.create_task(connection.ended.wait())
        retiring = asyncio.create_task(connection.retiring.wait())
        try:
            await asyncio.wait(
                {ended, retiring}, timeout=self.rotate_after_s, return_when=asyncio.FIRST_COMPLETED
            )
        finally:
            for task in (ended, retiring):
                task.cancel()
        if connection.ended.is_set():
            log.warning("the connection to %s has ended", self.host)
            return True
        log.info("replacing the connection to %s", self.host)
        return False
