"""A tape from recorded WebSocket frames: trades and the book's changes as they were received.

One frame a line, `<receive time in ns> <json>`, plain or gzipped, in the wrapping of combined streams. Depth
changes before the first snapshot of the REST interface are kept back and applied after it, as the venue's
documentation asks ("How to manage a local order book correctly"). A recording without a snapshot shows no
more than the best prices, if those were recorded.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from qtm.backtest.tape.events import (
    ASK,
    BEST_ASK,
    BEST_BID,
    BID,
    BUY_TRADE,
    CLEAR,
    FULL_DEPTH,
    NO_DEPTH,
    SELL_TRADE,
    TAPE_EVENT,
    TOP_OF_BOOK,
    Tape,
    make_tape,
    to_grid,
)
from qtm.errors import DataError
from qtm.market.instruments import Instrument
from qtm.market.intervals import Interval

_Row = tuple[int, int, float, float]


def tape_of_frames(path: Path, instrument: Instrument, *, interval: Interval = Interval.S1) -> Tape:
    """The tape of one symbol in a recording; other streams and symbols are passed over.

    Times are those of reception, so the feed's own delay is in them already.

    Raises
    ------
    DataError
        For a missing file, a damaged frame, a gap in the depth's sequence, or no usable event.
    """
    if not path.is_file():
        raise DataError("no recording there", where=str(path), remedy="give a file of recorded frames")
    frames = _Frames(path, instrument.symbol)
    rows = list(frames.rows())
    best = {BEST_BID, BEST_ASK}
    if frames.has_snapshot:
        rows, depth = [row for row in rows if row[1] not in best], FULL_DEPTH
    else:
        depth = TOP_OF_BOOK if any(row[1] in best for row in rows) else NO_DEPTH
    if not rows:
        raise DataError(
            "the recording holds no usable event", where=str(path), remedy="check the file and the symbol"
        )
    table = np.array(rows, dtype=[("ts_ns", "i8"), ("kind", "i8"), ("price", "f8"), ("qty", "f8")])
    events = np.zeros(len(table), TAPE_EVENT)
    events["ts_ns"] = np.maximum.accumulate(table["ts_ns"])
    events["kind"] = table["kind"]
    events["ticks"] = to_grid(table["price"], float(instrument.tick_size))
    events["lots"] = to_grid(table["qty"], float(instrument.step_size))
    return make_tape(instrument.symbol, events, depth=depth, interval=interval)


class _Frames:
    """Reads a recording frame by frame and keeps the depth's sequence."""

    def __init__(self, path: Path, symbol: str) -> None:
        self._path = path
        self._symbol = symbol
        self._updates: list[dict[str, Any]] = []
        self._last_id: int | None = None
        self._in_step = False

    @property
    def has_snapshot(self) -> bool:
        """True when the whole book could be followed."""
        return self._last_id is not None

    def rows(self) -> Iterator[_Row]:
        """(time, kind, price, quantity) of every event."""
        opener = gzip.open if self._path.suffix == ".gz" else open
        with opener(self._path, "rb") as lines:
            for number, line in enumerate(lines, 1):
                stamp, _, text = line.partition(b" ")
                if not text.startswith(b"{"):
                    continue
                try:
                    message, received = orjson.loads(text), int(stamp)
                except ValueError:
                    raise DataError(
                        "a recorded frame cannot be read",
                        where=f"{self._path}:{number}",
                        remedy="cut the damaged end off",
                    ) from None
                event = message.get("data", message)
                yield from self._events(received, event, number)

    def _events(self, received: int, event: dict[str, Any], number: int) -> Iterator[_Row]:
        if "lastUpdateId" in event:
            yield from self._snapshot(received, event)
        elif event.get("s") != self._symbol:
            return
        elif event.get("e") == "depthUpdate":
            if self._last_id is None:
                self._updates.append(event)
            else:
                yield from self._update(received, event, number)
        elif "B" in event and "A" in event:
            yield received, BEST_BID, float(event["b"]), float(event["B"])
            yield received, BEST_ASK, float(event["a"]), float(event["A"])
        elif event.get("e") == "trade" and event.get("X", "MARKET") == "MARKET":
            kind = SELL_TRADE if event["m"] else BUY_TRADE
            yield received, kind, float(event["p"]), float(event["q"])

    def _snapshot(self, received: int, event: dict[str, Any]) -> Iterator[_Row]:
        self._last_id, self._in_step = int(event["lastUpdateId"]), False
        yield received, CLEAR, 0.0, 0.0
        for kind, side in ((BID, "bids"), (ASK, "asks")):
            for price, qty in event[side]:
                yield received, kind, float(price), float(qty)
        for update in self._updates:
            yield from self._update(received, update, 0)
        self._updates.clear()

    def _update(self, received: int, event: dict[str, Any], number: int) -> Iterator[_Row]:
        assert self._last_id is not None  # updates are kept back until a snapshot sets it
        if int(event["u"]) <= self._last_id:
            return
        # Futures name the update before, spot counts on by one; the first one only has to reach the snapshot.
        follows = event["pu"] == self._last_id if "pu" in event else event["U"] == self._last_id + 1
        if self._in_step and not follows:
            raise DataError(
                "the recorded depth has a gap",
                where=f"{self._path}:{number}",
                remedy="cut the recording in two at the gap",
            )
        self._last_id, self._in_step = int(event["u"]), True
        for kind, side in ((BID, "b"), (ASK, "a")):
            for price, qty in event[side]:
                yield received, kind, float(price), float(qty)
