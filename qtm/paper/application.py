"""One market behind one port: REST, streams, WebSocket API and the admin pages, over a shared `Gateway`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from qtm.paper.errors import ApiError
from qtm.paper.gateway import Gateway
from qtm.paper.http import Request, Response
from qtm.paper.limits import Counter, RateLimit
from qtm.paper.listen_key import ListenKeys
from qtm.paper.streams import MAX_STREAMS, StreamConnection, StreamHub, stream_request
from qtm.paper.websocket import WebSocket
from qtm.paper.wire import dumps
from qtm.paper.ws_api import WsApiConnection

log = logging.getLogger(__name__)

CONNECTION_LIFE_S = 86_400.0
PING_EVERY_S = 20.0
PONG_WITHIN_S = 60.0

CONNECTIONS = RateLimit("CONNECTIONS", "MINUTE", 5, 300)
"""WebSocket connection attempts an address may make."""

AdminHandler = Callable[[Request], Response | Awaitable[Response]]


@dataclass(slots=True)
class OpenSocket:
    """An open WebSocket: what it is for and since when (loop time)."""

    socket: WebSocket
    kind: str
    since: float


@dataclass
class VenueApplication:
    """The application the HTTP edge serves for one market.

    `stream_prefixes` are the accepted stream paths, longest first; `admin` answers `/paper/...`, `/metrics`.
    """

    gateway: Gateway
    hub: StreamHub
    stream_prefixes: tuple[str, ...]
    ws_api_paths: tuple[str, ...]
    admin: AdminHandler | None = None
    ping_every_s: float = PING_EVERY_S
    pong_within_s: float = PONG_WITHIN_S
    connection_life_s: float = CONNECTION_LIFE_S
    sockets: dict[WebSocket, OpenSocket] = field(default_factory=dict)
    attempts: dict[str, Counter] = field(default_factory=dict)
    listen_keys: ListenKeys | None = None
    """The listenKey user streams of a market that has them."""

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """Answer an HTTP request."""
        if self.admin is not None and (request.path.startswith("/paper/") or request.path == "/metrics"):
            return self.admin(request)
        return self.gateway.rest(request)

    def accept(self, request: Request, socket: WebSocket) -> Response | None:
        """Take over a WebSocket by its path; 429 for an address that connects too often."""
        now_s = self.gateway.wall.now_ms() / 1000
        attempts = self.attempts.setdefault(request.peer, Counter(CONNECTIONS))
        attempts.roll(now_s)
        attempts.add(1)
        if attempts.used > CONNECTIONS.limit:
            retry = ("Retry-After", str(attempts.retry_after(now_s)))
            return Response(429, b'{"code":-1003,"msg":"Too many requests queued."}', [retry])
        kind = self._take_over(request, socket)
        if isinstance(kind, Response):
            return kind
        if kind is None:
            return Response(404, b'{"code":-1000,"msg":"Not found."}')
        opened = OpenSocket(socket, kind, asyncio.get_running_loop().time())
        self.sockets[socket] = opened
        log.debug("%s %s socket of %s opened", self.gateway.market, kind, request.peer)
        after = socket.on_close

        def closed() -> None:
            self.sockets.pop(socket, None)
            log.debug("%s %s socket of %s closed", self.gateway.market, kind, request.peer)
            if after is not None:
                after()

        socket.on_close = closed
        return None

    def tick(self, now: float) -> None:
        """Ping every socket; close those that do not answer or have lived a day (once per ping interval)."""
        payload = str(self.gateway.wall.now_ms()).encode()
        for opened in list(self.sockets.values()):
            socket = opened.socket
            if now - socket.last_pong > self.pong_within_s and not socket.silent:
                socket.close(1008, "Pong timeout")
            elif now - opened.since > self.connection_life_s:
                socket.close(1008, "Connection lifetime exceeded")
            else:
                socket.ping(payload)

    def announce_shutdown(self) -> None:
        """Send serverShutdown to every connection."""
        event = {"e": "serverShutdown", "E": self.gateway.now_us() // 1000}
        self.hub.broadcast(event, "!serverShutdown")
        for opened in self.sockets.values():
            if opened.kind == "ws-api":
                opened.socket.send_text(dumps({"event": event}))

    def _take_over(self, request: Request, socket: WebSocket) -> str | Response | None:
        path = request.path.rstrip("/")
        if path in self.ws_api_paths:
            try:
                WsApiConnection(self.gateway, socket, request)
            except ApiError as error:
                return Response(error.status, dumps(error.body()), list(error.headers))
            return "ws-api"
        if self.listen_keys is not None and self.listen_keys.accept(request, socket):
            return "user"
        return self._open_stream(request, socket, StreamConnection)

    def _open_stream(
        self, request: Request, socket: WebSocket, connection: Callable[..., StreamConnection]
    ) -> str | Response | None:
        """Let a connection take over a socket whose path names streams."""
        wanted = stream_request(request, self.stream_prefixes)
        if wanted is None:
            return None
        combined, div, names = wanted
        if len(set(names)) > MAX_STREAMS:
            return Response(400, b'{"code":-1000,"msg":"Too many streams."}')
        connection(self.hub, socket, combined=combined, div=div, names=names)
        return "stream"
