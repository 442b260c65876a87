"""A seeded synthetic market: stochastic volatility, jumps, a moving spread, depth that thins in storms.

Log volatility follows a mean-reverting (Ornstein-Uhlenbeck) path, prices follow it with rare jumps, trades
arrive in bursts that grow with volatility and lean in the direction of the last move (a plain version of
Heston's model with Merton's jumps and Hawkes-like clustering). The same seed gives the same market, whatever
the speed; history before the start is `qtm.market.synthetic`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from qtm.errors import ConfigError
from qtm.market.instruments import Instrument
from qtm.market.intervals import Interval
from qtm.market.schemas import BAR_SCHEMA
from qtm.market.synthetic import synthetic_bars
from qtm.paper.bar_builder import BarBuilder
from qtm.paper.klines import KlineHistory
from qtm.paper.pacing import TURN, PacedFeed
from qtm.paper.venue import Venue
from qtm.paper.wire import E8, units_of

MOMENT_MS = 200
"""Market time between two states of a book."""

_MOMENTS_PER_YEAR = 365 * 86_400_000 / MOMENT_MS
_COLUMNS = list(BAR_SCHEMA)[2:]


@dataclass(frozen=True, slots=True)
class Texture:
    """How the market behaves; rates are per year unless named otherwise."""

    volatility: float = 0.5
    volatility_of_volatility: float = 0.5
    reversion_per_hour: float = 2.0
    jumps_per_day: float = 6.0
    jump_size: float = 0.003
    half_spread_bps: float = 0.5
    levels: int = 20
    depth_quote: float = 50_000.0
    """Quote value of one level in quiet times."""
    trades_per_second: float = 3.0
    trade_quote: float = 600.0
    """Typical quote value of a trade."""


class _SymbolPath:
    """The hidden state of one symbol."""

    def __init__(self, instrument: Instrument, price: float, seed: int, texture: Texture) -> None:
        self.instrument = instrument
        self.texture = texture
        self.rng = np.random.default_rng([seed, *instrument.symbol.encode()])
        self.tick = units_of(instrument.tick_size)
        self.step = units_of(instrument.step_size)
        self.smallest = max(units_of(instrument.min_qty), self.step)
        self.price = price
        self.log_vol = 0.0
        self.excitement = 1.0
        self.last_return = 0.0

    def move(self) -> None:
        """One moment of volatility, price and excitement."""
        t = self.texture
        hours = MOMENT_MS / 3_600_000
        pull = t.reversion_per_hour * hours
        noise = t.volatility_of_volatility * np.sqrt(2 * pull)
        self.log_vol += -pull * self.log_vol + noise * self.rng.standard_normal()
        sigma = t.volatility * np.exp(self.log_vol) / np.sqrt(_MOMENTS_PER_YEAR)
        change = sigma * self.rng.standard_normal()
        if self.rng.random() < t.jumps_per_day * hours / 24:
            change += t.jump_size * self.rng.standard_normal()
            self.excitement += 5.0
        self.last_return = float(change)
        self.price = max(self.price * float(np.exp(change)), 2.0 * self.tick / E8)
        self.excitement = 1.0 + (self.excitement - 1.0) * 0.97 + min(abs(change) / sigma, 5.0) * 0.05

    def depth(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(price, quantity) of bids and asks around the price."""
        t = self.texture
        roughness = float(np.exp(0.5 * self.log_vol))
        half = max(self.price * t.half_spread_bps * 1e-4 * roughness * E8, self.tick / 2)
        centre = self.price * E8
        bid = int((centre - half) // self.tick)
        ask = max(int(-((-centre - half) // self.tick)), bid + 1)
        gaps = np.cumsum(1 + self.rng.geometric(0.4, t.levels)) - 2
        sizes = self.rng.lognormal(0.0, 0.7, (2, t.levels)) * t.depth_quote / roughness / self.price
        quantities = np.maximum((sizes * E8 / self.step).astype(np.int64) * self.step, self.smallest)
        bids = [
            ((bid - int(gap)) * self.tick, int(qty))
            for gap, qty in zip(gaps, quantities[0], strict=True)
            if bid > gap
        ]
        asks = [
            ((ask + int(gap)) * self.tick, int(qty)) for gap, qty in zip(gaps, quantities[1], strict=True)
        ]
        return bids, asks

    def trades(self) -> list[tuple[bool, int]]:
        """(buyer is maker, quantity) of this moment's trades."""
        t = self.texture
        count = int(self.rng.poisson(t.trades_per_second * MOMENT_MS / 1000 * self.excitement))
        lean = 0.5 + 0.35 * float(np.tanh(self.last_return * 5e4))
        sizes = self.rng.lognormal(0.0, 1.2, count) * t.trade_quote / self.price
        buys = self.rng.random(count) < lean
        return [
            (not bool(buy), max(int(size * E8) // self.step * self.step, self.smallest))
            for buy, size in zip(buys, sizes, strict=True)
        ]


class SyntheticFeed(PacedFeed):
    """Drives a venue with a synthetic market of several symbols; a step is one minute.

    Parameters
    ----------
    start_ms
        Market time of the beginning; whole minutes.
    history_minutes
        1m candles before the start that clients may ask for.
    steps
        Minutes to play; None for no end.
    """

    def __init__(
        self,
        instruments: Sequence[Instrument],
        *,
        start_ms: int,
        seed: int,
        speed: float = 1.0,
        history_minutes: int = 1500,
        steps: int | None = None,
        texture: Texture | None = None,
    ) -> None:
        super().__init__(speed)
        if not instruments:
            raise ConfigError("no symbol to trade", where="synthetic market", remedy="name at least one")
        self.start_ms = start_ms // 60_000 * 60_000
        self.steps = steps
        self.steps_done = 0
        self._instruments = {instrument.symbol: instrument for instrument in instruments}
        self._seed = seed
        self._history = history_minutes
        self._texture = texture or Texture()
        self._paths: dict[str, _SymbolPath] = {}
        self._bars: dict[str, BarBuilder] = {}

    @property
    def done(self) -> bool:
        """Whether the last minute has been played."""
        return self.steps is not None and self.steps_done >= self.steps

    def instruments(self) -> Mapping[str, Instrument]:
        """What is traded."""
        return self._instruments

    def status(self) -> dict[str, object]:
        """Progress."""
        return {"market": "synthetic", "bars_published": self.steps_done, "done": self.done}

    def open(self, venue: Venue) -> None:
        """List the symbols with their history and let the books stand."""
        venue.move_clock(self.start_ms)
        for symbol, instrument in self._instruments.items():
            begin = self.start_ms - max(self._history, 1) * 60_000
            frame = synthetic_bars(symbol, Interval.M1, begin, self.start_ms, self._seed)
            times = frame["open_time_ms"].to_numpy()
            values = np.column_stack([frame[name].to_numpy().astype(float) for name in _COLUMNS])
            market = venue.add_market(instrument, KlineHistory("1m", times, values, len(times)))
            price = float(values[-1, 3])
            market.last_price = units_of(price)
            path = self._paths[symbol] = _SymbolPath(instrument, price, self._seed, self._texture)
            self._bars[symbol] = BarBuilder(symbol, "1m", self.start_ms, price)
            venue.set_depth(symbol, *path.depth())

    def moments(self, venue: Venue) -> Iterator[int]:
        """Play one minute."""
        begin = self.start_ms + self.steps_done * 60_000
        for offset in range(MOMENT_MS, 60_000 + MOMENT_MS, MOMENT_MS):
            now = begin + offset
            venue.move_clock(now)
            for symbol, path in self._paths.items():
                self._moment(venue, symbol, path, now)
                yield TURN
            yield now
        self.steps_done += 1

    def _moment(self, venue: Venue, symbol: str, path: _SymbolPath, now: int) -> None:
        builder = self._bars[symbol]
        builder.roll(venue, now)
        path.move()
        book = venue.markets[symbol].book
        for buyer_is_maker, qty in path.trades():
            side = book.bids if buyer_is_maker else book.asks
            best = next(
                ((p, side.levels[p].external) for p in side.prices() if side.levels[p].external), None
            )
            if best is None:
                continue
            price, available = best
            taken = min(qty, available)
            venue.print_trade(symbol, price, taken, buyer_is_maker=buyer_is_maker)
            builder.add(price / E8, taken / E8, buyer_is_maker=buyer_is_maker)
            level = side.levels.get(price)
            left = min(level.external if level is not None else 0, available - taken)
            change = [(price, left)]
            venue.change_depth(symbol, change if buyer_is_maker else [], [] if buyer_is_maker else change)
        venue.set_depth(symbol, *path.depth())
        if now % 2000 == 0:
            builder.publish(venue)
