"""The sender: INFLIGHT on disk, then the wire, then an answer or the truth from the venue.

When an answer is lost the order is UNKNOWN. Binance does not refuse a repeated client order id once the
first order is closed, so nothing is resent on a guess: the sender waits until the venue can no longer accept
the lost request (its receive window), asks for the order by its id, and only an order the venue has never
seen may be sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from itertools import count
from typing import Protocol

from qtm.clock import Clock
from qtm.execution.journal import Journal
from qtm.execution.updates import OrderUpdate
from qtm.execution.venue import VenueRejected, VenueUnknown
from qtm.risk.decisions import ApprovedOrder
from qtm.trading.orders import OrderIntent, OrderStatus

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
_ASK_AGAIN_S = (0.2, 0.5, 1.0, 2.0, 5.0)


class OrderVenue(Protocol):
    """The part of a venue the sender needs."""

    recv_window_ms: int

    async def place(self, order: ApprovedOrder) -> OrderUpdate:
        """Send once; raises VenueUnknown when the answer is lost."""
        ...

    async def query(self, intent: OrderIntent) -> OrderUpdate | None:
        """What the venue knows of an order; None when it never had it."""
        ...

    async def cancel(self, symbol: str, client_order_id: str) -> None:
        """Cancel one order; one already gone is no error."""
        ...


class Sender:
    """Takes approved orders to the venue and brings back what became of them.

    Parameters
    ----------
    is_fresh
        Tells whether an order decided some time ago may still be sent; a stale one expires unsent.
    on_wire
        Called with every order at the instant it is handed to the connection.
    """

    def __init__(
        self,
        journal: Journal,
        venue: OrderVenue,
        clock: Clock,
        is_fresh: Callable[[OrderIntent], bool],
        on_wire: Callable[[OrderIntent], None] = lambda _: None,
    ) -> None:
        self.journal = journal
        self.venue = venue
        self.clock = clock
        self.is_fresh = is_fresh
        self.on_wire = on_wire

    async def dispatch(self, order: ApprovedOrder) -> OrderUpdate:
        """Send an order that its decision's own commit has made INFLIGHT."""
        state = self.journal.latches.on_file()
        if any(latch.holds(order.intent) for latch in state):
            return self._unsent(order.intent, "kill in force, never sent", OrderStatus.CANCELED)
        return await self._wire(order)

    async def send(self, order: ApprovedOrder) -> OrderUpdate:
        """Send an order that is waiting in the outbox; returns its outcome, however long that takes."""
        client_order_id = order.intent.client_order_id
        if not self.is_fresh(order.intent):
            return self._unsent(order.intent, "too old to send")
        if not self.journal.begin_sending(client_order_id):
            return self.journal.report(client_order_id)
        return await self._wire(order)

    async def _wire(self, order: ApprovedOrder) -> OrderUpdate:
        """The one place an order leaves from; it is INFLIGHT on disk."""
        self.on_wire(order.intent)
        try:
            return await self.venue.place(order)
        except VenueUnknown as lost:
            client_order_id = order.intent.client_order_id
            self.journal.mark_unknown(client_order_id, str(lost))
            log.warning("%s UNKNOWN: %s", client_order_id, lost.what)
            return await self.resolve(order)

    async def resolve(self, order: ApprovedOrder) -> OrderUpdate:
        """Find out what became of an order that may be at the venue; resend it only if it never was."""
        intent = order.intent
        await self._outwait_request(intent.client_order_id)
        known = await self._ask(intent)
        if known is not None:
            log.info("%s is %s at the venue", intent.client_order_id, known.status)
            return known
        if self.journal.order(intent.client_order_id).attempts >= MAX_ATTEMPTS:
            return self._unsent(intent, f"never reached the venue in {MAX_ATTEMPTS} attempts")
        self.journal.mark_unknown(intent.client_order_id, "the venue has never seen it")
        return await self.send(order)

    async def cancel(self, intent: OrderIntent) -> OrderUpdate:
        """Cancel an order that rests at the venue; returns what had become of it by then.

        A cancel is repeated until the venue answers that the order is finished, one way or the other.
        """
        for attempt in count():
            try:
                await self.venue.cancel(intent.symbol, intent.client_order_id)
            except (VenueUnknown, VenueRejected) as failed:
                log.warning("%s is not cancelled yet: %s", intent.client_order_id, failed)
            known = await self._ask(intent)
            if known is None:
                return self._unsent(intent, "the venue does not know it", OrderStatus.CANCELED)
            if known.status.is_terminal:
                return known
            await asyncio.sleep(_ASK_AGAIN_S[min(attempt, len(_ASK_AGAIN_S) - 1)])
        raise AssertionError("counting does not end")

    async def look(self, intent: OrderIntent) -> OrderUpdate:
        """What became of an order known to rest at the venue, which reports may have missed."""
        known = await self._ask(intent)
        return known if known is not None else self.journal.report(intent.client_order_id)

    async def recover(self) -> list[OrderUpdate]:
        """Settle every order a previous process left open; returns what became of them."""
        updates = []
        for waiting in self.journal.open_orders():
            order = self.journal.approved(waiting.intent.client_order_id)
            settle = self.send if waiting.status is OrderStatus.NEW_LOCAL else self.resolve
            updates.append(await settle(order))
        return updates

    def _unsent(
        self, intent: OrderIntent, reason: str, status: OrderStatus = OrderStatus.EXPIRED
    ) -> OrderUpdate:
        return OrderUpdate(intent.client_order_id, intent.symbol, status, reason=reason)

    async def _outwait_request(self, client_order_id: str) -> None:
        """Wait until the venue must refuse the last request we may have sent."""
        order = self.journal.order(client_order_id)
        if order.sent_ns is not None and order.status in (OrderStatus.INFLIGHT, OrderStatus.UNKNOWN):
            expires_ns = order.sent_ns + (self.venue.recv_window_ms + 1000) * 1_000_000
            await asyncio.sleep(max(0, expires_ns - self.clock.now_ns()) / 1e9)

    async def _ask(self, intent: OrderIntent) -> OrderUpdate | None:
        """Ask until the venue answers: an order of unknown state keeps its reservation, however long."""
        attempt = 0
        while True:
            try:
                return await self.venue.query(intent)
            except (VenueUnknown, VenueRejected) as failed:
                pause = _ASK_AGAIN_S[min(attempt, len(_ASK_AGAIN_S) - 1)]
                log.warning(
                    "%s still UNKNOWN, asking again in %.1f s: %s", intent.client_order_id, pause, failed
                )
                attempt += 1
                await asyncio.sleep(pause)
