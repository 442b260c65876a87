"""The split stream addresses: `/public` for books and prints, `/market` for the rest, `/private` for users.

A stream named at the wrong address is accepted and stays silent, as the venue does.
"""

from __future__ import annotations

import re

from qtm.paper.streams import StreamConnection, StreamHub
from qtm.paper.um.depth_streams import depth_stream
from qtm.paper.websocket import WebSocket

PUBLIC, MARKET, PRIVATE = "public", "market", "private"
_PATH = re.compile(r"^(?:/fstream)?/(public|market|private)(?:/|$)")


def split_part(path: str) -> str | None:
    """The part of a split address; None for an unsplit one, which serves every stream."""
    found = _PATH.match(path)
    return found[1] if found is not None else None


def part_of(name: str) -> str:
    """Where a stream is served; a name without a subject is a listenKey."""
    subject, _, kind = name.partition("@")
    if name == "!bookTicker" or kind in ("bookTicker", "trade") or depth_stream(kind) is not None:
        return PUBLIC
    return MARKET if kind or subject.startswith("!") or subject == "tradingSession" else PRIVATE


class SplitConnection(StreamConnection):
    """A connection to one part."""

    def __init__(
        self, part: str, hub: StreamHub, socket: WebSocket, *, combined: bool, div: int, names: list[str]
    ) -> None:
        self._part = part
        super().__init__(hub, socket, combined=combined, div=div, names=names)

    def _subscribe(self, names: list[str]) -> None:
        for name in names:
            self.names[name] = None
            if part_of(name) == self._part:
                self.hub.listen(self, name)
