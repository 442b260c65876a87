"""The listenKey user stream of futures: every form in which clients name the key."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs

from qtm.paper.errors import ApiError
from qtm.paper.gateway import Call, Gateway
from qtm.paper.http import Request
from qtm.paper.listen_key import ListenKeys
from qtm.paper.streams import StreamConnection, StreamHub
from qtm.paper.um.split_addresses import PRIVATE, split_part
from qtm.paper.user_stream import UserDelivery
from qtm.paper.websocket import WebSocket
from qtm.paper.wire import dumps


class UmListenKeys(ListenKeys):
    """Keys whose events are published to the hub under the key as a stream name.

    So `/private/ws/<key>`, `/private/stream?streams=<key>` and SUBSCRIBE on the key all work; this class adds
    `?listenKey=<key>` and the end of a key's life.
    """

    def __init__(self, gateway: Gateway, hub: StreamHub) -> None:
        super().__init__(gateway, ())
        self._stream_hub = hub
        self._deliveries: dict[str, UserDelivery] = {}

    def create(self, call: Call) -> dict[str, str]:
        """POST: the account's key, made or extended for an hour."""
        answer = super().create(call)
        key = answer["listenKey"]
        if key not in self._deliveries:
            delivery = UserDelivery(
                lambda event: self._stream_hub.send(key, dumps(event)), self.gateway.faults
            )
            self._deliveries[key] = delivery
            call.account.listeners.append(delivery)
        return answer

    def extend(self, call: Call) -> dict[str, Any]:
        """PUT: another hour for the account's key, which need not be sent; -1125 when it is dead."""
        if "listenKey" in call.params:
            text = call.params.required("listenKey")
            super().extend(call)
            return {"listenKey": text}
        if not any(key.account is call.account and key.expires > self._now() for key in self._keys.values()):
            raise ApiError(-1125, "This listenKey does not exist.")
        return dict(self.create(call))

    def delete(self, call: Call) -> dict[str, Any]:
        """DELETE: the key dies."""
        if "listenKey" not in call.params:
            for text in [text for text, key in self._keys.items() if key.account is call.account]:
                self._forget(text)
            return {}
        text = call.params.required("listenKey")
        self._find(text)
        self._forget(text)
        return {}

    def accept(self, request: Request, socket: WebSocket) -> bool:
        """Take over `/private/ws?listenKey=<key>`."""
        key = parse_qs(request.query).get("listenKey", [""])[0]
        if key not in self._keys or split_part(request.path) != PRIVATE:
            return False
        combined = request.path.rstrip("/").endswith("stream")
        StreamConnection(self._stream_hub, socket, combined=combined, div=1000, names=[key])
        return True

    def expire(self) -> None:
        """Announce and forget keys whose hour is over."""
        now = asyncio.get_running_loop().time()
        for text in [text for text, key in self._keys.items() if key.expires <= now]:
            event = {"e": "listenKeyExpired", "E": self.gateway.now_us() // 1000, "listenKey": text}
            self._stream_hub.send(text, dumps(event))
            self._forget(text)

    def _forget(self, text: str) -> None:
        key = self._keys.pop(text)
        delivery = self._deliveries.pop(text, None)
        if delivery is not None:
            key.account.listeners.remove(delivery)
