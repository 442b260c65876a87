"""The journal and outbox: what was decided, sent and filled, on disk before it matters.

An approved order is written as NEW_LOCAL in the same transaction as its decision; it becomes INFLIGHT, on
disk, before its first byte is on the wire; a crash at any instant leaves a row that says how far it got.
Client order ids are deterministic, so a replay after a crash finds its own rows and sends nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update

from qtm.clock import Clock
from qtm.errors import StoreError
from qtm.execution.chain import GENESIS, canonical, chained
from qtm.execution.journal_rows import JournaledOrder, fill_of_row, fill_row, journaled_order, order_row
from qtm.execution.latches import LatchBoard
from qtm.execution.updates import OrderUpdate, advanced
from qtm.risk.decisions import ApprovedOrder, Decision, Refused
from qtm.store.database import Database
from qtm.store.schema import decisions, fills, openings, order_events, orders
from qtm.trading.orders import Fill, OrderStatus

_HELD = "kill in force, not at the venue"

_INSERT_DECISION, _INSERT_ORDER, _INSERT_EVENT, _INSERT_FILL = map(
    insert, (decisions, orders, order_events, fills)
)
_NEWEST_HASH = (
    select(decisions.c.hash)
    .where(decisions.c.account == bindparam("of_account"))
    .order_by(decisions.c.decision_id.desc())
    .limit(1)
)


@dataclass(frozen=True, slots=True)
class Applied:
    """What an update changed: executions not seen before, and the order's state after it."""

    new_fills: tuple[Fill, ...]
    status: OrderStatus
    changed: bool


class Journal:
    """The orders of one account in the operational database; kill files live under `state_dir`."""

    def __init__(self, database: Database, account: str, clock: Clock, state_dir: Path) -> None:
        self.database = database
        self.account = account
        self.clock = clock
        self.latches = LatchBoard(database, account, state_dir / "kills", clock)

    def record(self, outcome: ApprovedOrder | Refused, run_id: str, *, sending: bool = False) -> bool:
        """Write a decision and, if approved, its order: one durable commit.

        With `sending` the order is written as INFLIGHT at once, so that one commit, not two, lies between a
        decision and the wire. Returns whether the order may go: False for a refusal, and for an order that a
        kill committed meanwhile holds (it is then CANCELED).

        Raises
        ------
        StoreError
            When the id was decided before (look with `decided` first) or the disk refuses.
        """
        intent, decision = outcome.intent, outcome.decision
        now_ns = self.clock.now_ns()
        record = canonical(decision.record())
        with self.database.write() as connection:
            previous = connection.execute(_NEWEST_HASH, {"of_account": self.account}).scalar() or GENESIS
            row = {
                "client_order_id": intent.client_order_id,
                "account": self.account,
                "run_id": run_id,
                "strategy": intent.strategy,
                "symbol": intent.symbol,
                "verdict": "APPROVED" if decision.approved else "REFUSED",
                "controls": " ".join(decision.breached),
                "decided_ms": intent.decided_ms,
                "recorded_ns": now_ns,
                "record": record,
                "hash": chained(previous, record),
            }
            connection.execute(_INSERT_DECISION, row)
            if isinstance(outcome, Refused):
                return False
            status = OrderStatus.INFLIGHT if sending else OrderStatus.NEW_LOCAL
            connection.execute(_INSERT_ORDER, order_row(intent, self.account, run_id, status, now_ns))
            self._event(connection, intent.client_order_id, OrderStatus.NEW_LOCAL, "approved")
            if not sending:
                return True
            if any(latch.holds(intent) for latch in self.latches.in_force(connection)):
                self._set(connection, intent.client_order_id, OrderStatus.CANCELED, _HELD)
                return False
            self._event(connection, intent.client_order_id, OrderStatus.INFLIGHT, "")
            return True

    def decided(self, client_order_id: str) -> tuple[bool, str] | None:
        """(approved, refusing controls) of an id decided before, or None."""
        query = select(decisions.c.verdict, decisions.c.controls).where(
            decisions.c.client_order_id == client_order_id
        )
        with self.database.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else (row.verdict == "APPROVED", row.controls)

    def begin_sending(self, client_order_id: str) -> bool:
        """Mark an order INFLIGHT, durably; False when a kill holds it or it is not waiting to be sent.

        An UNKNOWN order may be offered only after the venue has answered that it never had it.

        The kill latches are read inside the same transaction: once a kill is committed, no order that had
        not yet reached this point goes out.
        """
        now_ns = self.clock.now_ns()
        with self.database.write() as connection:
            row = self._load(connection, client_order_id)
            if row.status not in (OrderStatus.NEW_LOCAL, OrderStatus.UNKNOWN):
                return False
            if any(latch.holds(row.intent) for latch in self.latches.in_force(connection)):
                self._set(connection, client_order_id, OrderStatus.CANCELED, _HELD)
                return False
            changes = {"attempts": orders.c.attempts + 1, "sent_ns": now_ns}
            self._set(connection, client_order_id, OrderStatus.INFLIGHT, "", changes)
        return True

    def mark_unknown(self, client_order_id: str, reason: str) -> None:
        """The venue may or may not have the order: no resend before a query says so."""
        with self.database.write() as connection:
            if self._load(connection, client_order_id).status is OrderStatus.INFLIGHT:
                self._set(connection, client_order_id, OrderStatus.UNKNOWN, reason)

    def apply(self, report: OrderUpdate) -> Applied:
        """Write what an update adds: new executions and a later state; repeating it changes nothing."""
        with self.database.write() as connection:
            current = self._load(connection, report.client_order_id).status
            fresh = tuple(fill for fill in report.fills if self._insert_fill(connection, fill))
            status = advanced(current, report.status)
            if status.is_terminal and self._filled(connection, report.client_order_id) < report.executed_qty:
                status = current  # an execution is still missing: the next report or a query brings it
            if status is not current:
                changes = {"venue_order_id": report.venue_order_id} if report.venue_order_id else {}
                self._set(connection, report.client_order_id, status, report.reason, changes)
        return Applied(fresh, status, changed=bool(fresh) or status is not current)

    def order(self, client_order_id: str) -> JournaledOrder:
        """One order; raises StoreError when there is none."""
        with self.database.read() as connection:
            return self._load(connection, client_order_id)

    def approved(self, client_order_id: str) -> ApprovedOrder:
        """The approved order as the gate decided it, rebuilt from its record."""
        query = select(decisions.c.record).where(decisions.c.client_order_id == client_order_id)
        with self.database.read() as connection:
            intent = self._load(connection, client_order_id).intent
            record = json.loads(connection.execute(query).scalar_one())
        return ApprovedOrder(intent, Decision.from_record(intent, record))

    def report(self, client_order_id: str) -> OrderUpdate:
        """What is known of an order, in the form the venue would report it."""
        order = self.order(client_order_id)
        known = tuple(self.fills(client_order_id))
        executed = sum((fill.qty for fill in known), Decimal(0))
        return OrderUpdate(
            client_order_id, order.intent.symbol, order.status, known, executed, reason=order.reason
        )

    def open_orders(self) -> list[JournaledOrder]:
        """Every order that is not known to be finished, oldest first."""
        finished = [status.value for status in OrderStatus if status.is_terminal]
        query = (
            select(orders)
            .where(orders.c.account == self.account, orders.c.status.not_in(finished))
            .order_by(orders.c.created_ns)
        )
        with self.database.read() as connection:
            return [journaled_order(row) for row in connection.execute(query).mappings()]

    def fills(self, client_order_id: str | None = None) -> list[Fill]:
        """Executions of one order, or of the whole account, in the order of time."""
        query = select(fills).where(fills.c.account == self.account).order_by(fills.c.ts_ms, fills.c.trade_id)
        if client_order_id is not None:
            query = query.where(fills.c.client_order_id == client_order_id)
        with self.database.read() as connection:
            return [fill_of_row(row) for row in connection.execute(query).mappings()]

    def decided_in(self, run_id: str) -> set[str]:
        """Every order id decided in a run."""
        query = select(decisions.c.client_order_id).where(decisions.c.run_id == run_id)
        with self.database.read() as connection:
            return set(connection.execute(query).scalars())

    def last_decided(self, strategy: str, symbol: str) -> str | None:
        """The newest order id decided for a strategy on a symbol."""
        ours = (
            decisions.c.account == self.account,
            decisions.c.strategy == strategy,
            decisions.c.symbol == symbol,
        )
        query = (
            select(decisions.c.client_order_id).where(*ours).order_by(decisions.c.decision_id.desc()).limit(1)
        )
        with self.database.read() as connection:
            found: str | None = connection.execute(query).scalar()
        return found

    def decided_count(self, strategy: str, symbol: str) -> int:
        """How many order ids of a strategy on a symbol are used up."""
        query = select(func.count()).where(decisions.c.strategy == strategy, decisions.c.symbol == symbol)
        with self.database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def openings(self) -> dict[str, Decimal]:
        """Balances before our first order, by asset; empty for a new account."""
        query = select(openings).where(openings.c.account == self.account)
        with self.database.read() as connection:
            return {row.asset: Decimal(row.qty) for row in connection.execute(query)}

    def open_account(self, balances: Mapping[str, Decimal]) -> None:
        """Take the venue's balances as the starting point of a new account, once and for all."""
        now_ms = self.clock.now_ms()
        with self.database.write() as connection:
            for asset, qty in sorted(balances.items()):
                row = {"account": self.account, "asset": asset, "qty": str(qty), "recorded_ms": now_ms}
                connection.execute(insert(openings).values(row))

    def _load(self, connection: Connection, client_order_id: str) -> JournaledOrder:
        query = select(orders).where(orders.c.client_order_id == client_order_id)
        row = connection.execute(query).mappings().first()
        if row is None:
            raise StoreError("the journal holds no such order", where=client_order_id)
        return journaled_order(row)

    def _set(
        self,
        connection: Connection,
        client_order_id: str,
        status: OrderStatus,
        reason: str,
        changes: Mapping[str, Any] | None = None,
    ) -> None:
        values = {
            "status": status.value,
            "reason": reason,
            "updated_ns": self.clock.now_ns(),
            **(changes or {}),
        }
        connection.execute(update(orders).where(orders.c.client_order_id == client_order_id).values(values))
        self._event(connection, client_order_id, status, reason)

    def _event(self, connection: Connection, client_order_id: str, status: OrderStatus, words: str) -> None:
        row = {
            "client_order_id": client_order_id,
            "ts_ns": self.clock.now_ns(),
            "status": status.value,
            "detail": json.dumps({"reason": words}),
        }
        connection.execute(_INSERT_EVENT, row)

    def _filled(self, connection: Connection, client_order_id: str) -> Decimal:
        query = select(fills.c.qty).where(fills.c.client_order_id == client_order_id)
        return sum((Decimal(qty) for qty in connection.execute(query).scalars()), Decimal(0))

    def _insert_fill(self, connection: Connection, fill: Fill) -> bool:
        key = (
            fills.c.account == self.account,
            fills.c.symbol == fill.symbol,
            fills.c.trade_id == fill.trade_id,
        )
        if connection.execute(select(fills.c.trade_id).where(*key)).first() is not None:
            return False
        connection.execute(_INSERT_FILL, fill_row(fill, self.account))
        return True
