"""The gate with its memory: every decision is journaled before anybody hears of it.

A replay after a crash asks again about orders decided before; it gets the recorded answer, so a restart
neither judges nor sends twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from qtm.execution.journal import Applied, Journal
from qtm.execution.marks import load_marks, save_marks
from qtm.execution.updates import OrderUpdate
from qtm.risk.decisions import ApprovedOrder, Refused
from qtm.risk.gate import Gate, StateChange
from qtm.trading.orders import OrderIntent

MARK_EVERY_MS = 1000


@dataclass(frozen=True, slots=True)
class DecidedBefore:
    """The recorded answer to an intent that was decided by an earlier process or an earlier replay."""

    intent: OrderIntent
    approved: bool


class Door:
    """One account's gate, journal and loss marks, kept in step."""

    def __init__(self, gate: Gate, journal: Journal, run_id: str) -> None:
        self.gate = gate
        self.journal = journal
        self.run_id = run_id
        self._marked_ms = 0
        load_marks(journal, gate.exposure)

    def decide(
        self, intent: OrderIntent, now_ms: int, inputs: Mapping[str, Any] | None = None
    ) -> ApprovedOrder | Refused | DecidedBefore:
        """Judge an order and commit the decision; kills in force are read from the store each time.

        Raises
        ------
        StoreError
            When the decision cannot be written: then the order must not be sent.
        """
        known = self.journal.decided(intent.client_order_id)
        if known is not None:
            return DecidedBefore(intent, approved=known[0])
        self.refresh_latches()
        outcome = self.gate.check(intent, now_ms, inputs)
        self.journal.record(outcome, self.run_id)
        return outcome

    def on_report(self, report: OrderUpdate) -> Applied:
        """Journal what a report adds, then move the gate's exposure by exactly that."""
        applied = self.journal.apply(report)
        for fill in applied.new_fills:
            self.gate.on_fill(fill)
        if applied.status.is_terminal:
            self.gate.on_terminal(report.client_order_id)
        return applied

    def on_price(self, symbol: str, price: Decimal, ts_ms: int) -> StateChange | None:
        """Mark the account; the peak and the day's start survive a restart."""
        change = self.gate.on_price(symbol, price, ts_ms)
        if change is not None or ts_ms - self._marked_ms >= MARK_EVERY_MS:
            save_marks(self.journal, self.gate.exposure, ts_ms)
            self._marked_ms = ts_ms
        return change

    def refresh_latches(self) -> None:
        """Take the kills in force from the store."""
        with self.journal.database.read() as connection:
            self.gate.latch(self.journal.latches.in_force(connection))
