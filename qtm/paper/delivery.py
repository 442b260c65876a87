"""Handing messages on, or losing, doubling, delaying and reordering them as the faults demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from qtm.paper.faults import Faults


class FaultyDelivery:
    """Hands the messages of one connection or stream to `send`, subject to the faults of their family.

    A reordered message follows the next one, or goes alone after the rule's seconds when none comes. `later`
    calls a function after some seconds; the running loop does when it is not given.
    """

    def __init__(
        self,
        send: Callable[[Any], None],
        faults: Faults,
        family: str,
        *,
        later: Callable[..., object] | None = None,
    ) -> None:
        self._send = send
        self._faults = faults
        self._family = family
        self._later = later
        self._held: list[Any] = []

    def __call__(self, name: str, message: Any) -> None:
        """Deliver one message."""
        rule = self._faults.on_message(self._family, name) if self._faults.rules else None
        fate = "" if rule is None else rule.kind.partition("_")[2]
        if rule is not None and fate == "late":
            self._after(rule.seconds, self._send, message)
        elif rule is not None and fate == "reordered":
            self._held.append(message)
            self._after(rule.seconds, self._release)
        elif fate != "lost":
            self._send(message)
            if fate == "duplicated":
                self._send(message)
            self._release()

    def _after(self, seconds: float, call: Callable[..., None], *arguments: Any) -> None:
        later = self._later or asyncio.get_running_loop().call_later
        later(seconds, call, *arguments)

    def _release(self) -> None:
        held, self._held = self._held, []
        for message in held:
            self._send(message)
