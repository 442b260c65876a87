"""WebSocket framing (RFC 6455) for a server that sends the same frame to many clients.

A frame is built once by `text_frame` and written to every subscriber; writes made in one turn of the event
loop leave in one system call. Only what the venue speaks is there: text, ping, pong, close; no extensions.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import struct
from collections.abc import Callable

log = logging.getLogger(__name__)

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MAX_MESSAGE = 1 << 20
MAX_BACKLOG = 64 << 20

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA


def accept_key(key: str) -> bytes:
    """The Sec-WebSocket-Accept value for a client's key."""
    return base64.b64encode(hashlib.sha1(key.encode("latin-1") + _GUID, usedforsecurity=False).digest())


def frame(opcode: int, payload: bytes) -> bytes:
    """One unmasked, final frame."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


def text_frame(payload: bytes) -> bytes:
    """A text frame, ready to be written to any number of clients."""
    return frame(TEXT, payload)


class WebSocket:
    """The server's end of one WebSocket.

    The owner sets `on_text` (a complete text message), `on_control` (a ping or pong arrived) and `on_close`
    (the connection is gone, called once).
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.on_open: Callable[[], None] | None = None
        self.on_text: Callable[[bytes], None] | None = None
        self.on_control: Callable[[], None] | None = None
        self.on_close: Callable[[], None] | None = None
        self.silent = False
        """True makes the socket half-open: nothing is sent, nothing received is answered (a fault)."""
        self.closed = False
        self.last_pong = 0.0
        self.sent = 0
        self._loop = asyncio.get_running_loop()
        self._in = bytearray()
        self._message = bytearray()
        self._fragmented = False
        self._out: list[bytes] = []

    def opened(self) -> None:
        """The handshake has been written."""
        self.last_pong = self._loop.time()
        if self.on_open is not None:
            self.on_open()

    def send(self, raw: bytes) -> None:
        """Queue a ready frame; everything queued in this turn of the loop leaves together."""
        if self.closed or self.silent:
            return
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(raw)
        self.sent += 1

    def send_text(self, payload: bytes) -> None:
        """Queue a text message."""
        self.send(frame(TEXT, payload))

    def ping(self, payload: bytes) -> None:
        """Queue a ping."""
        self.send(frame(PING, payload))

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send a close frame and end the connection after it."""
        if self.closed:
            return
        self.send(frame(CLOSE, struct.pack("!H", code) + reason.encode()[:120]))
        self._flush()
        self.transport.close()
        self._gone()

    def abort(self) -> None:
        """Cut the connection without a word."""
        self.transport.abort()
        self._gone()

    def lost(self) -> None:
        """The transport is gone."""
        self._gone()

    def overflow(self) -> None:
        """The client does not read: tolerate a backlog, then cut the connection as the venue does."""
        if self.transport.get_write_buffer_size() > MAX_BACKLOG:
            self.abort()

    def feed(self, data: bytes) -> None:
        """Take received bytes."""
        if self.silent or self.closed:
            return
        self._in += data
        taken = 0
        while not self.closed and (size := self._take_frame(taken)):
            taken += size
        del self._in[:taken]

    def _flush(self) -> None:
        if self._out and not self.transport.is_closing():
            self.transport.write(b"".join(self._out) if len(self._out) > 1 else self._out[0])
            if self.transport.get_write_buffer_size() > MAX_BACKLOG:
                self._out.clear()
                self.abort()
        self._out.clear()

    def _gone(self) -> None:
        if not self.closed:
            self.closed = True
            if self.on_close is not None:
                self.on_close()

    def _take_frame(self, start: int) -> int:
        """Act on the frame that begins at `start`; returns its size, 0 while it is incomplete."""
        buffer = self._in
        have = len(buffer) - start
        if have < 2:
            return 0
        first, second = buffer[start], buffer[start + 1]
        size, head = second & 0x7F, 2
        if size >= 126:
            wide = 2 if size == 126 else 8
            if have < 2 + wide:
                return 0
            size, head = int.from_bytes(buffer[start + 2 : start + 2 + wide], "big"), 2 + wide
        opcode, final = first & 0x0F, bool(first & 0x80)
        if first & 0x70 or not second & 0x80:
            self.close(1002, "Protocol error")
            return 0
        if size > MAX_MESSAGE or len(self._message) + size > MAX_MESSAGE:
            self.close(1009, "Message too big")
            return 0
        if opcode >= 0x8 and (size > 125 or not final):
            self.close(1002, "Protocol error")
            return 0
        if have < head + 4 + size:
            return 0
        at = start + head
        payload = _unmask(bytes(buffer[at + 4 : at + 4 + size]), bytes(buffer[at : at + 4]))
        self._dispatch(opcode, final, payload)
        return head + 4 + size

    def _dispatch(self, opcode: int, final: bool, payload: bytes) -> None:
        if opcode == PING:
            self.send(frame(PONG, payload))
            self._control()
        elif opcode == PONG:
            self.last_pong = self._loop.time()
            self._control()
        elif opcode == CLOSE:
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1000
            self.close(code if 1000 <= code < 5000 and code not in (1005, 1006, 1015) else 1002)
        elif opcode in (TEXT, BINARY, 0x0):
            if (opcode == 0x0) != self._fragmented:
                self.close(1002, "Protocol error")
                return
            self._message += payload
            self._fragmented = not final
            if final:
                message = bytes(self._message)
                self._message.clear()
                self._serve(message)
        else:
            self.close(1002, "Protocol error")

    def _serve(self, message: bytes) -> None:
        if self.on_text is None:
            return
        try:
            self.on_text(message)
        except Exception:
            log.exception("a WebSocket message could not be served; the connection is closed")
            self.close(1011, "Internal error")

    def _control(self) -> None:
        if self.on_control is not None:
            self.on_control()


def _unmask(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    if not size:
        return b""
    repeated = int.from_bytes((mask * (size // 4 + 1))[:size], "big")
    return (int.from_bytes(payload, "big") ^ repeated).to_bytes(size, "big")
