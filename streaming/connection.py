"""Websocket connections that come back: market streams and the signed user stream, on picows."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import random
import time
import uuid
from collections.abc import Awaitable, Callable

import msgspec
from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

log = logging.getLogger(__name__)

_CALM_S = 5.0
_LONGEST_PAUSE_S = 10.0


class _Listener(WSListener):
    """Hands every text frame's bytes to `on_frame`."""

    def __init__(
        self,
        on_frame: Callable[[bytes], None],
        greeting: Callable[[], bytes] | None,
        on_opened: Callable[[], None] | None,
    ) -> None:
        self.on_frame = on_frame
        self.greeting = greeting
        self.on_opened = on_opened

    def on_ws_connected(self, transport: WSTransport) -> None:
        if self.on_opened is not None:
            self.on_opened()
        if self.greeting is not None:
            transport.send(WSMsgType.TEXT, self.greeting())

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.TEXT:
            self.on_frame(frame.get_payload_as_bytes())
        elif frame.msg_type == WSMsgType.CLOSE:
            transport.disconnect()


async def keep_connected(
    url: str,
    on_frame: Callable[[bytes], None],
    *,
    greeting: Callable[[], bytes] | None = None,
    on_opened: Callable[[], None] | None = None,
    on_connected: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Stay connected to `url` until cancelled; every new connection greets, then reports itself.

    `on_opened` runs before the first frame of a connection is handed over, `on_connected` maybe after some.
    A pause of random length grows between failures, so that a venue that restarts is not stormed.
    """
    failures = 0
    while True:
        connected_at = time.monotonic()
        try:
            transport, _ = await ws_connect(
                lambda: _Listener(on_frame, greeting, on_opened),
                url,
                enable_auto_ping=True,
                auto_ping_idle_timeout=15,
                auto_ping_reply_timeout=10,
            )
            log.info("connected to %s", url)
            try:
                if on_connected is not None:
                    await on_connected()
                await transport.wait_disconnected()
            finally:
                transport.disconnect()
            log.warning("disconnected from %s", url)
        except (WSError, OSError, TimeoutError) as failed:
            log.warning("cannot stay connected to %s: %s", url, failed)
        failures = 0 if time.monotonic() - connected_at > _CALM_S else failures + 1
        await asyncio.sleep(random.uniform(0.05, min(_LONGEST_PAUSE_S, 0.1 * 2**failures)))


def user_stream_greeting(api_key: str, api_secret: str) -> bytes:
    """The request that subscribes to our own orders on the websocket API, signed with HMAC-SHA256."""
    stamp = time.time_ns() // 1_000_000
    payload = f"apiKey={api_key}&timestamp={stamp}"
    signature = hmac.new(api_secret.encode(), payload.encode(), hashlib.sha256).hexdigest()
    return msgspec.json.encode(
        {
            "id": str(uuid.uuid4()),
            "method": "userDataStream.subscribe.signature",
            "params": {"apiKey": api_key, "timestamp": stamp, "signature": signature},
        }
    )
