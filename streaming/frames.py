"""The frame journal and the one decoder: raw bytes on disk first, messages after.

A websocket cannot seek, so every frame is appended here before it enters the dataflow, and what Bytewax
snapshots is the offset. After a crash the frames behind the last snapshot are read again, in order, and the
same frames make the same state and the same order ids.

A frame is one line: a kind letter and a JSON payload.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from qtm.execution.signals import ClosedBar
from qtm.execution.updates import OrderUpdate
from qtm.execution.venue_answers import update_of_report
from streaming.messages import BarMessage, Message, PriceMessage, RefusalMessage, ReportMessage

KLINE, HISTORY, USER, REPORT, REFUSAL = b"K", b"H", b"U", b"R", b"X"
"""Kinds: kline frame of the stream, REST kline row, user stream frame, sender's report, gate's refusal."""


class _Kline(msgspec.Struct):
    t: int
    T: int
    o: str
    h: str
    l: str  # noqa: E741
    c: str
    v: str
    x: bool


class _KlineEvent(msgspec.Struct):
    E: int
    s: str
    k: _Kline


class _KlineFrame(msgspec.Struct):
    data: _KlineEvent


class HistoryRow(msgspec.Struct):
    """A kline fetched over REST; `tradable` when it is the newest close and still fresh."""

    symbol: str
    open_time_ms: int
    close_time_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    tradable: bool


class _UserFrame(msgspec.Struct):
    event: dict[str, Any]


class _Refusal(msgspec.Struct):
    symbol: str
    client_order_id: str
    controls: tuple[str, ...]


_kline = msgspec.json.Decoder(_KlineFrame)
_history = msgspec.json.Decoder(HistoryRow)
_user = msgspec.json.Decoder(_UserFrame)
_report = msgspec.json.Decoder(OrderUpdate)
_refusal = msgspec.json.Decoder(_Refusal)


class FrameJournal:
    """An append-only file of frames; `write()` reaches the kernel, so a killed process loses nothing."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._drop_torn_tail()

    def append(self, lines: list[bytes]) -> int:
        """Write whole lines; returns the offset behind them."""
        self._file.write(b"".join(lines))
        return self._file.tell()

    def read(self, offset: int) -> Iterator[tuple[bytes, bytes, int]]:
        """(kind, payload, offset behind it) of every frame from `offset` on."""
        with self.path.open("rb") as file:
            file.seek(offset)
            for line in file:
                offset += len(line)
                yield line[:1], line[1:-1], offset

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _drop_torn_tail(self) -> None:
        """A power cut may tear the last line; what was torn was never acted on."""
        content = self.path.read_bytes()
        if content and not content.endswith(b"\n"):
            self._file.truncate(content.rfind(b"\n") + 1)
        self._file.seek(0, 2)


def frame(kind: bytes, payload: bytes) -> bytes:
    """One journal line."""
    return kind + payload + b"\n"


def report_frame(update: OrderUpdate) -> bytes:
    """The line of a report."""
    return frame(REPORT, msgspec.json.encode(update))


def refusal_frame(symbol: str, client_order_id: str, controls: tuple[str, ...]) -> bytes:
    """The line of a refusal."""
    return frame(REFUSAL, msgspec.json.encode(_Refusal(symbol, client_order_id, controls)))


def history_frame(row: HistoryRow) -> bytes:
    """The line of a REST kline."""
    return frame(HISTORY, msgspec.json.encode(row))


def decode(kind: bytes, payload: bytes, *, received_ns: int, wall_ms: int | None) -> Message | None:
    """The message in a frame; None for what the flow has no use for.

    `wall_ms` is the gate's time; None takes the event's own time, for replays of a recorded market.
    """
    if kind == KLINE:
        event = _kline.decode(payload).data
        return _of_stream(event, received_ns, wall_ms)
    if kind == HISTORY:
        return _of_history(_history.decode(payload), received_ns, wall_ms)
    if kind == REPORT:
        return ReportMessage(_report.decode(payload))
    if kind == REFUSAL:
        refused = _refusal.decode(payload)
        return RefusalMessage(refused.symbol, refused.client_order_id, refused.controls)
    event_data = _user.decode(payload).event
    update = update_of_report(event_data) if event_data.get("e") == "executionReport" else None
    return None if update is None else ReportMessage(update)


def _of_stream(event: _KlineEvent, received_ns: int, wall_ms: int | None) -> Message:
    k = event.k
    if not k.x:
        return PriceMessage(event.s, Decimal(k.c), event.E if wall_ms is None else wall_ms)
    bar = ClosedBar(event.s, k.t, k.T, float(k.o), float(k.h), float(k.l), float(k.c), float(k.v))
    return BarMessage(bar, Decimal(k.c), k.T + 1 if wall_ms is None else wall_ms, received_ns, tradable=True)


def _of_history(row: HistoryRow, received_ns: int, wall_ms: int | None) -> BarMessage:
    bar = ClosedBar(
        row.symbol,
        row.open_time_ms,
        row.close_time_ms,
        float(row.open),
        float(row.high),
        float(row.low),
        float(row.close),
        float(row.volume),
    )
    now_ms = row.close_time_ms + 1 if wall_ms is None else wall_ms
    return BarMessage(bar, Decimal(row.close), now_ms, received_ns, row.tradable)
