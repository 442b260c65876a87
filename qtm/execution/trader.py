"""One strategy on one symbol, live: the backtest's bookkeeping, driven by events instead of a loop.

Per closed bar: mark the book, run the compiled step, size the order, all with the functions the engine
compiles. Per report: book the execution the venue names. The whole memory is a block of bytes, so a restart
continues from exactly the state a snapshot held.
"""

from __future__ import annotations

import math
import pickle
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from qtm.errors import StrategyError
from qtm.execution.updates import OrderUpdate
from qtm.market.bars import Bar
from qtm.market.instruments import Instrument
from qtm.risk.rules import halts, mask_of
from qtm.risk.sizing import Sizer, sized_value
from qtm.risk.sizing_view import view_of_bars
from qtm.strategies.contract import StepStrategy
from qtm.trading.book import (
    SIZE_BY_WEIGHT,
    SUB_BOOK,
    UNBOUNDED,
    Account,
    Grid,
    LargestOrder,
    Sizing,
    equity,
    grid_of,
    limit_price_ticks,
    new_sub_book,
    on_complete,
    on_refused,
    on_reported_fill,
    order_lots,
    set_desired,
)
from qtm.trading.costs import nearest_ticks, price_of
from qtm.trading.orders import OrderIntent, OrderStatus, OrderType, Side, TimeInForce, client_order_id


class ClosedBar(NamedTuple):
    """A closed bar as received, prices in quote currency, volume in base units."""

    symbol: str
    open_time_ms: int
    close_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class Signal:
    """What a step answered at a bar's close, and the order it led to, if any."""

    symbol: str
    open_time_ms: int
    target: float
    equity: float
    intent: OrderIntent | None = None
    lots: float = 0.0
    limit_ticks: float = 0.0


@dataclass(frozen=True, slots=True)
class TradingPlan:
    """Everything about a strategy's run on one symbol that does not change.

    Bars opening before `trade_from_ms` only warm the state up. Order ids continue after `first_sequence`.
    `largest_order` is asked at every close what an order that leads out of the position is cut to.
    With a `sizer` a target of 1.0 means the rule's weight, measured on the last `sizer_bars` bars and cut to
    `max_position_value`, instead of `sizing`.
    """

    strategy: StepStrategy
    params: Any
    instrument: Instrument
    cash: float
    sizing: Sizing
    interval_ms: int
    trade_from_ms: int
    band: float = 0.01
    first_sequence: int = 0
    sizer: Sizer | None = None
    sizer_bars: int = 365
    max_position_value: float = math.inf
    largest_order: Callable[[], LargestOrder] = lambda: UNBOUNDED

    @property
    def grid(self) -> Grid:
        """The venue's grid as compiled code takes it."""
        return grid_of(self.instrument)


class SymbolTrader:
    """A strategy's state, sub-book and working order on one symbol."""

    def __init__(self, plan: TradingPlan, snapshot: bytes | None = None) -> None:
        self.plan = plan
        self.grid = plan.grid
        self.state = plan.strategy.new_state()
        self.book = new_sub_book(plan.cash)
        self.last_open_ms = -1
        self.working: OrderIntent | None = None
        self.trades: dict[int, Decimal] = {}
        self.seen: deque[tuple[float, float, float]] = deque(maxlen=plan.sizer_bars if plan.sizer else 0)
        self.peak = plan.cash
        if snapshot is not None:
            self._restore(snapshot)

    def on_bar(self, bar: ClosedBar, *, tradable: bool = True) -> Signal | None:
        """Take one closed bar; returns the signal with its order, or None for a bar already taken.

        No order is made from a bar that is not `tradable` (history caught up after a gap), while the last
        order is still working, or before `trade_from_ms`.
        """
        if bar.open_time_ms <= self.last_open_ms:
            return None
        self.last_open_ms = bar.open_time_ms
        book, close = self.book[0], bar.close
        worth = float(equity(book, close))
        seen = Bar(
            bar.open_time_ms,
            bar.open,
            bar.high,
            bar.low,
            close,
            bar.volume,
            nearest_ticks(close, self.grid.tick_size),
        )
        self.seen.append((bar.high, bar.low, close))
        self.peak = max(self.peak, worth)
        account = Account(float(book["qty"]), float(book["entry_price"]), worth)
        target = self._target(
            self.plan.strategy.compiled_step(self.plan.params, self.state[0], seen, account)
        )
        if bar.open_time_ms < self.plan.trade_from_ms:
            return Signal(bar.symbol, bar.open_time_ms, float("nan"), worth)
        set_desired(book, target)
        if not tradable or self.working is not None:
            return Signal(bar.symbol, bar.open_time_ms, target, worth)
        sizing = self._sizing(worth)
        if math.isnan(sizing.amount):  # the rule does not know enough yet: no order, asked again next bar
            return Signal(bar.symbol, bar.open_time_ms, target, worth)
        lots = order_lots(book, close, sizing, self.grid, self.plan.band, self.plan.largest_order())
        if lots == 0.0:
            return Signal(bar.symbol, bar.open_time_ms, target, worth)
        ticks = limit_price_ticks(1 if lots > 0 else -1, close, self.grid.tick_size, self.plan.band)
        self.working = self._intent(bar, lots, ticks)
        self.trades = {}
        return Signal(bar.symbol, bar.open_time_ms, target, worth, self.working, lots, ticks)

    def _sizing(self, worth: float) -> Sizing:
        """What a target of 1.0 means now."""
        sizer = self.plan.sizer
        if sizer is None:
            return self.plan.sizing
        highs, lows, closes = (np.array(column) for column in zip(*self.seen, strict=True))
        view = view_of_bars(highs, lows, closes, equity=worth, peak_equity=self.peak)
        most = self.plan.max_position_value / (1.0 + self.plan.band)  # the gate judges the limit price
        value = sized_value(sizer, view, 1.0, most)
        return Sizing(SIZE_BY_WEIGHT, value / worth if worth > 0.0 else math.nan)

    def on_report(self, report: OrderUpdate) -> None:
        """Book what a report on the working order adds; reports on other orders are old news."""
        order = self.working
        if order is None or report.client_order_id != order.client_order_id:
            return
        instrument = self.plan.instrument
        for fill in report.fills:
            if fill.trade_id in self.trades:
                continue
            self.trades[fill.trade_id] = fill.qty
            lots = float(fill.side.sign * instrument.lots(fill.qty))
            price = price_of(float(instrument.ticks(fill.price)), self.grid.tick_size)
            fee_base = float(fill.fee) if fill.fee_asset == instrument.base else 0.0
            fee_quote = float(fill.fee) if fill.fee_asset == instrument.quote else 0.0
            on_reported_fill(self.book[0], lots, price, fee_base, fee_quote, self.grid)
        if report.status.is_terminal and sum(self.trades.values(), Decimal(0)) >= report.executed_qty:
            if report.status is OrderStatus.FILLED:
                on_complete(self.book[0])
            elif report.status is OrderStatus.REJECTED:
                on_refused(self.book[0], self._working_lots(), self.grid, False)
            self.working = None

    def on_gate_refusal(self, order_id: str, controls: tuple[str, ...]) -> None:
        """The gate stopped the working order by these controls; see `qtm.trading.book.on_refused`."""
        if self.working is not None and self.working.client_order_id == order_id:
            on_refused(self.book[0], self._working_lots(), self.grid, halts(mask_of(controls)))
            self.working = None

    def _working_lots(self) -> float:
        """Signed lots of the working order."""
        order = self.working
        return 0.0 if order is None else float(order.side.sign * self.plan.instrument.lots(order.qty))

    def snapshot(self) -> bytes:
        """The whole memory, for `SymbolTrader(plan, snapshot)`."""
        return pickle.dumps(
            {
                "strategy": (self.plan.strategy.name, self.plan.strategy.version),
                "state": self.state.tobytes(),
                "book": self.book.tobytes(),
                "last_open_ms": self.last_open_ms,
                "working": self.working,
                "trades": self.trades,
                "seen": list(self.seen),
                "peak": self.peak,
            }
        )

    def _restore(self, snapshot: bytes) -> None:
        """Take a snapshot back; it comes from our own recovery store, never from outside."""
        held = pickle.loads(snapshot)
        strategy = self.plan.strategy
        if held["strategy"] != (strategy.name, strategy.version):
            raise StrategyError(
                f"the snapshot is of {held['strategy'][0]} version {held['strategy'][1]}",
                where=f"strategy {strategy.name} version {strategy.version}",
                remedy="start a new run: a state is only continued by the code that made it",
            )
        self.state = np.frombuffer(bytearray(held["state"]), strategy.state_dtype)
        self.book = np.frombuffer(bytearray(held["book"]), SUB_BOOK)
        self.last_open_ms = held["last_open_ms"]
        self.working = held["working"]
        self.trades = held["trades"]
        self.seen.extend(held["seen"])
        self.peak = held["peak"]

    def _target(self, answer: Any) -> float:
        """The target in a step's answer; exits inside the bar are not traded live, so they are refused."""
        if isinstance(answer, float):
            return answer
        target, *exits = answer
        if any(level == level for level in exits):
            raise StrategyError(
                "the strategy sets a stop, a take-profit or a trail, which the stream does not carry",
                where=f"strategy {self.plan.strategy.name}",
                remedy="return targets only, or run it in the backtest",
            )
        return float(target)

    def _intent(self, bar: ClosedBar, lots: float, ticks: float) -> OrderIntent:
        plan = self.plan
        sequence = plan.first_sequence + int(self.book[0]["orders"])
        return OrderIntent(
            client_order_id=client_order_id(plan.strategy.name, bar.symbol, sequence),
            strategy=plan.strategy.name,
            symbol=bar.symbol,
            side=Side.BUY if lots > 0 else Side.SELL,
            type=OrderType.LIMIT,
            qty=plan.instrument.qty(int(abs(lots))),
            price=plan.instrument.price(int(ticks)),
            time_in_force=TimeInForce.IOC,
            decided_ms=bar.open_time_ms + plan.interval_ms,
        )
