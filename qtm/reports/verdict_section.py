"""The verdict of an examination for luck as a section of a report."""

from __future__ import annotations

from collections.abc import Sequence

from qtm.backtest.overfitting.verdict import Bound, Control, Subject, Verdict
from qtm.clock import iso_utc
from qtm.reports.blocks import Cell, Section, paragraph, table
from qtm.reports.formats import percent, ratio

_NAMED = 3
_PERCENT_GATES = frozenset(Control) - {Control.DEFLATED_SHARPE}


def verdict_section(verdict: Verdict | None, others: Sequence[Verdict] = ()) -> Section:
    """The gates as a table, with what was examined; of what was never examined, how to.

    `others` are the verdicts on other parameters, symbols or bars of the strategy, the newest first: whoever
    examined the best of a grid and ran something else sees why no verdict stands here.
    """
    if verdict is None:
        unknown = (
            "No examination of exactly this code, these parameters, symbols and interval is on record: how "
            "much of the result is luck is unknown. The command qtm overfit examines it."
        )
        elsewhere = [paragraph(f"Examined were {examined_in_words(others)}.")] if others else []
        return Section("Verdict", [paragraph(unknown, "warn"), *elsewhere])
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


def examined_in_words(verdicts: Sequence[Verdict]) -> str:
    """The newest three: `fast 24, slow 96 on BTCUSDT 1h, 2024-01-01 to 2024-12-31 (failed 3 of 7 gates)`."""
    words = []
    for verdict in verdicts[:_NAMED]:
        subject = verdict.subject
        chosen = ", ".join(f"{name} {value:g}" for name, value in subject.params.items())
        gates, failed = len(verdict.gates), len(verdict.failed)
        outcome = f"failed {failed} of {gates} gates" if failed else f"passed all {gates} gates"
        words.append(
            f"{chosen} on {subject.symbol} {subject.interval}, {iso_utc(subject.first_ms)[:10]} to "
            f"{iso_utc(subject.last_ms)[:10]} ({outcome})"
        )
    more = len(verdicts) - len(words)
    return "; ".join([*words, *([f"and {more} more"] if more else [])])


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
