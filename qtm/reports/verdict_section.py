"""The verdict of an examination for luck as a section of a report."""

from __future__ import annotations

from qtm.backtest.overfitting.verdict import Bound, Control, Verdict
from qtm.reports.blocks import Cell, Section, table
from qtm.reports.formats import percent, ratio

_PERCENT_GATES = frozenset(Control) - {Control.DEFLATED_SHARPE}


def verdict_section(verdict: Verdict) -> Section:
    """The gates as a table, for this report and the tear sheet."""
    rows = [
        (
            gate.bound.title,
            gate.explanation,
            shown(gate.control, gate.measured),
            bound_in_words(gate.control, gate.bound),
            Cell("passed" if gate.passed else "failed", "good" if gate.passed else "bad"),
        )
        for gate in verdict.gates
    ]
    return Section(
        "Verdict",
        [table(("Gate", "What it says", "Measured", "Wanted", ""), rows, text_columns=2)],
        verdict.summary,
    )


def bound_in_words(control: Control, bound: Bound) -> str:
    """`≥ 0.95` or `≤ 10.0 %`."""
    return f"{'≥' if bound.at_least else '≤'} {shown(control, bound.value)}"


def shown(control: Control, value: float | None) -> str:
    """A gate's value as people read it."""
    if value is None:
        return "not measured"
    return percent(value, 1) if control in _PERCENT_GATES else ratio(value, 3)
