"""The protective orders of one position: what its plan asks for, and what is out at the venue for it.

The exits follow the engine's rules (`qtm.trading.exits`). At most one protective order is out at a time: a
stop-limit, a resting take-profit, or a pair of both of which one cancels the other. When a level moves, it is
withdrawn and a new one takes its place. A stop that should have closed the position and did not, because the
market had passed it or its limit was jumped, becomes an order to leave at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from qtm.market.instruments import Instrument
from qtm.trading.book import Grid, LargestOrder, grid_of, leaving_lots, limit_price_ticks
from qtm.trading.costs import nearest_ticks, price_of
from qtm.trading.exits import EXITS, STOP, TAKE_PROFIT, disarm, nearest_stop, profit_level, trail_behind
from qtm.trading.orders import OrderIntent, OrderType, Purpose, Side, TimeInForce, protective_order_id


class Levels(NamedTuple):
    """A protective order as whole lots and ticks: signed `lots`, 0 for a price it does not have."""

    lots: int
    limit: int
    stop: int = 0
    take_profit: int = 0


@dataclass(slots=True)
class Out:
    """The protective order that is out.

    `rests` once the venue has confirmed it, `withdrawn` when it is to go; `trades` are its executions.
    """

    intent: OrderIntent
    levels: Levels
    rests: bool = False
    withdrawn: bool = False
    trades: dict[int, Decimal] = field(default_factory=dict)


class Protection:
    """The exits of one strategy's position on one symbol, and the order that stands for them."""

    def __init__(self, strategy: str, instrument: Instrument, band: float, first_sequence: int) -> None:
        self.strategy = strategy
        self.instrument = instrument
        self.grid: Grid = grid_of(instrument)
        self.band = band
        self.first_sequence = first_sequence
        self.memory = np.zeros(1, EXITS)
        self.out: Out | None = None
        self.made = 0

    @property
    def exits(self) -> Any:
        """The record of the exits, one of `EXITS`."""
        return self.memory.view(np.recarray)[0]

    def holds(self, qty: float) -> bool:
        """Whether `qty` base units are a position, and not just what commission left of one."""
        return bool(abs(qty) >= self.grid.step_size)

    def live_through(self, qty: float, high: float, low: float) -> None:
        """Take the exits of a held position through a bar that has closed.

        The position has outlived the bar, so a stop within it was not met: it becomes an order to leave.
        """
        exits = self.exits
        if not exits.armed:
            return
        level, cause = nearest_stop(exits, qty, self.grid.tick_size)
        reached = level > 0.0 and (low <= level if qty > 0.0 else high >= level)
        if reached and self.holds(qty):
            self.leave(cause)
        else:
            trail_behind(exits, qty, high if qty > 0.0 else low)

    def leave(self, cause: int) -> None:
        """From now on the position is closed at the market."""
        if self.exits.leaving == 0:
            self.exits.leaving = cause

    def passed(self, qty: float, close: float) -> None:
        """The venue refused the levels because the market already stands beyond one of them."""
        profit = profit_level(self.exits, qty, self.grid.tick_size)
        beyond = profit > 0.0 and (close >= profit if qty > 0.0 else close <= profit)
        self.leave(TAKE_PROFIT if beyond else STOP)

    def filled(self, qty: float) -> None:
        """The protective order was filled and left `qty`; the exits go with the position.

        What is left is more than a remainder only where the limits had cut the order: the rest follows.
        """
        if self.holds(qty):
            self.leave(STOP)
        else:
            disarm(self.exits)

    def wanted(self, qty: float, close: float, largest: LargestOrder) -> Levels | None:
        """The protective order that a position of `qty` base units should have now.

        No larger than the limits admit; the rest of such a position is looked after at the closes.
        """
        exits, tick = self.exits, self.grid.tick_size
        if not self.holds(qty):
            return None
        side = -1 if qty > 0.0 else 1
        stop, _ = nearest_stop(exits, qty, tick)
        profit = int(nearest_ticks(profit_level(exits, qty, tick), tick))
        if exits.leaving != 0:
            levels = Levels(0, int(limit_price_ticks(side, close, tick, self.band)))
        elif stop > 0.0:
            limit = int(limit_price_ticks(side, stop, tick, self.band))
            levels = Levels(0, limit, int(nearest_ticks(stop, tick)), profit)
        elif profit:
            levels = Levels(0, profit, 0, profit)
        else:
            return None
        limit_price = price_of(levels.limit, tick)
        whole = -np.trunc(qty / self.grid.step_size + np.copysign(1e-9, qty))
        lots = leaving_lots(qty, whole, limit_price, self.grid, largest)
        size = abs(lots) * self.grid.step_size
        if size < self.grid.min_qty * (1 - 1e-12) or size * limit_price < self.grid.min_notional:
            return None
        return levels._replace(lots=int(lots))

    def send(self, levels: Levels, decided_ms: int) -> OrderIntent:
        """The order of `levels`, which is out from now on."""
        one = self.instrument
        kind, in_force = _form_of(levels)
        self.made += 1
        intent = OrderIntent(
            client_order_id=protective_order_id(self.strategy, one.symbol, self.first_sequence + self.made),
            strategy=self.strategy,
            symbol=one.symbol,
            side=Side.BUY if levels.lots > 0 else Side.SELL,
            type=kind,
            qty=one.qty(abs(levels.lots)),
            price=one.price(levels.limit),
            time_in_force=in_force,
            decided_ms=decided_ms,
            reduce_only=True,
            purpose=Purpose.PROTECTION,
            stop_price=one.price(levels.stop) if levels.stop else None,
            take_profit=one.price(levels.take_profit) if levels.stop and levels.take_profit else None,
        )
        self.out = Out(intent, levels)
        return intent

    def snapshot(self) -> dict[str, Any]:
        """The whole memory, for `restore`."""
        return {"exits": self.memory.tobytes(), "out": self.out, "made": self.made}

    def restore(self, held: dict[str, Any]) -> None:
        """Take a snapshot back."""
        self.memory = np.frombuffer(bytearray(held["exits"]), EXITS)
        self.out = held["out"]
        self.made = held["made"]


def _form_of(levels: Levels) -> tuple[OrderType, TimeInForce | None]:
    """Order type and time in force of the order itself, or of a pair's stop."""
    if levels.stop:
        return OrderType.STOP_LOSS_LIMIT, TimeInForce.GTC
    if levels.take_profit:
        return OrderType.LIMIT_MAKER, None
    return OrderType.LIMIT, TimeInForce.IOC
