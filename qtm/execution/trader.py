"""One strategy on one symbol, live: the backtest's bookkeeping, driven by events instead of a loop.

Per closed bar: mark the book, run the compiled step, size the order, all with the functions the engine
compiles. Per report: book the execution the venue names. At most one order is out: one towards the target, or
a protective one. While a position is protected, an order towards another target waits until the protective
order is withdrawn, and what is left of the position is protected anew when it is over. The whole memory is a
block of bytes, so a restart continues from exactly the state a snapshot held.
"""

from __future__ import annotations

import pickle
from collections import deque
from decimal import Decimal
from typing import Any

import numpy as np

from qtm.errors import StrategyError
from qtm.execution.protection import Out, Protection
from qtm.execution.signals import Cancel, ClosedBar, Decided, Request, Signal
from qtm.execution.trading_plan import TradingPlan as TradingPlan
from qtm.execution.updates import OrderUpdate
from qtm.market.bars import Bar
from qtm.risk.rules import halts, mask_of
from qtm.risk.sized_targets import SizingBars, sized_target
from qtm.risk.sizing import UNSIZED
from qtm.risk.sizing_view import scratch_for
from qtm.trading.book import (
    SUB_BOOK,
    Account,
    Sizing,
    equity,
    limit_price_ticks,
    new_sub_book,
    on_complete,
    on_exit,
    on_refused,
    on_reported_fill,
    order_lots,
    set_desired,
)
from qtm.trading.costs import nearest_ticks, price_of
from qtm.trading.exits import take_over, trail_behind
from qtm.trading.orders import OrderIntent, OrderStatus, OrderType, Side, TimeInForce, client_order_id
from qtm.trading.plan import Plan


class SymbolTrader:
    """A strategy's state, sub-book, working order and protection on one symbol."""

    def __init__(self, plan: TradingPlan, snapshot: bytes | None = None) -> None:
        self.plan = plan
        self.grid = plan.grid
        self.state = plan.strategy.new_state()
        self.book = new_sub_book(plan.cash)
        self.last_open_ms = -1
        self.working: OrderIntent | None = None
        self.trades: dict[int, Decimal] = {}
        self.guard = Protection(plan.strategy.name, plan.instrument, plan.band, plan.first_sequence)
        self.decided: Decided | None = None
        self.requests: list[Request | Cancel] = []
        self.seen: deque[tuple[float, float, float]] = deque(maxlen=plan.rule.window)
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
        self.guard.live_through(float(book["qty"]), bar.high, bar.low)
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
        answer = self.plan.strategy.compiled_step(self.plan.params, self.state[0], seen, account)
        if bar.open_time_ms < self.plan.trade_from_ms:
            return Signal(bar.symbol, bar.open_time_ms, float("nan"), worth)
        target = self._take_over(answer)
        self.decided = Decided(bar.open_time_ms, close, target, worth)
        before = self.working
        if tradable:
            self._act()
        new = self.working if self.working is not before else None
        return Signal(bar.symbol, bar.open_time_ms, target, worth, new)

    def take_requests(self) -> list[Request | Cancel]:
        """What is to be sent and cancelled since this was last asked, in order."""
        taken, self.requests = self.requests, []
        return taken

    def _take_over(self, answer: Any) -> float:
        """Record a step's answer: its target, which is returned, and its exits if it has any."""
        if isinstance(answer, float):
            set_desired(self.book[0], answer)
            return answer
        plan = Plan(*(float(level) for level in answer))
        set_desired(self.book[0], plan.target)
        take_over(self.guard.exits, plan)
        return plan.target

    def _act(self) -> None:
        """Go from the last decision to what must be out: an order towards the target, or a protective one."""
        decided, book = self.decided, self.book
        if decided is None or self.working is not None:
            return
        sizing = self._sizing(decided.equity)
        order = (decided.close, sizing, self.grid, self.plan.band, self.plan.largest_order())
        if self.guard.out is not None and order_lots(book.copy()[0], *order) != 0.0:
            self._withdraw()
            return
        lots = order_lots(book[0], *order)
        if lots != 0.0:
            self._send(decided, lots)
            return
        self._protect()

    def _send(self, decided: Decided, lots: float) -> None:
        """Ask for an order of `lots` towards the target."""
        side = 1 if lots > 0 else -1
        ticks = limit_price_ticks(side, decided.close, self.grid.tick_size, self.plan.band)
        self.working = self._intent(decided.open_time_ms, lots, ticks)
        self.trades = {}
        inputs = {**self._inputs(decided), "lots": lots, "limit_ticks": ticks}
        self.requests.append(Request(self.working, inputs))

    def _protect(self) -> None:
        """Let exactly the protective order be out that the position should have."""
        guard, decided = self.guard, self.decided
        if decided is None or self.working is not None:
            return
        wanted = guard.wanted(float(self.book["qty"][0]), decided.close, self.plan.largest_order())
        if guard.out is not None:
            if guard.out.levels != wanted:
                self._withdraw()
        elif wanted is not None:
            intent = guard.send(wanted, decided.open_time_ms + self.plan.interval_ms)
            exits = {name: float(guard.exits[name]) for name in ("stop", "take_profit", "trail_level")}
            self.requests.append(Request(intent, {**self._inputs(decided), **exits}))

    def _withdraw(self) -> None:
        """Cancel the protective order: at once if it rests, else as soon as the venue has it."""
        out = self.guard.out
        if out is not None and not out.withdrawn and out.intent.time_in_force is not TimeInForce.IOC:
            out.withdrawn = True
            if out.rests:
                self.requests.append(Cancel(out.intent))

    def _inputs(self, decided: Decided) -> dict[str, Any]:
        """What the record of a decision says led to the order."""
        return {
            "bar": decided.open_time_ms,
            "close": str(self.plan.instrument.price(int(nearest_ticks(decided.close, self.grid.tick_size)))),
            "target": decided.target.hex(),
            "book_equity": decided.equity.hex(),
        }

    def _sizing(self, worth: float) -> Sizing:
        """What a target of 1.0 means now."""
        rule = self.plan.rule
        if rule.kind == UNSIZED:
            return self.plan.sizing
        highs, lows, closes = (np.array(column)[:, None] for column in zip(*self.seen, strict=True))
        stop = float(self.guard.exits["stop"])
        most = self.plan.max_position_value / (1.0 + self.plan.band)  # the gate judges the limit price
        seen = SizingBars(highs, lows, closes, 0, scratch_for(rule.window))
        found = sized_target(Sizing(), rule, seen, 0, len(closes) - 1, worth, self.peak, stop, most)
        return Sizing(*found)

    def on_report(self, report: OrderUpdate) -> None:
        """Book what a report on an order that is out adds; reports on other orders are old news."""
        order, out = self.working, self.guard.out
        if order is not None and report.client_order_id == order.client_order_id:
            if self._booked(report, self.trades):
                self.working = None
                if report.status is OrderStatus.FILLED:
                    on_complete(self.book[0])
                elif report.status is OrderStatus.REJECTED:
                    on_refused(self.book[0], self._lots_of(order), self.grid, False)
                self._protect()
        elif out is not None and report.client_order_id == out.intent.client_order_id:
            if self._booked(report, out.trades):
                self._protection_over(out, report)
            elif report.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED) and not out.rests:
                out.rests = True
                if out.withdrawn:
                    self.requests.append(Cancel(out.intent))

    def _booked(self, report: OrderUpdate, trades: dict[int, Decimal]) -> bool:
        """Book the executions not among `trades` yet; whether the order is finished and all of it known."""
        instrument, book = self.plan.instrument, self.book[0]
        for fill in report.fills:
            if fill.trade_id in trades:
                continue
            trades[fill.trade_id] = fill.qty
            lots = float(fill.side.sign * instrument.lots(fill.qty))
            price = price_of(float(instrument.ticks(fill.price)), self.grid.tick_size)
            fee_base = float(fill.fee) if fill.fee_asset == instrument.base else 0.0
            fee_quote = float(fill.fee) if fill.fee_asset == instrument.quote else 0.0
            on_reported_fill(book, lots, price, fee_base, fee_quote, self.grid)
            if trades is self.trades and self.guard.exits.armed:
                trail_behind(self.guard.exits, float(book["qty"]), price)
        return report.status.is_terminal and sum(trades.values(), Decimal(0)) >= report.executed_qty

    def _protection_over(self, out: Out, report: OrderUpdate) -> None:
        """The protective order has gone: filled, withdrawn for another order, or not taken by the venue."""
        self.guard.out = None
        qty = float(self.book["qty"][0])
        if report.status is OrderStatus.FILLED:
            self.guard.filled(qty)
            if not self.guard.holds(qty):
                on_exit(self.book[0])
        if report.level_passed and self.decided is not None:
            self.guard.passed(qty, self.decided.close)
        if out.withdrawn or report.level_passed:
            self._act()

    def on_gate_refusal(self, order_id: str, controls: tuple[str, ...]) -> None:
        """The gate stopped an order by these controls.

        For one towards a target see `qtm.trading.book.on_refused`; a protective one is asked for again at the
        next close. One that rests has passed long ago: it is its withdrawal that is refused, and it stays.
        """
        order, out = self.working, self.guard.out
        if order is not None and order.client_order_id == order_id:
            on_refused(self.book[0], self._lots_of(order), self.grid, halts(mask_of(controls)))
            self.working = None
            self._protect()
        elif out is not None and out.intent.client_order_id == order_id:
            if out.rests:
                out.withdrawn = False
            else:
                self.guard.out = None

    def _lots_of(self, order: OrderIntent) -> float:
        """Signed lots of an order."""
        return float(order.side.sign * self.plan.instrument.lots(order.qty))

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
                "guard": self.guard.snapshot(),
                "decided": self.decided,
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
        self.guard.restore(held["guard"])
        self.decided = held["decided"]
        self.seen.extend(held["seen"])
        self.peak = held["peak"]

    def _intent(self, open_time_ms: int, lots: float, ticks: float) -> OrderIntent:
        plan, symbol = self.plan, self.plan.instrument.symbol
        sequence = plan.first_sequence + int(self.book[0]["orders"])
        return OrderIntent(
            client_order_id=client_order_id(plan.strategy.name, symbol, sequence),
            strategy=plan.strategy.name,
            symbol=symbol,
            side=Side.BUY if lots > 0 else Side.SELL,
            type=OrderType.LIMIT,
            qty=plan.instrument.qty(int(abs(lots))),
            price=plan.instrument.price(int(ticks)),
            time_in_force=TimeInForce.IOC,
            decided_ms=open_time_ms + plan.interval_ms,
        )
