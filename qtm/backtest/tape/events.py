"""The tape: everything that happened on a market, in time order, in whole ticks and lots.

Three kinds of market become a tape: trades alone, trades with depth (see `recorded`), and bars. Funding
payments and mark prices are merged in by time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.clock import iso_utc
from qtm.errors import DataError
from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument
from qtm.market.intervals import Interval

BUY_TRADE, SELL_TRADE, BID, ASK, BEST_BID, BEST_ASK, CLEAR, BAR_ROW, MARK, FUNDING = range(10)
"""A trade by its aggressor; a level set to a quantity; the best level set; all levels forgotten; row `ticks`
of the bars; the mark price; a funding payment with its rate (1e-8) in `lots` and the mark, if known, in
`ticks`."""

TAPE_EVENT = np.dtype([("ts_ns", "i8"), ("ticks", "i8"), ("lots", "i8"), ("kind", "i8")], align=True)

TAPE_BAR = np.dtype(
    [
        ("close_ns", "i8"),
        ("open", "i8"),
        ("high", "i8"),
        ("low", "i8"),
        ("close", "i8"),
        ("volume", "i8"),
    ],
    align=True,
)
"""A bar in ticks and lots; `close_ns` is its last millisecond, as Binance names it."""

_PRICES_AND_VOLUME = ("open", "high", "low", "close", "volume")
GRID_BAR = np.dtype([(name, "i8") for name in _PRICES_AND_VOLUME], align=True)

TRADES = "trades"
"""Stands for an interval where every trade is known."""

NO_DEPTH, TOP_OF_BOOK, FULL_DEPTH = 0, 1, 2

_NS = 1_000_000
_PART = 1 << 20


@dataclass(frozen=True)
class Standing:
    """Where a market stands before the first event of a tape.

    `values` are its fields of the desk, `levels` its book from tick `base_ticks` on (as in a run's memory).
    """

    values: Mapping[str, float]
    levels: npt.NDArray[np.int64]
    base_ticks: int


@dataclass(frozen=True)
class Tape:
    """The events of one symbol.

    Attributes
    ----------
    events
        Shape (N,) of `TAPE_EVENT`, times not decreasing.
    bars
        Shape (B,) of `TAPE_BAR`: what `BAR_ROW` events point at; empty for a tape of trades.
    depth
        `NO_DEPTH`, `TOP_OF_BOOK` or `FULL_DEPTH`: what is known of the book.
    interval
        The grid equity is sampled on; the bars' own interval for a tape of bars.
    start_ns, end_ns
        The span, half open, on that grid.
    funding
        Digest of the funding whose payments are among the events; None when none are.
    marked
        Whether mark prices are among the events.
    standing
        Where the market stands before them, for a tape that was cut out of a longer one (`windows`).
    """

    symbol: str
    events: npt.NDArray[np.void]
    bars: npt.NDArray[np.void]
    depth: int
    interval: Interval
    start_ns: int
    end_ns: int
    funding: str | None = None
    marked: bool = False
    standing: Standing | None = None

    def __len__(self) -> int:
        return len(self.events)

    @property
    def funded(self) -> bool:
        """Whether funding payments are among the events."""
        return self.funding is not None

    @property
    def of_bars(self) -> bool:
        """True when the market is known by its bars only."""
        return len(self.bars) > 0

    @property
    def resolution(self) -> str:
        """How closely the market is known: the bars' interval, or `trades`."""
        return str(self.interval) if self.of_bars else TRADES

    @cached_property
    def price_range(self) -> tuple[int, int]:
        """Lowest and highest tick at which a book can matter: around all trades and best levels."""
        if self.of_bars:
            return 0, 0
        low, high = self._span_of(BUY_TRADE, SELL_TRADE, BEST_BID, BEST_ASK)
        if high == 0:
            low, high = self._span_of(BID, ASK)
        reach = max(4096, high - low, high // 50)
        return max(1, low - reach), high + reach

    @cached_property
    def on_grid(self) -> npt.NDArray[np.void]:
        """Prices in ticks and volume in lots on the tape's grid, shape (T,) of `GRID_BAR`.

        An interval without a trade stands at the last price; those before the first one where the market
        stood before the tape, or else at its price.
        """
        step_ns = self.interval.ms * _NS
        grid = np.zeros((self.end_ns - self.start_ns) // step_ns, GRID_BAR)
        if self.of_bars:
            rows = self.events[self.events["kind"] == BAR_ROW]
            at = (rows["ts_ns"] - self.start_ns) // step_ns
            for name in _PRICES_AND_VOLUME:
                grid[name][at] = self.bars[name][rows["ticks"]]
        else:
            for part in self.parts():
                trades = part[(part["kind"] == BUY_TRADE) | (part["kind"] == SELL_TRADE)]
                if len(trades):
                    _add_to_grid(grid, (trades["ts_ns"] - self.start_ns) // step_ns, trades)
        empty = grid["close"] == 0
        seen = np.maximum.accumulate(np.where(empty, 0, np.arange(len(grid))))
        known = self.standing
        opened = grid["open"][np.argmin(empty)] if known is None else known.values["last_ticks"]
        stands = np.where(empty[seen], opened, grid["close"][seen])
        for name in ("open", "high", "low", "close"):
            grid[name][empty] = stands[empty]
        return grid

    def parts(self, *, backwards: bool = False) -> Iterator[npt.NDArray[np.void]]:
        """The events a part at a time: what looks at all of a mapped tape holds no more of it than that."""
        begins = range(0, len(self.events), _PART)
        for begin in reversed(begins) if backwards else begins:
            yield self.events[begin : begin + _PART]

    def _span_of(self, *kinds: int) -> tuple[int, int]:
        """Lowest and highest tick among events of these kinds, zeros without one."""
        low, high = 0, 0
        for part in self.parts():
            ticks = part["ticks"][np.isin(part["kind"], kinds)]
            if ticks.size:
                low = min(low or int(ticks.min()), int(ticks.min()))
                high = max(high, int(ticks.max()))
        return low, high

    def split(self, at_ns: int) -> tuple[Tape, Tape]:
        """The tape before and from `at_ns` on, a moment on its grid."""
        step = self.interval.ms * _NS
        if at_ns % step or not self.start_ns < at_ns < self.end_ns:
            raise DataError("a tape is cut inside its span and on its grid", where=iso_utc(at_ns // _NS))
        cut = int(np.searchsorted(self.events["ts_ns"], at_ns))
        parts = (
            (self.events[:cut], self.start_ns, at_ns, self.standing),
            (self.events[cut:], at_ns, self.end_ns, None),
        )
        first, second = (
            dataclasses.replace(self, events=events, start_ns=start, end_ns=end, standing=standing)
            for events, start, end, standing in parts
        )
        if not self.of_bars:  # both keep the levels the whole would keep
            first.__dict__["price_range"] = second.__dict__["price_range"] = self.price_range
        return first, second


def make_tape(
    symbol: str,
    events: npt.NDArray[np.void],
    *,
    depth: int,
    interval: Interval,
    bars: npt.NDArray[np.void] | None = None,
    end_ns: int | None = None,
) -> Tape:
    """A tape of events that are in time order already.

    Raises
    ------
    DataError
        Naming the first event out of order, or one without a positive price or quantity.
    """
    if len(events) == 0:
        raise DataError("the tape is empty", where=symbol, remedy="widen the dates or ingest the trades")
    check_events(events, symbol)
    step = interval.ms * _NS
    first, last = int(events["ts_ns"][0]), int(events["ts_ns"][-1])
    return Tape(
        symbol=symbol,
        events=np.ascontiguousarray(events),
        bars=np.empty(0, TAPE_BAR) if bars is None else bars,
        depth=depth,
        interval=interval,
        start_ns=first // step * step,
        end_ns=max(end_ns or 0, last // step * step + step),
    )


def check_events(events: npt.NDArray[np.void], symbol: str) -> None:
    """Raise DataError naming the first event out of order, or without a positive price or quantity."""
    times = events["ts_ns"]
    backwards = np.flatnonzero(times[1:] < times[:-1])
    if backwards.size:
        at = int(times[backwards[0] + 1])
        raise DataError("the tape goes back in time", where=f"{symbol} {iso_utc(at // _NS)}")
    trade = (events["kind"] == BUY_TRADE) | (events["kind"] == SELL_TRADE)
    bad = np.flatnonzero(
        (trade & ((events["ticks"] <= 0) | (events["lots"] <= 0)))
        | (np.isin(events["kind"], (BID, ASK, BEST_BID, BEST_ASK)) & (events["ticks"] <= 0))
    )
    if bad.size:
        raise DataError(
            "an event has no positive price or quantity on the instrument's grid",
            where=f"{symbol} {iso_utc(int(times[bad[0]]) // _NS)}",
            remedy="check that the instrument's filters belong to this period",
        )


def tape_of_trades(frame: pl.DataFrame, instrument: Instrument, *, interval: Interval = Interval.M1) -> Tape:
    """A tape of one symbol's trades: rows of `qtm.market.schemas.TRADE_SCHEMA`, sorted by time and id."""
    return make_tape(
        instrument.symbol, events_of_trades(frame, instrument), depth=NO_DEPTH, interval=interval
    )


def events_of_trades(frame: pl.DataFrame, instrument: Instrument) -> npt.NDArray[np.void]:
    """The events of the trades of one symbol."""
    events = np.zeros(len(frame), TAPE_EVENT)
    events["ts_ns"] = frame["time_ms"].to_numpy() * _NS
    events["ticks"] = to_grid(frame["price"].to_numpy(), float(instrument.tick_size))
    events["lots"] = to_grid(frame["qty"].to_numpy(), float(instrument.step_size))
    events["kind"] = np.where(frame["buyer_is_maker"].to_numpy(), SELL_TRADE, BUY_TRADE)
    return events


def tape_of_bars(series: BarSeries, instrument: Instrument) -> Tape:
    """A tape of bars: one event a bar, at its open."""
    tick = float(instrument.tick_size)
    bars = np.zeros(len(series), TAPE_BAR)
    bars["close_ns"] = (series.open_time_ms + series.interval.ms - 1) * _NS
    for name in ("open", "high", "low", "close"):
        bars[name] = to_grid(getattr(series, name), tick)
    bars["volume"] = np.floor(series.volume / float(instrument.step_size) + 1e-9).astype(np.int64)
    broken = np.flatnonzero(
        (bars["low"] <= 0)
        | (bars["low"] > np.minimum(bars["open"], bars["close"]))
        | (bars["high"] < np.maximum(bars["open"], bars["close"]))
    )
    if broken.size:
        raise DataError(
            "a bar's low is not its lowest or its high not its highest price",
            where=f"{series.symbol} {iso_utc(int(series.open_time_ms[broken[0]]))}",
            remedy="run the quality checks on this period",
        )
    events = np.zeros(len(series), TAPE_EVENT)
    events["ts_ns"] = series.open_time_ms * _NS
    events["ticks"] = np.arange(len(series))
    events["lots"] = 1
    events["kind"] = BAR_ROW
    return make_tape(series.symbol, events, depth=NO_DEPTH, interval=series.interval, bars=bars)


def merge(tape: Tape, *others: npt.NDArray[np.void]) -> Tape:
    """The tape with further events (funding, marks); among equal times the additions come first."""
    inside = merged(tape.events, *others)
    kept = inside[(inside["ts_ns"] >= tape.start_ns) & (inside["ts_ns"] < tape.end_ns)]
    return dataclasses.replace(tape, events=kept)


def merged(events: npt.NDArray[np.void], *others: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Events of several sources in the order of time; among equal times `events` come last."""
    every = np.concatenate([*others, events])
    return every[np.argsort(every["ts_ns"], kind="stable")]


def timed_events(
    ts_ns: npt.NDArray[np.int64], kind: int, ticks: npt.ArrayLike, lots: npt.ArrayLike
) -> npt.NDArray[np.void]:
    """Events of one kind."""
    events = np.zeros(len(ts_ns), TAPE_EVENT)
    events["ts_ns"], events["kind"], events["ticks"], events["lots"] = ts_ns, kind, ticks, lots
    return events


def _add_to_grid(
    grid: npt.NDArray[np.void], which: npt.NDArray[np.int64], trades: npt.NDArray[np.void]
) -> None:
    """Add trades to the intervals of a grid they fall into; `which` does not decrease."""
    first = np.flatnonzero(np.append(True, which[1:] != which[:-1]))
    last = np.append(first[1:], len(which)) - 1
    at, ticks = which[first], trades["ticks"]
    begun = grid["open"][at] != 0
    grid["open"][at] = np.where(begun, grid["open"][at], ticks[first])
    grid["close"][at] = ticks[last]
    grid["high"][at] = np.maximum(grid["high"][at], np.maximum.reduceat(ticks, first))
    low = np.minimum.reduceat(ticks, first)
    grid["low"][at] = np.where(begun, np.minimum(grid["low"][at], low), low)
    grid["volume"][at] += np.add.reduceat(trades["lots"], first)


def to_grid(values: npt.NDArray[np.float64], step: float) -> npt.NDArray[np.int64]:
    """Values in whole steps, the nearest."""
    return np.rint(values / step).astype(np.int64)
