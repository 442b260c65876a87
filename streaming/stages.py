"""The stages between source and sink, as thin as they can be: all logic is in plain classes of `qtm`."""

from __future__ import annotations

import json
import logging
import pickle
from dataclasses import dataclass, field
from typing import Any

from bytewax.operators import StatefulBatchLogic
from bytewax.outputs import DynamicSink, StatelessSinkPartition

from qtm.clock import iso_utc
from qtm.execution.door import DecidedBefore
from qtm.execution.kill import kill
from qtm.execution.signals import Cancel, Request, Signal
from qtm.execution.trader import SymbolTrader
from qtm.risk.decisions import ApprovedOrder, Refused
from qtm.risk.gate import StateChange
from qtm.trading.orders import OrderIntent, OrderStatus
from streaming.messages import (
    BarMessage,
    Message,
    PriceMessage,
    RefusalMessage,
    ReportMessage,
    TickMessage,
)
from streaming.session import Session

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """An order that its strategy would withdraw and that stays at the venue."""

    intent: OrderIntent


Outcome = ApprovedOrder | Refused | DecidedBefore | Cancel | Kept


@dataclass(slots=True)
class Handled:
    """A message at the end of the line, with the gate's answers to the orders it led to, and cancels."""

    message: Message
    outcomes: list[Outcome] = field(default_factory=list)
    halted: StateChange | None = None


class StrategyStage(StatefulBatchLogic[Message, Message, bytes]):
    """One symbol's `SymbolTrader` inside the dataflow; its snapshot is the trader's bytes."""

    def __init__(self, session: Session, snapshot: bytes | None) -> None:
        self.session = session
        self.trader: SymbolTrader | None = None
        if snapshot is not None:
            symbol, held = pickle.loads(snapshot)
            self.trader = SymbolTrader(session.plans[symbol], held)

    def on_batch(self, values: list[Message]) -> tuple[list[Message], bool]:
        """Every message in, every message out, bars with their signal."""
        for message in values:
            if isinstance(message, TickMessage):
                continue
            if self.trader is None:
                self.trader = SymbolTrader(self.session.plans[message.symbol])
            if isinstance(message, BarMessage):
                message.signal = self.trader.on_bar(message.bar, tradable=message.tradable)
            elif isinstance(message, ReportMessage):
                self.trader.on_report(message.update)
            elif isinstance(message, RefusalMessage):
                self.trader.on_gate_refusal(message.client_order_id, message.controls)
            else:
                continue
            message.requests = self.trader.take_requests()
        return values, StatefulBatchLogic.RETAIN

    def snapshot(self) -> bytes:
        """The trader's memory and whose it is."""
        if self.trader is None:
            raise RuntimeError("a strategy stage exists only for a message that made its trader")
        return pickle.dumps((self.trader.plan.instrument.symbol, self.trader.snapshot()))


class GateStage:
    """Prices mark the account, reports move it, orders are judged: in that order within each message."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.door = session.door
        self.market_ms = 0

    def __call__(self, message: Message) -> Handled:
        """Handle one message."""
        halted = None
        if isinstance(message, BarMessage):
            self.market_ms = message.now_ms
            self.session.keep_up_with_models(message.now_ms)
            self.door.stop_after_last_day(message.now_ms)
            halted = self.door.on_price(message.symbol, message.close, message.bar.close_time_ms)
            if message.signal is not None:
                self.session.counts["signals"] += message.signal.target == message.signal.target
        elif isinstance(message, PriceMessage):
            self.market_ms = message.now_ms
            return Handled(message, halted=self.door.on_price(message.symbol, message.price, message.now_ms))
        elif isinstance(message, ReportMessage):
            applied = self.door.on_report(message.update)
            self.session.counts["fills"] += len(applied.new_fills)
            if applied.changed and applied.status.is_terminal:
                self._tell(message, applied.status)
        elif isinstance(message, TickMessage):
            self.door.refresh_latches()
            self.door.stop_after_last_day(message.now_ms)
            self.session.keep_up_with_models(message.now_ms)
            self.session.heartbeat()
            return Handled(message)
        return Handled(message, [self._judge(one) for one in message.requests], halted)

    def _judge(self, request: Request | Cancel) -> Outcome:
        """The gate's answer to an order, or to a cancel.

        Nothing that a kill holds would take the place of a protective order: it stays.
        """
        if isinstance(request, Cancel):
            return Kept(request.intent) if self.door.gate.is_latched(request.intent) else request
        inputs = {
            **request.inputs,
            "strategy_version": self.session.strategy.version,
            "params": dict(self.session.params._asdict()),
            "sizing": list(self.session.config.sizing),
        }
        return self.door.decide(request.intent, self.session.time.now_ms(self.market_ms), inputs)

    def _tell(self, message: ReportMessage, status: OrderStatus) -> None:
        self.session.counts[status.value.lower()] += 1
        update = message.update
        log.info("%s %s %s", update.client_order_id, status.value, update.reason)


class OutboxSink(DynamicSink[Handled]):
    """Hands approved orders to the sender, refusals back to their strategy, and counts what is done."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def build(self, step_id: str, worker_index: int, worker_count: int) -> _Outbox:
        """The only partition; more workers would mean more gates."""
        if worker_count != 1:
            raise RuntimeError("one account is one worker: shard by account, not by worker")
        return _Outbox(self.session)


class _Outbox(StatelessSinkPartition[Handled]):
    def __init__(self, session: Session) -> None:
        self.session = session
        self.signals = session.signals_path.open("a", buffering=1)

    def write_batch(self, items: list[Handled]) -> None:
        for item in items:
            message = item.message
            if isinstance(message, BarMessage) and message.signal is not None:
                self._keep(message.signal)
            received_ns = message.received_ns if isinstance(message, BarMessage) else 0
            for outcome in item.outcomes:
                self._hand_on(outcome, received_ns)
            if item.halted is not None:
                self._halt(item.halted)
            self.session.feed.acknowledge()

    def _hand_on(self, outcome: Outcome, received_ns: int) -> None:
        """An order to the sender, a refusal back to its strategy."""
        orders, counts = self.session.feed.orders, self.session.counts
        if isinstance(outcome, ApprovedOrder):
            counts["approved"] += 1
            orders.send(outcome, received_ns)
            _announce("approved", outcome)
        elif isinstance(outcome, Refused):
            counts["refused"] += 1
            orders.refuse(outcome)
            _announce("REFUSED", outcome)
        elif isinstance(outcome, Cancel):
            orders.cancel(outcome.intent)
        elif isinstance(outcome, Kept):
            orders.keep(outcome.intent)
            log.warning("%s stays at the venue: a kill is in force", outcome.intent.client_order_id)
        else:
            orders.bring_back(outcome.intent.symbol, outcome.intent.client_order_id)

    def close(self) -> None:
        self.signals.close()

    def _halt(self, change: StateChange) -> None:
        """The gate stopped trading by itself: latch it for every restart and cancel what is open."""
        log.critical("HALTED at %s: %s", iso_utc(change.at_ms), change.reason)
        session = self.session
        work = kill(session.journal, session.venue, session.clock, actor="risk gate", reason=change.reason)
        session.feed.run_in_background(work, "kill")

    def _keep(self, signal: Signal) -> None:
        line = {
            "symbol": signal.symbol,
            "open_time_ms": signal.open_time_ms,
            "target": signal.target.hex(),
            "equity": signal.equity.hex(),
            "client_order_id": signal.intent.client_order_id if signal.intent else None,
        }
        self.signals.write(json.dumps(line) + "\n")


def _announce(word: str, outcome: ApprovedOrder | Refused) -> None:
    intent = outcome.intent
    levels = {"stop at": intent.stop_price, "take-profit at": intent.take_profit}
    log.info(
        "%s %s %s %s %s at %s%s%s",
        intent.client_order_id,
        word,
        intent.side.value,
        f"{intent.qty:f}",
        intent.symbol,
        f"{intent.price:f}" if intent.price is not None else "market",
        "".join(f", {name} {level:f}" for name, level in levels.items() if level is not None),
        f": {outcome.decision.reason}" if outcome.decision.reason else "",
    )


def symbol_of(message: Any) -> str:
    """The key that orders messages: everything about one symbol stays in sequence."""
    return str(message.symbol)


def is_market(message: Message) -> bool:
    """True for what concerns a symbol; ticks concern the account."""
    return not isinstance(message, TickMessage)
