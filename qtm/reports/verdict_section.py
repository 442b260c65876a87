"""The verdict of an examination for luck as a section of a report."""

from __future__ import annotations

from qtm.backtest.overfitting.verdict import Bound, Control, Subject, Verdict
from qtm.clock import iso_utc
from qtm.reports.blocks import Cell, Section, paragraph, table
from qtm.reports.formats import percent, ratio

_PERCENT_GATES = frozenset(Control) - {Control.DEFLATED_SHARPE}


def verdict_section(verdict: Verdict | None) -> Section:
    """The gates as a table, with what was examined; of what was never examined, how to."""
    if verdict is None:
        return Section(
            "Verdict",
            [
                paragraph(
                    "No examination of exactly this code, these parameters, symbols and interval is on "
                    "record: how much of the result is luck is unknown. The command qtm overfit examines it.",
                    "warn",
                )
            ],
        )
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
        f"{verdict.summary} {_examined(verdict.subject)}",
    )


def _examined(subject: Subject) -> str:
    """On which data, and after how many trials."""
    data = "" if subject.data_version is None else f", lake version {subject.data_version}"
    return (
        f"Examined on {iso_utc(subject.first_ms)[:10]} to {iso_utc(subject.last_ms)[:10]}{data}, after "
        f"{subject.trials:,} trials of the strategy."
    )


def bound_in_words(control: Control, bound: Bound) -> str:
    """`≥ 0.95` or `≤ 10.0 %`."""
    return f"{'≥' if bound.at_least else '≤'} {shown(control, bound.value)}"


def shown(control: Control, value: float | None) -> str:
    """A gate's value as people read it."""
    if value is None:
        return "not measured"
    return percent(value, 1) if control in _PERCENT_GATES else ratio(value, 3)
