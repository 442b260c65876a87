"""Orders on their way to the venue and back, in the background of the feed's loop.

What becomes of an order comes back as a frame, so that it is journaled and ordered like everything else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from qtm.execution.outbox import Sender
from qtm.execution.updates import OrderUpdate
from qtm.risk.decisions import ApprovedOrder, Refused
from qtm.trading.orders import OrderIntent, OrderStatus
from streaming.frames import refusal_frame, report_frame

if TYPE_CHECKING:
    from streaming.session import Session

KEPT = "KS-03"
"""The control that keeps a protective order at the venue."""


class OrdersOut:
    """Sends, cancels and looks orders up.

    Parameters
    ----------
    now_ms
        The market's time.
    push
        Takes the frame of an outcome.
    watch
        Takes a task that is over; its failure must not be silent.
    """

    def __init__(
        self,
        session: Session,
        now_ms: Callable[[], int],
        push: Callable[[bytes], None],
        watch: Callable[[asyncio.Task[Any]], None],
    ) -> None:
        self.journal = session.journal
        self.under_way: dict[str, asyncio.Task[None]] = {}
        self._loop, self._latencies_ns = session.loop, session.latencies_ns
        self._bar_ms = session.config.interval.ms
        self._now_ms, self._push, self._watch = now_ms, push, watch
        self._sender = Sender(session.journal, session.venue, session.clock, self.is_fresh, self._on_wire)
        self._triggers: dict[str, int] = {}

    def is_fresh(self, intent: OrderIntent) -> bool:
        """An order may still be sent within one bar of its decision."""
        return self._now_ms() - intent.decided_ms <= self._bar_ms

    def send(self, order: ApprovedOrder, received_ns: int) -> None:
        """Take an approved order to the venue; its report comes back as a frame.

        `received_ns` is when the frame that caused the order arrived (0: not a live frame).
        """
        if received_ns:
            self._triggers[order.intent.client_order_id] = received_ns
        self._in_background(order.intent.client_order_id, self._sender.dispatch(order))

    def _on_wire(self, intent: OrderIntent) -> None:
        received_ns = self._triggers.pop(intent.client_order_id, 0)
        if received_ns:
            self._latencies_ns.append(time.perf_counter_ns() - received_ns)

    def bring_back(self, symbol: str, client_order_id: str) -> None:
        """Report again what became of an order decided before a restart; telling it twice changes nothing."""
        known = self.journal.decided(client_order_id)
        if known is None:
            raise RuntimeError(f"{client_order_id} was never decided")
        approved, controls = known
        if not approved:
            self._push(refusal_frame(symbol, client_order_id, tuple(controls.split())))
            return
        update = self.journal.report(client_order_id)
        if update.status.is_terminal:
            self._push(report_frame(update))
        elif client_order_id not in self.under_way:
            order = self.journal.approved(client_order_id)
            self._in_background(client_order_id, self._sender.resolve(order))

    def cancel(self, intent: OrderIntent) -> None:
        """Have an order cancelled; what had become of it by then comes back as a frame."""
        update = self.journal.report(intent.client_order_id)
        if update.status.is_terminal:
            self._push(report_frame(update))
        else:
            self._in_background(f"{intent.client_order_id} cancel", self._sender.cancel(intent))

    async def look_at_resting(self) -> None:
        """Ask the venue what became of every order that rests there; reports may have been missed."""
        for order in self.journal.open_orders():
            if order.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED):
                update = await self._sender.look(order.intent)
                if update.status is not order.status or update.fills:
                    self._push(report_frame(update))

    def refuse(self, refused: Refused) -> None:
        """Bring the gate's refusal back to the strategy."""
        intent = refused.intent
        self._push(refusal_frame(intent.symbol, intent.client_order_id, refused.decision.breached))

    def keep(self, intent: OrderIntent) -> None:
        """Tell the strategy that an order it would withdraw stays."""
        self._push(refusal_frame(intent.symbol, intent.client_order_id, (KEPT,)))

    def _in_background(self, name: str, work: Coroutine[Any, Any, OrderUpdate]) -> None:
        """Find out in the background what becomes of an order; nothing is settled before."""

        async def run() -> None:
            self._push(report_frame(await work))

        task = self._loop.create_task(run(), name=name)
        self.under_way[name] = task
        task.add_done_callback(lambda done: self._over(name, done))

    def _over(self, name: str, task: asyncio.Task[None]) -> None:
        self.under_way.pop(name, None)
        self._watch(task)
