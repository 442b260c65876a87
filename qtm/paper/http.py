"""The HTTP/1.1 and WebSocket edge: one asyncio protocol over the `httptools` parser, shared by all markets.

An application is called with a parsed `Request` and returns a `Response` at once, or an awaitable of one when
it must wait; answers leave in the order the requests came (pipelining). An Upgrade request hands the socket
over to a `WebSocket`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol, cast

import httptools

from qtm.paper.websocket import WebSocket, accept_key

log = logging.getLogger(__name__)

MAX_BODY = 1 << 20
MAX_HEAD = 32 << 10
MAX_PIPELINE = 64
"""Requests of one connection that may wait behind one that takes its time; then nothing more is read."""
REQUEST_WITHIN_S = 20.0
"""How long a client may take to send a request it has begun."""
IDLE_S = 600.0
"""How long a connection may stay open without a request."""

_REASONS = {status.value: status.phrase for status in HTTPStatus}
_REASONS[418] = "I'm a teapot"
_JSON = b"Content-Type: application/json;charset=UTF-8\r\nContent-Length: "


@dataclass(slots=True)
class Request:
    """One HTTP request; `query` and `body` are kept exactly as sent because they are signed as sent."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""
    peer: str = ""


@dataclass(slots=True)
class Response:
    """One HTTP answer; `close` ends the connection after it, `drop` ends it instead of answering."""

    status: int
    body: bytes
    headers: list[tuple[str, str]] = field(default_factory=list)
    content_type: str = ""
    close: bool = False
    drop: bool = False

    def encode(self, *, keep_alive: bool) -> bytes:
        """The bytes of the answer."""
        head = [f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}\r\n"]
        head.extend(f"{name}: {value}\r\n" for name, value in self.headers)
        if not keep_alive:
            head.append("Connection: close\r\n")
        if self.content_type:
            head.append(f"Content-Type: {self.content_type}\r\nContent-Length: ")
            return "".join(head).encode("latin-1") + b"%d\r\n\r\n" % len(self.body) + self.body
        return b"".join(("".join(head).encode("latin-1"), _JSON, b"%d\r\n\r\n" % len(self.body), self.body))


class Application(Protocol):
    """What the edge serves."""

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Answer an HTTP request; must not raise."""
        ...

    def accept(self, request: Request, socket: WebSocket) -> Response | None:
        """Take over a WebSocket that is about to open, or refuse it with an answer."""
        ...


class HttpConnection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, app: Application, connections: set[HttpConnection]) -> None:
        self.app = app
        self.connections = connections
        self.transport: asyncio.Transport | None = None
        self.websocket: WebSocket | None = None
        self.peer = ""
        self._parser: httptools.HttpRequestParser = httptools.HttpRequestParser(self)
        self._pending: deque[tuple[Request, bool]] = deque()
        self._waiting: asyncio.Task[None] | None = None
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._held = False
        self._begun = False
        self._since = 0.0

    # --- asyncio -------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if peer else ""
        self.connections.add(self)
        self._since = asyncio.get_running_loop().time()

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything that hangs on the connection."""
        self.connections.discard(self)
        if self._waiting is not None:
            self._waiting.cancel()
        if self.websocket is not None:
            self.websocket.lost()
        self.transport = None

    def data_received(self, data: bytes) -> None:
        """Feed the parser, or the WebSocket after an upgrade."""
        if self.websocket is not None:
            self.websocket.feed(data)
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._after_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(400)

    def pause_writing(self) -> None:
        """The client reads too slowly: it gets no more answers, or the WebSocket decides what to do."""
        if self.websocket is not None:
            self.websocket.overflow()
        elif self.transport is not None:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self.websocket is None and self.transport is not None and not self._held:
            self.transport.resume_reading()

    def overdue(self, now: float) -> bool:
        """Whether the client dawdles over a request, or has been idle for too long (loop time)."""
        if self.websocket is not None or self._waiting is not None:
            return False
        return now - self._since > (REQUEST_WITHIN_S if self._begun else IDLE_S)

    def abort(self) -> None:
        """Cut the connection."""
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        """Close after what is written has left."""
        if self.transport is not None:
            self.transport.close()

    def _after_upgrade(self, rest: bytes) -> None:
        if self.websocket is not None and rest:
            self.websocket.feed(rest)

    # --- httptools callbacks -------------------------------------------------------------------------------
    def on_message_begin(self) -> None:
        """Start a request."""
        self._url = b""
        self._headers = {}
        self._body = []
        self._size = 0
        self._begun, self._since = True, asyncio.get_running_loop().time()

    def on_url(self, url: bytes) -> None:
        """Collect the target."""
        self._url += url
        if len(self._url) > MAX_HEAD:
            raise ValueError("target too long")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect a header."""
        self._size += len(name) + len(value)
        if self._size > MAX_HEAD:
            raise ValueError("headers too long")
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self._size += len(body)
        if self._size > MAX_BODY:
            raise ValueError("body too long")
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Serve the request, or queue it behind one that waits."""
        self._begun, self._since = False, asyncio.get_running_loop().time()
        if not self._open:
            return
        raw = self._url.decode("latin-1")
        path, _, query = raw.partition("?")
        request = Request(
            self._parser.get_method().decode("ascii"),
            path,
            query,
            self._headers,
            b"".join(self._body),
            self.peer,
        )
        if self._parser.should_upgrade():
            self._upgrade(request)
            return
        keep_alive = self._parser.should_keep_alive()
        if self._waiting is not None or self._pending:
            self._pending.append((request, keep_alive))
            if len(self._pending) >= MAX_PIPELINE and not self._held and self.transport is not None:
                self._held = True
                self.transport.pause_reading()
        else:
            self._serve(request, keep_alive)

    @property
    def _open(self) -> bool:
        """Whether answers still reach the client; what it sent after its last request is not served."""
        return self.transport is not None and not self.transport.is_closing()

    # --- answering -----------------------------------------------------------------------------------------
    def _serve(self, request: Request, keep_alive: bool) -> None:
        try:
            answer = self.app.handle(request)
        except Exception:  # noqa: BLE001 - the edge answers whatever happens behind it; the log has the rest
            answer = _failed(request)
        if isinstance(answer, Response):
            self._send(answer, keep_alive and request.method != "HEAD")
        else:
            self._waiting = asyncio.ensure_future(self._await(answer, request, keep_alive))

    async def _await(self, answer: Awaitable[Response], request: Request, keep_alive: bool) -> None:
        try:
            response = await answer
        except Exception:  # noqa: BLE001 - as above
            response = _failed(request)
        self._send(response, keep_alive)
        self._waiting = None
        while self._pending and self._waiting is None and self._open:
            request, keep_alive = self._pending.popleft()
            self._serve(request, keep_alive)
        if self._held and not self._pending and self.transport is not None:
            self._held = False
            self.transport.resume_reading()

    def _send(self, response: Response, keep_alive: bool) -> None:
        if self.transport is None or self.transport.is_closing():
            return
        if response.drop:
            self.transport.abort()
            return
        keep_alive = keep_alive and not response.close
        self.transport.write(response.encode(keep_alive=keep_alive))
        if not keep_alive:
            self.transport.close()

    def _refuse(self, status: int) -> None:
        self._send(Response(status, b'{"code":-1000,"msg":"Bad request."}', close=True), False)

    def _upgrade(self, request: Request) -> None:
        assert self.transport is not None
        key = request.headers.get("sec-websocket-key", "")
        if request.headers.get("upgrade", "").lower() != "websocket" or not key:
            self._refuse(400)
            return
        socket = WebSocket(self.transport)
        refused = self.app.accept(request, socket)
        if refused is not None:
            self._send(refused, False)
            return
        self.websocket = socket
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key) + b"\r\n\r\n"
        )
        socket.opened()


def _failed(request: Request) -> Response:
    """The answer to a request that a fault of the exchange itself has spoilt."""
    log.exception("%s %s could not be served", request.method, request.path)
    return Response(500, b'{"code":-1000,"msg":"An unknown error occurred while processing the request."}')
