"""Delivering user events to a connection, in the time unit it asked for, with the faults a test asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtm.paper.delivery import FaultyDelivery
from qtm.paper.faults import USER, Faults

_TIMES = {
    "executionReport": ("E", "T", "O", "W", "D"),
    "outboundAccountPosition": ("E", "u"),
    "balanceUpdate": ("E", "T"),
    "listStatus": ("E", "T"),
    "ORDER_TRADE_UPDATE": ("E", "T"),
    "TRADE_LITE": ("E", "T"),
    "ACCOUNT_UPDATE": ("E", "T"),
    "ACCOUNT_CONFIG_UPDATE": ("E", "T"),
    "ALGO_UPDATE": ("E", "T"),
}
"""Members that carry times, per event."""


def in_milliseconds(event: dict[str, Any]) -> dict[str, Any]:
    """The event with its times in milliseconds (they are kept in microseconds)."""
    shown = dict(event)
    for name in _TIMES.get(event["e"], ("E",)):
        if name in shown:
            shown[name] //= 1000
    return shown


class UserDelivery:
    """Hands an account's events to `send`, subject to the event faults."""

    def __init__(self, send: Callable[[dict[str, Any]], None], faults: Faults, *, div: int = 1000) -> None:
        self._deliver = FaultyDelivery(send, faults, USER)
        self._div = div

    def __call__(self, event: dict[str, Any]) -> None:
        """Deliver one event."""
        self._deliver(event["e"], in_milliseconds(event) if self._div == 1000 else event)
