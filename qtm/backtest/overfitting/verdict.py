"""The gates a strategy must pass before it may be promoted, and the verdict over all of them.

Bounds: deflated Sharpe ratio at least 0.95, probability of overfitting at most 0.2, Hansen's consistent
p-value at most 0.10, a profit at doubled costs, a plateau within 20 % of the parameters, and no stress event
that costs more than the drawdown limit. What could not be measured has not been passed.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from qtm.backtest.place import Place
from qtm.errors import RiskError


class Control(StrEnum):
    """The gates, in the order they are shown."""

    DEFLATED_SHARPE = "deflated_sharpe"
    OVERFITTING = "overfitting_probability"
    SUPERIOR_ABILITY = "superior_ability"
    DOUBLED_COSTS = "doubled_costs"
    NEIGHBOURS_EARN = "neighbours_earn"
    NEIGHBOURS_KEEP = "neighbours_keep"
    STRESS = "stress"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a gate demands: `at_least` or at most `value`; `title` is its name for people."""

    title: str
    value: float
    at_least: bool

    def met_by(self, measured: float | None) -> bool:
        """Whether a measured value is inside; nothing measured is not."""
        if measured is None or math.isnan(measured):
            return False
        return measured >= self.value if self.at_least else measured <= self.value


BOUNDS: dict[Control, Bound] = {
    Control.DEFLATED_SHARPE: Bound("Deflated Sharpe ratio", 0.95, True),
    Control.OVERFITTING: Bound("Probability of overfitting", 0.2, False),
    Control.SUPERIOR_ABILITY: Bound("Chance of so good a best trial by luck", 0.10, False),
    Control.DOUBLED_COSTS: Bound("Net return at doubled costs", 0.0, True),
    Control.NEIGHBOURS_EARN: Bound("Neighbouring parameters that earn", 0.8, True),
    Control.NEIGHBOURS_KEEP: Bound("Sharpe ratio kept by the neighbours", 0.5, True),
    Control.STRESS: Bound("Worst fall in a stress event", 0.25, False),
}
"""Default bounds; the stress bound is replaced by the firm's drawdown limit."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate held against one strategy; `measured` is None when it could not be."""

    control: Control
    measured: float | None
    bound: Bound
    explanation: str

    @property
    def passed(self) -> bool:
        """True only for a measured value inside the bound."""
        return self.bound.met_by(self.measured)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        finite = self.measured is not None and math.isfinite(self.measured)
        return {
            "control": str(self.control),
            "title": self.bound.title,
            "measured": self.measured if finite else None,
            "bound": self.bound.value,
            "at_least": self.bound.at_least,
            "passed": self.passed,
            "explanation": self.explanation,
        }


@dataclass(frozen=True, slots=True)
class Subject(Place):
    """What was judged, and on what; `trials` counts all that were ever recorded of the strategy."""

    strategy: str
    strategy_version: str
    params: dict[str, float]
    trials: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """All gates over one subject."""

    subject: Subject
    gates: tuple[Gate, ...]

    def __post_init__(self) -> None:
        if tuple(gate.control for gate in self.gates) != tuple(Control):
            raise RiskError("a verdict holds every gate once", where=self.subject.strategy)

    @property
    def passed(self) -> bool:
        """Every gate is passed."""
        return all(gate.passed for gate in self.gates)

    @property
    def failed(self) -> tuple[Gate, ...]:
        """The gates that are not passed."""
        return tuple(gate for gate in self.gates if not gate.passed)

    @property
    def summary(self) -> str:
        """One sentence for people."""
        if self.passed:
            return f"{self.subject.strategy} passes all {len(self.gates)} gates."
        names = "; ".join(gate.bound.title for gate in self.failed)
        return f"{self.subject.strategy} fails {len(self.failed)} of {len(self.gates)} gates: {names}."

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the inverse of `verdict_of`."""
        return {
            "passed": self.passed,
            "summary": self.summary,
            "subject": dataclasses.asdict(self.subject),
            "gates": [gate.as_dict() for gate in self.gates],
        }


def verdict_of(body: dict[str, Any]) -> Verdict:
    """Read a verdict back from `as_dict`.

    The outcome is worked out again from measured values and bounds, never believed.

    Raises
    ------
    RiskError
        When a part is missing or not what it should be.
    """
    try:
        return Verdict(
            subject=Subject(**{**body["subject"], "symbols": tuple(body["subject"]["symbols"])}),
            gates=tuple(
                Gate(
                    Control(gate["control"]),
                    None if gate["measured"] is None else float(gate["measured"]),
                    Bound(str(gate["title"]), float(gate["bound"]), bool(gate["at_least"])),
                    str(gate["explanation"]),
                )
                for gate in body["gates"]
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RiskError(
            f"the verdict cannot be read: {type(error).__name__} {error}",
            remedy="run `qtm overfit` again",
        ) from error
