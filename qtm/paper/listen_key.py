"""The listenKey user stream: a key from REST, then a socket under it. Spot retired it; futures live on it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtm.paper.errors import ApiError
from qtm.paper.gateway import Call, Gateway
from qtm.paper.http import Request
from qtm.paper.streams import StreamHub
from qtm.paper.user_stream import UserDelivery
from qtm.paper.websocket import WebSocket
from qtm.paper.wire import dumps

LIFE_S = 3600.0


@dataclass(slots=True)
class _Key:
    account: Any
    expires: float


class ListenKeys:
    """Issues keys per account and connects sockets that name one.

    `paths` are the prefixes under which a key may be the last part of the path (`/ws`); with a `hub` one can
    be subscribed to like any stream.
    """

    def __init__(self, gateway: Gateway, paths: tuple[str, ...], hub: StreamHub | None = None) -> None:
        self.gateway = gateway
        self.paths = paths
        self.hub = hub
        self._keys: dict[str, _Key] = {}

    def create(self, call: Call) -> dict[str, str]:
        """POST: the account's key, made or extended for an hour."""
        call.params.finish()
        now = self._now()
        for text, key in self._keys.items():
            if key.account is call.account and key.expires > now:
                key.expires = now + LIFE_S
                return {"listenKey": text}
        text = secrets.token_hex(32)
        self._keys[text] = key = _Key(call.account, now + LIFE_S)
        if self.hub is not None:
            self._offer(text, key, self.hub)
        return {"listenKey": text}

    def _offer(self, text: str, key: _Key, hub: StreamHub) -> None:
        """Publish the account's events under its key, to whoever subscribes to that."""

        def send(event: dict[str, Any]) -> None:
            if key.expires > self._now() and hub.wants(text):
                hub.send(text, dumps(event))

        key.account.listeners.append(UserDelivery(send, self.gateway.faults))

    def extend(self, call: Call) -> dict[str, Any]:
        """PUT: another hour; -1125 for a dead key."""
        self._find(call.params.required("listenKey")).expires = self._now() + LIFE_S
        return {}

    def delete(self, call: Call) -> dict[str, Any]:
        """DELETE: the key dies."""
        text = call.params.required("listenKey")
        self._find(text)
        del self._keys[text]
        return {}

    def accept(self, request: Request, socket: WebSocket) -> bool:
        """Take over a socket whose path ends in a living key."""
        prefix, _, text = request.path.rstrip("/").rpartition("/")
        key = self._keys.get(text)
        if prefix not in self.paths or key is None or key.expires <= self._now():
            return False

        def send(event: dict[str, Any]) -> None:
            if key.expires > self._now():
                socket.send_text(dumps(event))

        delivery = UserDelivery(send, self.gateway.faults)
        key.account.listeners.append(delivery)
        after: Callable[[], None] | None = socket.on_close

        def closed() -> None:
            key.account.listeners.remove(delivery)
            if after is not None:
                after()

        socket.on_close = closed
        return True

    def end_all(self) -> int:
        """End the hour of every key now (a fault); returns how many there were."""
        ended = [key for key in self._keys.values() if key.expires > self._now()]
        for key in ended:
            key.expires = self._now()
        return len(ended)

    def _find(self, text: str) -> _Key:
        key = self._keys.get(text)
        if key is None or key.expires <= self._now():
            raise ApiError(-1125, "This listenKey does not exist.")
        return key

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
