"""Market-data connections: subscribing, unsubscribing and fan-out of ready frames, for any market."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any
from urllib.parse import parse_qs, unquote

from qtm.paper.delivery import FaultyDelivery
from qtm.paper.errors import ApiError
from qtm.paper.faults import STREAM, Faults
from qtm.paper.gateway import time_divisor
from qtm.paper.http import Request
from qtm.paper.websocket import WebSocket, text_frame
from qtm.paper.wire import dumps

MAX_STREAMS = 1024
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")


class StreamHub:
    """Which connection listens to which stream. Streams in microseconds are kept apart (`div` 1)."""

    def __init__(self, faults: Faults, *, messages_per_second: int = 5) -> None:
        self.messages_per_second = messages_per_second
        self._faults = faults
        self._faulty: dict[tuple[str, int], FaultyDelivery] = {}
        self.connections: set[StreamConnection] = set()
        self._listeners: dict[tuple[str, int], set[StreamConnection]] = {}
        self._by_subject: defaultdict[str, set[str]] = defaultdict(set)
        self.first_subscription = asyncio.Event()
        self.delivered = 0
        """Messages handed to listeners, each listener counted."""

    def names(self, subject: str) -> set[str]:
        """Streams with a listener whose name starts with `subject@` (a lower-case symbol) or `!`."""
        return self._by_subject.get(subject) or _NOTHING

    def wants(self, name: str) -> bool:
        """Whether anybody listens to a stream."""
        return (name, 1000) in self._listeners or (name, 1) in self._listeners

    def divisors(self, name: str) -> list[int]:
        """The time units in which a stream is wanted."""
        return [div for div in (1000, 1) if (name, div) in self._listeners]

    def publish(self, name: str, payload: bytes, div: int = 1000) -> None:
        """Send one message of market data to every listener, subject to the stream faults."""
        if not self._faults.rules:
            self.send(name, payload, div)
            return
        delivery = self._faulty.get((name, div))
        if delivery is None:
            delivery = self._faulty[name, div] = FaultyDelivery(
                lambda message: self.send(name, message, div), self._faults, STREAM
            )
        delivery(name, payload)

    def send(self, name: str, payload: bytes, div: int = 1000) -> None:
        """Send one message to every listener; raw and combined frames are built once each."""
        listeners = self._listeners.get((name, div))
        if not listeners:
            return
        self.delivered += len(listeners)
        raw = combined = b""
        for connection in listeners:
            if connection.combined:
                if not combined:
                    combined = text_frame(b'{"stream":"' + name.encode() + b'","data":' + payload + b"}")
                connection.socket.send(combined)
            else:
                if not raw:
                    raw = text_frame(payload)
                connection.socket.send(raw)

    def broadcast(self, event: dict[str, Any], name: str) -> None:
        """Send an event to every connection (serverShutdown)."""
        payload = dumps(event)
        for connection in self.connections:
            body = (
                b'{"stream":"' + name.encode() + b'","data":' + payload + b"}"
                if connection.combined
                else payload
            )
            connection.socket.send_text(body)

    def listen(self, connection: StreamConnection, name: str) -> None:
        """Add a listener."""
        self._listeners.setdefault((name, connection.div), set()).add(connection)
        self._by_subject[name.partition("@")[0]].add(name)
        self.first_subscription.set()

    def forget(self, connection: StreamConnection, name: str) -> None:
        """Remove a listener."""
        key = (name, connection.div)
        listeners = self._listeners.get(key)
        if listeners is None:
            return
        listeners.discard(connection)
        if not listeners:
            del self._listeners[key]
            if not self.wants(name):
                subject = name.partition("@")[0]
                self._by_subject[subject].discard(name)
                if not self._by_subject[subject]:
                    del self._by_subject[subject]


_NOTHING: set[str] = set()


class StreamConnection:
    """One market-data connection."""

    def __init__(
        self, hub: StreamHub, socket: WebSocket, *, combined: bool, div: int, names: list[str]
    ) -> None:
        self.hub = hub
        self.socket = socket
        self.combined = combined
        self.div = div
        self.names: dict[str, None] = {}
        self._second = 0
        self._messages = 0
        hub.connections.add(self)
        socket.on_text = self._text
        socket.on_control = self._controlled
        socket.on_close = self._closed
        self._subscribe(names)

    def _closed(self) -> None:
        for name in self.names:
            self.hub.forget(self, name)
        self.names.clear()
        self.hub.connections.discard(self)

    def _controlled(self) -> None:
        self._count()

    def _count(self) -> bool:
        """Count an incoming message; too many in a second end the connection."""
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._second, self._messages = second, 0
        self._messages += 1
        if self._messages > self.hub.messages_per_second:
            self.socket.close(1008, "Too many requests")
            return False
        return True

    def _text(self, message: bytes) -> None:
        if not self._count():
            return
        try:
            request = json.loads(message)
        except (ValueError, RecursionError) as error:
            where = f"line {getattr(error, 'lineno', 1)} column {getattr(error, 'colno', 1)}"
            self._error(3, f"Invalid JSON: expected value at {where}", None)
            return
        if not isinstance(request, dict):
            self._error(2, "Invalid request: expected an object", None)
            return
        self._request(request)

    def _request(self, request: dict[str, Any]) -> None:
        reference, method = request.get("id"), request.get("method")
        good_text = isinstance(reference, str) and len(reference) <= 36
        good_number = isinstance(reference, int) and not isinstance(reference, bool)
        if reference is not None and not good_text and not good_number:
            self._error(2, "Invalid request: request ID must be an unsigned integer", None)
            return
        if method is None:
            self._error(2, "Invalid request: missing field `method` at line 1 column 1", reference)
            return
        if method not in _METHODS:
            known = ", ".join(f"`{name}`" for name in _METHODS)
            self._error(2, f"Invalid request: unknown variant {method}, expected one of {known}", reference)
            return
        params = request.get("params", [])
        if not isinstance(params, list):
            self._error(2, "Invalid request: params must be an array", reference)
            return
        if method in ("SET_PROPERTY", "GET_PROPERTY"):
            self._property(method, params, reference)
            return
        if not all(isinstance(name, str) for name in params):
            self._error(2, "Invalid request: stream name must be a string", reference)
            return
        if method == "SUBSCRIBE":
            if len(set(self.names) | set(params)) > MAX_STREAMS:
                self._error(2, "Invalid request: too many streams", reference)
                return
            self._answer({"result": None, "id": reference})
            self._subscribe(params)
        elif method == "UNSUBSCRIBE":
            for name in params:
                self.names.pop(name, None)
                self.hub.forget(self, name)
            self._answer({"result": None, "id": reference})
        else:
            self._answer({"result": list(self.names), "id": reference})

    def _property(self, method: str, params: list[Any], reference: Any) -> None:
        if not params or not isinstance(params[0], str):
            self._error(2, "Invalid request: property name must be a string", reference)
        elif params[0] != "combined":
            self._error(0, "Unknown property", reference)
        elif method == "GET_PROPERTY":
            self._answer({"result": self.combined, "id": reference})
        elif len(params) != 2:
            self._error(2, "Invalid request: too many parameters", reference)
        elif not isinstance(params[1], bool):
            self._error(1, "Invalid value type: expected Boolean", reference)
        else:
            self.combined = params[1]
            self._answer({"result": None, "id": reference})

    def _subscribe(self, names: list[str]) -> None:
        for name in names:
            self.names[name] = None
            self.hub.listen(self, name)

    def _answer(self, body: dict[str, Any]) -> None:
        self.socket.send_text(dumps(body))

    def _error(self, code: int, msg: str, reference: Any) -> None:
        body: dict[str, Any] = {"code": code, "msg": msg}
        if reference is not None:
            body["id"] = reference
        self._answer(body)


def stream_request(request: Request, prefixes: tuple[str, ...]) -> tuple[bool, int, list[str]] | None:
    """Read a stream URL.

    Parameters
    ----------
    prefixes
        Accepted paths before the stream names, such as `/ws` and `/stream`; a path ending in `stream` is
        combined.

    Returns
    -------
    (combined, divisor, names) or None when the path is no stream path.
    """
    query = parse_qs(request.query)
    try:
        div = time_divisor(query["timeUnit"][0] if "timeUnit" in query else None)
    except ApiError:
        return None
    path = request.path.rstrip("/")
    for prefix in prefixes:
        if path == prefix or path.startswith(prefix + "/"):
            combined = prefix.endswith("stream")
            names = [unquote(part) for part in path[len(prefix) :].split("/") if part]
            for group in query.get("streams", ()):
                names.extend(part for part in group.split("/") if part)
            return combined, div, names
    return None
