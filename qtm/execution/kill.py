"""The kill: latch, cancel everything in scope, poll until the venue confirms zero.

Runs in its own process with its own connection, so it works while the stream hangs or is dead. The latch is
committed first; from that instant the outbox lets nothing new out. Positions are never flattened: a kill
must not itself move the market. Only a person re-arms, and a restart never does.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import select, update

from qtm.clock import Clock
from qtm.errors import ConfigError, VenueError
from qtm.execution.journal import Journal
from qtm.execution.latches import SCOPES, latch
from qtm.store.schema import kills, orders

log = logging.getLogger(__name__)

POLL_S = 0.1


class CancelVenue(Protocol):
    """The part of a venue a kill needs."""

    async def open_orders(self) -> list[tuple[str, str]]:
        """(symbol, client order id) of every open order."""
        ...

    async def cancel(self, symbol: str, client_order_id: str) -> None:
        """Cancel one order; one already gone is no error."""
        ...


@dataclass(frozen=True, slots=True)
class KillReport:
    """What a kill did; `residual` orders were still open when it gave up."""

    kill_id: int
    scope: str
    target: str
    orders_before: int
    cancelled: int
    residual: int
    milliseconds: float


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
) -> KillReport:
    """Stop a scope and wait for the venue to confirm that nothing of it is open.

    Raises
    ------
    ConfigError
        For an unknown scope, or a scope without its target.
    VenueError
        When orders are still open after `patience_s`; the latch stays in force.
    """
    if scope not in SCOPES or (scope == "firm") == bool(target):
        raise ConfigError(
            f"kill scope {scope!r} with target {target!r} means nothing",
            remedy="use firm, or strategy NAME, or symbol NAME",
        )
    started_ns = clock.now_ns()
    kill_id = latch(
        journal.database, clock, journal.account, scope=scope, target=target, actor=actor, reason=reason
    )
    log.critical("kill %d latched: %s %s by %s (%s)", kill_id, scope, target, actor, reason)
    before, cancelled, waited_until = None, 0, clock.now_ns() + int(patience_s * 1e9)
    while True:
        try:
            open_now = [one for one in await venue.open_orders() if _in_scope(journal, one, scope, target)]
            before = len(open_now) if before is None else before
            if not open_now:
                break
            if cancelled == 0:
                _note(journal, kill_id, first_cancel_ns=clock.now_ns(), orders_before=before)
            await asyncio.gather(*(venue.cancel(*one) for one in open_now))
            cancelled += len(open_now)
        except VenueError as failed:
            log.error("kill %d: %s; trying again", kill_id, failed)
            open_now = [("?", "?")]
        if clock.now_ns() > waited_until:
            _note(journal, kill_id, orders_before=before, cancelled=cancelled, residual=len(open_now))
            raise VenueError(
                f"orders are still open after {patience_s:g} s; the latch is in force",
                where=f"kill {kill_id} {scope} {target}",
                remedy="cancel by hand at the venue, and repeat the kill",
            )
        await asyncio.sleep(POLL_S)
    zero_ns = clock.now_ns()
    _note(journal, kill_id, zero_ns=zero_ns, orders_before=before, cancelled=cancelled, residual=0)
    log.critical("kill %d confirmed: the venue shows nothing open in scope", kill_id)
    return KillReport(kill_id, scope, target, before or 0, cancelled, 0, (zero_ns - started_ns) / 1e6)


def _in_scope(journal: Journal, order: tuple[str, str], scope: str, target: str) -> bool:
    """Whether an open order is in scope; at firm scope that is every order, ours or not."""
    symbol, client_order_id = order
    if scope == "symbol":
        return symbol == target
    if scope == "strategy":
        query = select(orders.c.strategy).where(orders.c.client_order_id == client_order_id)
        with journal.database.read() as connection:
            return connection.execute(query).scalar() == target
    return True


def _note(journal: Journal, kill_id: int, **values: int | None) -> None:
    with journal.database.write() as connection:
        connection.execute(update(kills).where(kills.c.kill_id == kill_id).values(values))
