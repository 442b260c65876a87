"""Bars the stream did not deliver: warm-up before the first, and whatever a disconnection hid."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from streaming.frames import HistoryRow, history_frame

if TYPE_CHECKING:
    from streaming.session import Session

PAGE = 1000
FRESH_MS = 5000


class History:
    """Remembers the last closed bar of every symbol and fetches what is missing after it.

    While `held` is a list, frames of the stream wait in it, so that older bars always come first.
    """

    def __init__(self, session: Session, last_open_ms: dict[str, int]) -> None:
        self.session = session
        self.last_open_ms = last_open_ms
        self.held: list[bytes] | None = None
        self.ready = False

    def hold(self) -> None:
        """A connection opens: what it brings waits until all before it has been fetched."""
        self.held = []

    def closed(self, symbol: str, open_time_ms: int) -> bool:
        """A closed bar has entered the dataflow; False for one that came before."""
        if open_time_ms <= self.last_open_ms.get(symbol, -1):
            return False
        self.last_open_ms[symbol] = open_time_ms
        return True

    async def missing(self, now_ms: int) -> AsyncIterator[bytes]:
        """Frames of every closed bar after the last one seen, oldest first per symbol.

        The newest may be traded on if it closed only just now; older ones only bring the state up to date.
        """
        config, run = self.session.config, self.session.run
        step = config.interval.ms
        for symbol in config.symbols:
            warm_from = run.trade_from_ms - self.session.warmup_bars * step
            start = self.last_open_ms[symbol] + step if symbol in self.last_open_ms else warm_from
            while start + step <= now_ms:
                window = {"startTime": start, "endTime": now_ms - 1, "limit": PAGE}
                rows = await self.session.venue.klines(symbol, config.interval.value, **window)
                closed = [row for row in rows if int(row[6]) < now_ms]
                for row in closed:
                    newest = row is closed[-1] and len(rows) < PAGE
                    tradable = newest and now_ms - int(row[6]) <= FRESH_MS
                    yield history_frame(_row(symbol, row, tradable))
                if len(rows) < PAGE:
                    break
                start = int(rows[-1][0]) + step
        self.ready = True


def _row(symbol: str, kline: list[Any], tradable: bool) -> HistoryRow:
    opened, open_, high, low, close, volume, closed = kline[:7]
    return HistoryRow(symbol, int(opened), int(closed), open_, high, low, close, volume, tradable)
