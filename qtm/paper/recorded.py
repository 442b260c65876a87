"""Markets replayed from what really happened: recorded spot WebSocket frames, or a list of trades."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.errors import DataError
from qtm.market.instruments import Instrument
from qtm.paper.bar_builder import BarBuilder
from qtm.paper.depth_frames import amount_of, levels_of
from qtm.paper.klines import KlineHistory
from qtm.paper.pacing import PacedFeed
from qtm.paper.venue import Venue
from qtm.paper.wire import E8, units_of

STEP_MS = 1000
"""A step of a recorded market is one second of its time."""


@dataclass(frozen=True, slots=True)
class Trades:
    """Trades of one symbol in time order; columns of shape (T,), prices and quantities in 1e-8 units."""

    instrument: Instrument
    time_ms: npt.NDArray[np.int64]
    price: npt.NDArray[np.int64]
    qty: npt.NDArray[np.int64]
    buyer_is_maker: npt.NDArray[np.bool_]


class _Recorded(PacedFeed):
    """What frame and trade replays share: a sequence of timed events and 1m candles made from the trades."""

    def __init__(self, instruments: Sequence[Instrument], speed: float) -> None:
        super().__init__(speed)
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._builders: dict[str, BarBuilder] = {}
        self._events: Iterator[tuple[int, str, Any]] = iter(())
        self._next: tuple[int, str, Any] | None = None
        self.events_done = 0

    @property
    def done(self) -> bool:
        """Whether the recording is over."""
        return self._next is None

    def instruments(self) -> Mapping[str, Instrument]:
        """What is traded."""
        return self._instruments

    def status(self) -> dict[str, object]:
        """Progress."""
        return {"market": "recorded", "events": self.events_done, "done": self.done}

    def open(self, venue: Venue) -> None:
        """List the symbols; the market is empty until the first event."""
        self._next = next(self._events, None)
        if self._next is None:
            raise DataError("the recording holds no usable event", remedy="check the file and the symbols")
        venue.move_clock(self._next[0])
        for instrument in self._instruments.values():
            venue.add_market(instrument, KlineHistory.empty("1m"))

    def moments(self, venue: Venue) -> Iterator[int]:
        """Play the events of one second."""
        if self._next is None:
            return
        until = self._next[0] + STEP_MS
        while self._next is not None and self._next[0] < until:
            now, symbol, event = self._next
            venue.move_clock(max(now, venue.clock.now_ms()))
            self.apply(venue, symbol, event)
            self.events_done += 1
            self._next = next(self._events, None)
            yield now
        for builder in self._builders.values():
            builder.publish(venue)

    def apply(self, venue: Venue, symbol: str, event: Any) -> None:
        """Let one event happen."""
        raise NotImplementedError

    def _trade(self, venue: Venue, symbol: str, price: int, qty: int, buyer_is_maker: bool) -> None:
        now = venue.clock.now_ms()
        builder = self._builders.get(symbol)
        if builder is None:
            builder = self._builders[symbol] = BarBuilder(symbol, "1m", now, price / E8)
        builder.roll(venue, now)
        venue.print_trade(symbol, price, qty, buyer_is_maker=buyer_is_maker)
        builder.add(price / E8, qty / E8, buyer_is_maker=buyer_is_maker)


class FrameReplay(_Recorded):
    """Replays recorded combined-stream frames, one a line: `<receive time> <json>`, plain or gzipped.

    Depth updates and snapshots move the book, trades print; time is the venue's event time. Other streams and
    symbols are passed over.
    """

    def __init__(self, path: Path, instruments: Sequence[Instrument], *, speed: float) -> None:
        super().__init__(instruments, speed)
        if not path.is_file():
            raise DataError("no recording there", where=str(path), remedy="give a file of recorded frames")
        self._path = path
        self._events = self._read()

    def apply(self, venue: Venue, symbol: str, event: dict[str, Any]) -> None:
        """A depth update, a depth snapshot, or a trade."""
        if "lastUpdateId" in event:
            venue.set_depth(symbol, levels_of(event["bids"]), levels_of(event["asks"]))
        elif event["e"] == "depthUpdate":
            self._uncross(venue, symbol, event)
            venue.change_depth(symbol, levels_of(event["b"]), levels_of(event["a"]))
        else:
            self._trade(venue, symbol, amount_of(event["p"]), amount_of(event["q"]), bool(event["m"]))

    @staticmethod
    def _uncross(venue: Venue, symbol: str, event: dict[str, Any]) -> None:
        """Before the first snapshot stale levels may stand on the other side; a new best removes them."""
        book = venue.markets[symbol].book
        bids = [price for price, qty in levels_of(event["b"]) if qty]
        asks = [price for price, qty in levels_of(event["a"]) if qty]
        stale_asks = [p for p in book.asks.prices() if bids and p <= max(bids)]
        stale_bids = [p for p in book.bids.prices() if asks and p >= min(asks)]
        venue.change_depth(symbol, [(p, 0) for p in stale_bids], [(p, 0) for p in stale_asks])

    def _read(self) -> Iterator[tuple[int, str, Any]]:
        opener = gzip.open if self._path.suffix == ".gz" else open
        clock = 0
        with opener(self._path, "rt") as lines:
            for number, line in enumerate(lines, 1):
                _, _, text = line.partition(" ")
                if not text.startswith("{"):
                    continue
                try:
                    message = json.loads(text)
                except ValueError:
                    raise DataError(
                        "a recorded frame is not JSON",
                        where=f"{self._path}:{number}",
                        remedy="cut the damaged end off",
                    ) from None
                event = message.get("data", message)
                symbol = str(event.get("s") or message.get("stream", "").partition("@")[0]).upper()
                if symbol not in self._instruments:
                    if "lastUpdateId" not in event or len(self._instruments) != 1:
                        continue
                    symbol = next(iter(self._instruments))
                clock = int(event.get("E", clock))
                if event.get("X", "MARKET") != "MARKET":
                    continue  # the insurance fund and deleveraging trade beside the book
                if event.get("e") in ("depthUpdate", "trade") or ("lastUpdateId" in event and clock):
                    yield clock, symbol, event


class TradeReplay(_Recorded):
    """Replays trades; the book stands one tick around the last trade with `depth` on each best level."""

    def __init__(self, trades: Sequence[Trades], *, speed: float, depth: int) -> None:
        super().__init__([t.instrument for t in trades], speed)
        self._depth = depth
        self._ticks = {t.instrument.symbol: units_of(t.instrument.tick_size) for t in trades}
        self._events = self._merge(trades)

    def apply(self, venue: Venue, symbol: str, event: tuple[int, int, bool]) -> None:
        """A trade, and the book it leaves behind."""
        price, qty, buyer_is_maker = event
        self._trade(venue, symbol, price, qty, buyer_is_maker)
        tick = self._ticks[symbol]
        bid, ask = (price, price + tick) if buyer_is_maker else (price - tick, price)
        venue.set_depth(symbol, [(bid, self._depth)] if bid > 0 else [], [(ask, self._depth)])

    @staticmethod
    def _merge(trades: Sequence[Trades]) -> Iterator[tuple[int, str, Any]]:
        times = np.concatenate([t.time_ms for t in trades])
        owner = np.concatenate([np.full(len(t.time_ms), i) for i, t in enumerate(trades)])
        row = np.concatenate([np.arange(len(t.time_ms)) for t in trades])
        for at in np.argsort(times, kind="stable"):
            t, i = trades[owner[at]], row[at]
            yield (
                int(times[at]),
                t.instrument.symbol,
                (int(t.price[i]), int(t.qty[i]), bool(t.buyer_is_maker[i])),
            )
