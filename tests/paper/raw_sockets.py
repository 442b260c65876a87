"""Bare sockets for what no well-behaved client would send: hand-made HTTP requests and WebSocket frames."""

from __future__ import annotations

import asyncio
import hmac
import os
import struct
import time
from types import TracebackType
from typing import Self
from urllib.parse import quote

from tests.paper.worlds import KEY, SECRET


def signed_request(method: str, path: str, params: dict[str, str], *, sign: bool = True) -> bytes:
    """A request whose parameters are percent-encoded and correctly signed."""
    pairs = [f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in params.items()]
    if sign:
        pairs.append(f"timestamp={int(time.time() * 1000)}")
        payload = "&".join(pairs)
        pairs.append("signature=" + hmac.digest(SECRET.encode(), payload.encode(), "sha256").hex())
    query = "&".join(pairs)
    return f"{method} {path}?{query} HTTP/1.1\r\nHost: x\r\nX-MBX-APIKEY: {KEY}\r\n\r\n".encode()


class RawHttp:
    """One keep-alive connection, opened again whenever the server has closed it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._streams is not None:
            self._streams[1].close()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; its status and body."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self._streams
        writer.write(request)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        if b"connection: close" in head.lower():
            writer.close()
            self._streams = None
        return int(head.split(b" ", 2)[1]), body


async def converse(port: int, chunks: list[bytes], *, patience: float = 0.05) -> bytes:
    """Send chunks as separate writes; everything that came back until silence or the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    received = b""
    try:
        for chunk in chunks:
            writer.write(chunk)
            await asyncio.sleep(0)
        while True:
            data = await asyncio.wait_for(reader.read(65536), patience)
            if not data:
                return received
            received += data
    except (TimeoutError, ConnectionError):
        return received
    finally:
        writer.close()


def upgrade(path: str) -> bytes:
    """A WebSocket handshake."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


def client_frame(
    payload: bytes, opcode: int = 1, *, final: bool = True, masked: bool = True, reserved: int = 0,
    claimed: int | None = None,
) -> bytes:  # fmt: skip
    """A frame as a client sends it; `claimed` lies about its length."""
    size = len(payload) if claimed is None else claimed
    head = bytes([(0x80 if final else 0) | reserved << 4 | opcode])
    bit = 0x80 if masked else 0
    if size < 126:
        head += bytes([bit | size])
    elif size < 65536:
        head += bytes([bit | 126]) + struct.pack("!H", size)
    else:
        head += bytes([bit | 127]) + struct.pack("!Q", size)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))


def text_messages(received: bytes) -> list[bytes]:
    """Payloads of the server's text frames behind a handshake's answer."""
    _, _, data = received.partition(b"\r\n\r\n")
    found = []
    while len(data) >= 2:
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10], "big"), 10
        if data[0] & 0x0F == 1:
            found.append(data[at : at + size])
        data = data[at + size :]
    return found
