"""What the gate answers: a decision with every finding, and the two types an intent can become."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

from qtm.risk.rules import CONTROL_NAMES
from qtm.trading.order_record import amount_of_text, amount_text, order_fields
from qtm.trading.orders import OrderIntent


class Finding(NamedTuple):
    """One control's view of one order: what it measured, the bound, and which scope set the bound."""

    control: str
    passed: bool
    measured: str
    bound: str
    set_by: str

    def __str__(self) -> str:
        name = CONTROL_NAMES.get(self.control, "")
        relation = "within" if self.passed else "breaks"
        return f"{self.control} {name}: {self.measured} {relation} {self.bound} ({self.set_by})"


@dataclass(frozen=True, slots=True)
class Decision:
    """The record of one order's passage: enough to explain it years later.

    `reference_price` and `reference_ms` are what the collar judged by; `inputs` is what the caller says led
    to the order (signal, bar, sizing, data version).
    """

    intent: OrderIntent
    approved: bool
    findings: tuple[Finding, ...]
    limits_version: str
    now_ms: int
    reference_price: Decimal | None
    reference_ms: int | None
    inputs: Mapping[str, Any]

    @property
    def breached(self) -> tuple[str, ...]:
        """Ids of the controls that refused the order, in the order of the rule table."""
        return tuple(finding.control for finding in self.findings if not finding.passed)

    @property
    def reason(self) -> str:
        """The refusing findings in words; empty when approved."""
        return "; ".join(str(finding) for finding in self.findings if not finding.passed)

    @classmethod
    def from_record(cls, intent: OrderIntent, record: Mapping[str, Any]) -> Decision:
        """The decision on `intent` that `record` describes."""
        return cls(
            intent=intent,
            approved=record["verdict"] == "APPROVED",
            findings=tuple(Finding(**finding) for finding in record["findings"]),
            limits_version=record["limits_version"],
            now_ms=record["gate_ms"],
            reference_price=amount_of_text(record["reference_price"]),
            reference_ms=record["reference_ms"],
            inputs=record["inputs"],
        )

    def record(self) -> dict[str, Any]:
        """The decision as plain data, for the journal."""
        return {
            **order_fields(self.intent),
            "verdict": "APPROVED" if self.approved else "REFUSED",
            "limits_version": self.limits_version,
            "gate_ms": self.now_ms,
            "reference_price": amount_text(self.reference_price),
            "reference_ms": self.reference_ms,
            "findings": [
                {
                    "control": finding.control,
                    "passed": finding.passed,
                    "measured": finding.measured,
                    "bound": finding.bound,
                    "set_by": finding.set_by,
                }
                for finding in self.findings
            ],
            "inputs": dict(self.inputs),
        }


@dataclass(frozen=True, slots=True)
class ApprovedOrder:
    """An order the gate let through: the only type a venue gateway accepts."""

    intent: OrderIntent
    decision: Decision

    def __post_init__(self) -> None:
        if not self.decision.approved or self.decision.intent != self.intent:
            raise ValueError("an order is approved by its own decision or not at all")


@dataclass(frozen=True, slots=True)
class Refused:
    """An order the gate stopped, with everything it found."""

    intent: OrderIntent
    decision: Decision
