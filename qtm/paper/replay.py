"""A market replayed from bars, with semantics the backtest engine shares.

Before the closed candle of bar i is announced, the book already stands at the open of bar i+1: best ask and
bid are `taker_price_ticks(+1/-1, open[i+1], tick, slippage_bps)`. An order sent in reaction to the close
therefore fills at the engine's next-open price. Inside a bar the tape walks open, then low and high (high and
low for a falling bar), then close; resting orders fill only when that walk trades through them. Stop orders
within the bar's range come first, right after its open, each while the book stands at its own trigger price:
what hurts is assumed to happen before what helps, as in the engine. After the last bar the book is empty,
because no next open exists.

With `participation` in the cost model the book shows that share of the bar's volume, at one price, and
resting orders get that share of each print: nobody takes more than the engine would let him. Without it
there is no bound, as there is none in the engine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qtm.errors import ConfigError, DataError
from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument
from qtm.paper.klines import Kline, KlineHistory
from qtm.paper.pacing import STEP, TURN, PacedFeed
from qtm.paper.venue import Venue
from qtm.paper.wire import E8, units_of
from qtm.trading.costs import CostModel, fillable_lots, numbers_of, taker_price_ticks

Level = tuple[int, int]
"""Price and quantity, in 1e-8 units."""


@dataclass(frozen=True)
class ReplayBars:
    """The bars of one symbol: `values` as in `KlineHistory`; the first `history` rows are the past."""

    instrument: Instrument
    interval: str
    interval_ms: int
    times: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    history: int

    @classmethod
    def from_series(
        cls, instrument: Instrument, bars: BarSeries, *, start_ms: int | None = None
    ) -> ReplayBars:
        """Take a `BarSeries`; bars that open before `start_ms` are served as history.

        Quote volume is approximated by volume times the mean of the four prices, as a bar without trades
        cannot tell.
        """
        if len(bars) == 0:
            raise DataError("no bars to replay", where=bars.symbol, remedy="ingest the period first")
        typical = (bars.open + bars.high + bars.low + bars.close) / 4
        zero = np.zeros(len(bars))
        values = np.column_stack(
            [bars.open, bars.high, bars.low, bars.close, bars.volume, bars.volume * typical, zero, zero, zero]
        )
        history = 0 if start_ms is None else int(np.searchsorted(bars.open_time_ms, start_ms))
        return cls(instrument, bars.interval.value, bars.interval.ms, bars.open_time_ms, values, history)

    def bar(self, row: int) -> Kline:
        """Row `row` as a candle."""
        v = self.values[row].tolist()
        return Kline(int(self.times[row]), v[0], v[1], v[2], v[3], v[4], v[5], int(v[6]), v[7], v[8])


class BarReplay(PacedFeed):
    """Drives a venue through bars of several symbols on one timeline.

    Parameters
    ----------
    bars
        One entry per symbol, all of one interval.
    costs
        Supplies the slippage that the book's spread stands for, and the participation that bounds its depth.
    speed
        Market seconds per second of wall time; `MAX` for no pause, `STEP` to move by `advance` only.
    depth_levels
        Levels shown beyond the best on each side.
    """

    def __init__(
        self, bars: Sequence[ReplayBars], *, costs: CostModel, speed: float = STEP, depth_levels: int = 10
    ) -> None:
        super().__init__(speed)
        intervals = {b.interval for b in bars}
        if len(intervals) != 1:
            raise ConfigError(
                "a replay needs bars of one interval",
                where=", ".join(sorted(intervals)) or "no symbol",
                remedy="choose one interval and at least one symbol",
            )
        self.bars = {b.instrument.symbol: b for b in bars}
        self.costs = numbers_of(costs)
        self.depth_levels = depth_levels
        self.interval_ms = bars[0].interval_ms
        self.timeline = np.unique(np.concatenate([b.times[b.history :] for b in bars]))
        if len(self.timeline) == 0:
            raise DataError("no bars at or after the start", remedy="choose an earlier start")
        self.steps_done = 0
        self.klines_published = 0
        self._row = {symbol: b.history for symbol, b in self.bars.items()}

    @property
    def done(self) -> bool:
        """Whether the last bar has been published."""
        return self.steps_done >= len(self.timeline)

    def instruments(self) -> Mapping[str, Instrument]:
        """What is traded."""
        return {symbol: b.instrument for symbol, b in self.bars.items()}

    def open(self, venue: Venue) -> None:
        """List the symbols, load the history and let every book stand at its first open."""
        for b in self.bars.values():
            venue.add_market(b.instrument, KlineHistory(b.interval, b.times, b.values, b.history, given=True))
        venue.move_clock(int(self.timeline[0]))
        for symbol, b in self.bars.items():
            market = venue.markets[symbol]
            row = self._row[symbol]
            before = b.values[row - 1, 3] if row else b.values[row, 0]
            market.last_price = units_of(float(before))
            if row < len(b.times):
                self._stand(venue, symbol, float(b.values[row, 0]), float(b.values[row, 4]))

    def status(self) -> dict[str, object]:
        """Progress of the replay."""
        return {
            "market": "replay",
            "bars_published": self.steps_done,
            "bars_total": len(self.timeline),
            "klines_published": self.klines_published,
            "done": self.done,
        }

    def moments(self, venue: Venue) -> Iterator[int]:
        """Make one timeline step happen, moment by moment; yields the market time of each moment."""
        start = int(self.timeline[self.steps_done])
        active = self._active()
        bars = {symbol: self.bars[symbol].bar(self._row[symbol]) for symbol in active}
        for quarter in range(4):
            venue.move_clock(start + quarter * self.interval_ms // 4)
            for symbol, bar in bars.items():
                self._point(venue, symbol, bar, quarter)
                yield TURN
                if quarter == 0:
                    self._stops(venue, symbol, bar)
                    yield TURN
            yield venue.clock.now_ms()
        self.steps_done += 1
        close = start + self.interval_ms
        venue.move_clock(close)
        upcoming: dict[str, int | None] = {}
        for symbol in active:
            self._row[symbol] += 1
            upcoming[symbol] = self._stand_at_open(venue, symbol)
            yield TURN
        for symbol, bar in bars.items():
            venue.close_bar(symbol, bar, upcoming[symbol])
            self.klines_published += 1
            yield TURN
        yield close

    def _active(self) -> list[str]:
        now = self.timeline[self.steps_done]
        return [
            symbol
            for symbol, b in self.bars.items()
            if self._row[symbol] < len(b.times) and b.times[self._row[symbol]] == now
        ]

    def _stand_at_open(self, venue: Venue, symbol: str) -> int | None:
        """Let the book stand at the symbol's next open; withdraw it when there is none."""
        b, row = self.bars[symbol], self._row[symbol]
        if row >= len(b.times):
            venue.set_depth(symbol, (), ())
            return None
        opening = float(b.values[row, 0])
        venue.stand_at(symbol, units_of(opening), *self._depth(symbol, opening, float(b.values[row, 4])))
        return int(b.times[row])

    def _stand(self, venue: Venue, symbol: str, price: float, volume: float) -> None:
        """Put the market's depth around `price`."""
        venue.set_depth(symbol, *self._depth(symbol, price, volume))

    def _depth(self, symbol: str, price: float, volume: float) -> tuple[list[Level], list[Level]]:
        """Bids and asks around `price`, deep enough for what the filters and the costs allow."""
        instrument = self.bars[symbol].instrument
        tick, size = units_of(instrument.tick_size), float(instrument.tick_size)
        depth = self._deep(instrument)
        ask = int(taker_price_ticks(+1, price, size, self.costs.slippage_bps))
        bid = int(taker_price_ticks(-1, price, size, self.costs.slippage_bps))
        gap = max(1, (ask - bid) // 2)
        share = self._share(instrument, volume)
        if share is not None:
            return (
                [(bid * tick, share)] if share and bid > 0 else [],
                [(ask * tick, share)] if share else [],
            )
        return (
            [((bid - i * gap) * tick, depth) for i in range(self.depth_levels) if bid > i * gap],
            [((ask + i * gap) * tick, depth) for i in range(self.depth_levels)],
        )

    @staticmethod
    def _deep(instrument: Instrument) -> int:
        """More than any one order may ask for."""
        return units_of(instrument.max_qty) or 10**6 * E8

    def _reach(self, symbol: str, volume: float) -> int:
        """What resting orders may take of a print."""
        instrument = self.bars[symbol].instrument
        share = self._share(instrument, volume)
        return self._deep(instrument) if share is None else share

    def _share(self, instrument: Instrument, volume: float) -> int | None:
        """What one order may take of `volume`, in 1e-8 units and whole lots; None without a bound."""
        if self.costs.participation <= 0:
            return None
        most = fillable_lots(float("inf"), volume, float(instrument.step_size), self.costs)
        return int(most) * units_of(instrument.step_size)

    def _stops(self, venue: Venue, symbol: str, bar: Kline) -> None:
        """Let the stops that the bar reaches fire, those nearest to its open first."""
        low, high, opened = units_of(bar.low), units_of(bar.high), units_of(bar.open)
        reached = {
            price for price, above in venue.stop_prices(symbol) if (price <= high if above else price >= low)
        }
        for price in sorted(reached, key=lambda price: abs(price - opened)):
            self._stand(venue, symbol, price / E8, bar.volume)
            venue.pass_by(symbol, price)

    def _point(self, venue: Venue, symbol: str, bar: Kline, quarter: int) -> None:
        """One of the four points of a bar's walk: the book follows, a quarter of the volume trades."""
        rising = bar.close >= bar.open
        path = (
            (bar.open, bar.low, bar.high, bar.close) if rising else (bar.open, bar.high, bar.low, bar.close)
        )
        price = path[quarter]
        before = path[quarter - 1] if quarter else price
        self._stand(venue, symbol, price, bar.volume)
        quantity = units_of(f"{bar.volume / 4:.8f}")
        if quantity > 0:
            venue.print_trade(
                symbol,
                units_of(price),
                quantity,
                buyer_is_maker=price < before,
                strict=True,
                reaching=self._reach(symbol, bar.volume / 4),
            )
        share = (quarter + 1) / 4
        seen = path[: quarter + 1]
        venue.set_forming(
            symbol,
            Kline(
                bar.open_ms,
                bar.open,
                max(seen),
                min(seen),
                price,
                bar.volume * share,
                bar.quote_volume * share,
                int(bar.trades * share),
                bar.taker_base * share,
                bar.taker_quote * share,
            ),
        )
