"""The kill: latch, cancel everything in scope, poll until the venue confirms zero.

Runs in its own process with its own connection, so it works while the stream hangs or is dead. The latch is
on disk first; from that instant the outbox lets nothing new out. Positions are never flattened: a kill must
not itself move the market. Only a person re-arms, and a restart never does.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from sqlalchemy import select, update

from qtm.clock import Clock
from qtm.errors import ConfigError, StoreError, VenueError
from qtm.execution.journal import Journal
from qtm.execution.latches import SCOPES
from qtm.execution.updates import OrderUpdate
from qtm.risk.gate import Latch
from qtm.store.schema import kills, orders
from qtm.trading.orders import OrderIntent

log = logging.getLogger(__name__)

POLL_S = 0.1
Written = TypeVar("Written")


class CancelVenue(Protocol):
    """The part of a venue a kill needs."""

    async def open_orders(self) -> list[tuple[str, str]]:
        """(symbol, client order id) of every open order."""
        ...

    async def cancel(self, symbol: str, client_order_id: str) -> None:
        """Cancel one order; one already gone is no error."""
        ...

    async def query(self, intent: OrderIntent) -> OrderUpdate | None:
        """What the venue knows of an order; None when it has never seen it."""
        ...


@dataclass(frozen=True, slots=True)
class KillReport:
    """What a kill did; `recorded` tells whether the store took its row as well as the file."""

    scope: str
    target: str
    orders_before: int
    cancelled: int
    residual: int
    latch_ms: float
    zero_ms: float
    recorded: bool


async def kill(
    journal: Journal,
    venue: CancelVenue,
    clock: Clock,
    *,
    scope: str = "firm",
    target: str = "",
    actor: str,
    reason: str,
    patience_s: float = 30.0,
    held: bool = False,
) -> KillReport:
    """Stop a scope and wait for the venue to confirm that nothing of it is open.

    `held` says that the caller has put the latch file there already (the command line does so before it
    loads anything else).

    Raises
    ------
    ConfigError
        For an unknown scope, or a scope without its target.
    VenueError
        When orders are still open after `patience_s`; the latch stays in force.
    """
    what = checked_scope(scope, target)
    started_ns = clock.now_ns()
    if not held:
        journal.latches.hold(what, actor=actor, reason=reason)
    latched_ns = clock.now_ns()
    log.critical("kill latched: %s %s by %s (%s)", scope, target, actor, reason)

    def record() -> int:
        return journal.latches.record(what, actor=actor, reason=reason, latched_ns=latched_ns)

    recording = asyncio.create_task(_written(record))
    before, cancelled, first_cancel_ns = await _cancel_all(journal, venue, clock, what, patience_s)
    zero_ns = clock.now_ns()
    kill_id = await recording
    if kill_id is not None:
        facts = {
            "first_cancel_ns": first_cancel_ns,
            "zero_ns": zero_ns,
            "orders_before": before,
            "cancelled": cancelled,
            "residual": 0,
        }
        await _written(lambda: _note(journal, kill_id, facts))
        await _settle(journal, venue, what)
    log.critical("kill confirmed: the venue shows nothing open in scope")
    return KillReport(
        scope,
        target,
        before,
        cancelled,
        0,
        (latched_ns - started_ns) / 1e6,
        (zero_ns - started_ns) / 1e6,
        kill_id is not None,
    )


def checked_scope(scope: str, target: str) -> Latch:
    """The latch of a scope; raises ConfigError for an unknown scope or one without its target."""
    if scope not in SCOPES or (scope == "firm") == bool(target):
        raise ConfigError(
            f"kill scope {scope!r} with target {target!r} means nothing",
            remedy="use firm, or strategy NAME, or symbol NAME",
        )
    return Latch(scope, target)


async def _cancel_all(
    journal: Journal, venue: CancelVenue, clock: Clock, what: Latch, patience_s: float
) -> tuple[int, int, int | None]:
    """Cancel and look again until the venue shows nothing in scope: (orders at first, cancels, first at)."""
    before: int | None = None
    cancelled, first_cancel_ns = 0, None
    deadline_ns = clock.now_ns() + int(patience_s * 1e9)
    while True:
        try:
            still = [one for one in await venue.open_orders() if _in_scope(journal, one, what)]
            before = len(still) if before is None else before
            if not still:
                return before, cancelled, first_cancel_ns
            first_cancel_ns = first_cancel_ns or clock.now_ns()
            await asyncio.gather(*(venue.cancel(*one) for one in still))
            cancelled += len(still)
        except VenueError as failed:
            log.error("kill %s %s: %s; trying again", what.scope, what.target, failed)
        if clock.now_ns() > deadline_ns:
            raise VenueError(
                f"orders are still open after {patience_s:g} s; the latch is in force",
                where=f"kill {what.scope} {what.target}",
                remedy="cancel by hand at the venue, and repeat the kill",
            )
        await asyncio.sleep(POLL_S)


async def _settle(journal: Journal, venue: CancelVenue, what: Latch) -> None:
    """Journal the end of every order in scope as the venue tells it: a dead stream hears of none.

    Executions are left to whoever trades the account, which moves its exposure by those it journals itself:
    an order with one that the journal does not hold yet stays open there until then. The kill is done
    already, so a failure is only said aloud.
    """
    try:
        for order in await asyncio.to_thread(journal.open_orders):
            known = await venue.query(order.intent) if what.holds(order.intent) else None
            if known is not None and known.status.is_terminal:
                words = known.reason or f"kill {what.scope} {what.target}".rstrip()
                await asyncio.to_thread(journal.apply, replace(known, fills=(), reason=words))
    except (VenueError, StoreError) as failed:
        log.error("the journal still shows orders as open that the kill has cancelled: %s", failed)


async def _written(write: Callable[[], Written]) -> Written | None:
    """Write to the store from beside: None when it stays locked or broken, which is said aloud."""
    try:
        return await asyncio.to_thread(write)
    except StoreError as failed:
        log.error("the store did not take the kill's record (the latch file holds): %s", failed)
        return None


def _in_scope(journal: Journal, order: tuple[str, str], what: Latch) -> bool:
    """Whether an open order is in scope; at firm scope that is every order, ours or not."""
    symbol, client_order_id = order
    if what.scope == "symbol":
        return symbol == what.target
    if what.scope == "strategy":
        query = select(orders.c.strategy).where(orders.c.client_order_id == client_order_id)
        with journal.database.read() as connection:
            return connection.execute(query).scalar() == what.target
    return True


def _note(journal: Journal, kill_id: int, facts: dict[str, int | None]) -> None:
    with journal.database.write() as connection:
        connection.execute(update(kills).where(kills.c.kill_id == kill_id).values(facts))
