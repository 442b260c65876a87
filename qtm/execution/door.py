"""The gate with its memory: every decision is journaled before anybody hears of it.

A replay after a crash asks again about orders decided before; it gets the recorded answer, so a restart
neither judges nor sends twice.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from qtm.clock import iso_utc
from qtm.execution.journal import Applied, Journal
from qtm.execution.limited_use import orders_of_day
from qtm.execution.marks import load_marks, save_marks
from qtm.execution.updates import OrderUpdate
from qtm.risk.decisions import ApprovedOrder, Refused
from qtm.risk.gate import Gate, Latch, StateChange
from qtm.risk.limited import CONTROL as LIMITED
from qtm.trading.orders import OrderIntent

MARK_EVERY_MS = 1000

_STOPPING = frozenset({"PT-06", LIMITED})
"""Controls whose breach locks the strategy."""


log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PromotedRun:
    """A strategy whose promotion holds until a moment."""

    strategy: str
    until_ms: int


@dataclass(frozen=True, slots=True)
class DecidedBefore:
    """The recorded answer to an intent; what became of its order is in the journal, and nothing is sent."""

    intent: OrderIntent
    approved: bool


class Door:
    """One account's gate, journal and loss marks, kept in step.

    `promoted` is what a live run trades on; None on paper, which needs no promotion.
    """

    def __init__(
        self, gate: Gate, journal: Journal, run_id: str, promoted: PromotedRun | None = None
    ) -> None:
        self.gate = gate
        self.journal = journal
        self.run_id = run_id
        self.promoted = promoted
        self._marked_ms = 0
        self._marked: tuple[Decimal, Decimal, int] | None = None
        self._decided = journal.decided_in(run_id)
        self.refresh_latches()
        load_marks(journal, gate.exposure)
        self._marked = self._marks()

    def decide(
        self, intent: OrderIntent, now_ms: int, inputs: Mapping[str, Any] | None = None
    ) -> ApprovedOrder | Refused | DecidedBefore:
        """Judge an order and commit the decision; an approved order is then INFLIGHT and may be sent.

        Kill files are looked at each time. A kill that was committed to the store since the last look is
        found by the commit itself: the order is then CANCELED and comes back as decided, not as approved.

        Raises
        ------
        StoreError
            When the decision cannot be written: then the order must not be sent.
        """
        if intent.client_order_id in self._decided:
            known = self.journal.decided(intent.client_order_id)
            if known is None:
                raise RuntimeError(
                    f"{intent.client_order_id} was decided in this run but is not in its journal"
                )
            return DecidedBefore(intent, approved=known[0])
        self.gate.latch([*self._stored_latches, *self.journal.latches.on_file()])
        self._keep_marks(now_ms)
        self._count_orders(intent)
        outcome = self.gate.check(intent, now_ms, inputs)
        self._decided.add(intent.client_order_id)
        may_go = self.journal.record(outcome, self.run_id, sending=True)
        if not _STOPPING.isdisjoint(outcome.decision.breached):
            self._lock(intent.strategy, outcome.decision.reason)
        if isinstance(outcome, ApprovedOrder) and not may_go:
            return DecidedBefore(intent, approved=True)
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
        """Mark the account; the peak and the day's start survive a restart.

        They are written when a day begins, when trading halts, before an order is judged by them, and
        otherwise once a second of wall time: a fast replay must not write once per frame.
        """
        day = self.gate.exposure.day
        change = self.gate.on_price(symbol, price, ts_ms)
        due = self.journal.clock.now_ms() - self._marked_ms >= MARK_EVERY_MS
        if change is not None or due or self.gate.exposure.day != day:
            self._keep_marks(ts_ms)
        return change

    def _marks(self) -> tuple[Decimal, Decimal, int]:
        exposure = self.gate.exposure
        return exposure.peak, exposure.day_start, exposure.day

    def _keep_marks(self, ts_ms: int) -> None:
        """Write the marks if they are not on disk as they stand."""
        self._marked_ms = self.journal.clock.now_ms()
        marks = self._marks()
        if marks != self._marked:
            save_marks(self.journal, self.gate.exposure, ts_ms)
            self._marked = marks

    def stop_after_last_day(self, now_ms: int) -> None:
        """Lock a strategy whose promotion or days of limited live trading are over, order or none."""
        limited, promoted = self.gate.limited, self.promoted
        if limited is not None and not (found := limited.days(now_ms)).passed:
            self._lock(limited.strategy, str(found))
        elif promoted is not None and now_ms >= promoted.until_ms:
            self._lock(promoted.strategy, f"TD-02 the promotion ended at {iso_utc(promoted.until_ms)}")

    def _count_orders(self, intent: OrderIntent) -> None:
        """Tell the gate what limited live trading has used up, from the journal: it survives any restart."""
        limited = self.gate.limited
        if limited is None:
            return
        with self.journal.database.read() as connection:
            limited.orders_today = orders_of_day(
                connection, self.journal.account, limited.strategy, intent.decided_ms
            )

    def _lock(self, strategy: str, reason: str) -> None:
        """A strategy that went too far stays locked over restarts, until a person releases it.

        Nothing is cancelled: a stop that rests at the venue goes on guarding the position.
        """
        locked = Latch("strategy", strategy)
        if locked in self.gate.latches:
            return
        latches = self.journal.latches
        latches.hold(locked, actor="risk gate", reason=reason)
        latches.record(locked, actor="risk gate", reason=reason, latched_ns=self.journal.clock.now_ns())
        self.gate.latch([*self.gate.latches, locked])
        log.critical("%s is locked: %s", strategy, reason)

    def refresh_latches(self) -> None:
        """Take the kills in force from the store and its files."""
        with self.journal.database.read() as connection:
            self._stored_latches = self.journal.latches.in_force(connection)
        self.gate.latch(self._stored_latches)
