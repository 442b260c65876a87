"""User streams on a WebSocket API connection: one subscription per account, numbered from 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtm.paper.errors import ApiError
from qtm.paper.faults import Faults
from qtm.paper.user_stream import UserDelivery
from qtm.paper.websocket import WebSocket
from qtm.paper.wire import dumps

MOST_SUBSCRIPTIONS = 65_535
"""User stream subscriptions a connection may make in its life."""


class UserSubscriptions:
    """The subscriptions of one connection.

    `now` gives the server's time in the connection's unit; `div` is that unit (see `gateway.Call`).
    """

    def __init__(self, socket: WebSocket, faults: Faults, *, div: int, now: Callable[[], int]) -> None:
        self._socket = socket
        self._faults = faults
        self._div = div
        self._now = now
        self._active: dict[int, tuple[Any, UserDelivery]] = {}
        self._next = 0

    def __bool__(self) -> bool:
        return bool(self._active)

    def listed(self) -> list[dict[str, Any]]:
        """As session.subscriptions shows them."""
        return [{"subscriptionId": reference} for reference in self._active]

    def add(self, account: Any) -> dict[str, Any]:
        """Subscribe to an account's events; raises -2035 when that is so already, -2042 for one too many."""
        if any(known is account for known, _ in self._active.values()):
            raise ApiError(-2035, "User Data Stream subscription already active.")
        if self._next >= MOST_SUBSCRIPTIONS:
            raise ApiError(-2042, "Maximum subscription ID reached for this connection.")
        reference = self._next
        self._next += 1
        delivery = UserDelivery(lambda event: self._send(reference, event), self._faults, div=self._div)
        self._active[reference] = (account, delivery)
        account.listeners.append(delivery)
        return {"subscriptionId": reference}

    def end(self, wanted: int | None) -> None:
        """End one subscription, or all; raises -2036 for one that does not exist."""
        if wanted is not None and wanted not in self._active:
            raise ApiError(-2036, "User Data Stream subscription not active.")
        for reference in [wanted] if wanted is not None else list(self._active):
            self._terminate(reference)

    def end_account(self, account: Any) -> None:
        """End the subscription to an account (its session has been logged out)."""
        for reference, (known, _) in list(self._active.items()):
            if known is account:
                self._terminate(reference)

    def close(self) -> None:
        """The connection is gone."""
        for account, delivery in self._active.values():
            account.listeners.remove(delivery)
        self._active.clear()

    def _terminate(self, reference: int) -> None:
        account, delivery = self._active.pop(reference)
        account.listeners.remove(delivery)
        self._send(reference, {"e": "eventStreamTerminated", "E": self._now()})

    def _send(self, reference: int, event: dict[str, Any]) -> None:
        self._socket.send_text(dumps({"subscriptionId": reference, "event": event}))
