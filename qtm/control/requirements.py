"""What each rung of the ladder asks for, and whether the evidence on record shows it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, func, select

from qtm.backtest.look_ahead import Proof
from qtm.backtest.overfitting.verdict import Control, Verdict
from qtm.clock import iso_utc
from qtm.control.candidate import Candidate
from qtm.control.dossier import DossierFile
from qtm.control.run_rows import ended_runs
from qtm.errors import ConfigError
from qtm.market.instruments import Market
from qtm.store.schema import kills, trials
from qtm.strategies.registry import Strategy

REPLAY_BARS: Final = 1_440
"""Bars a replay must have handled."""
PAPER_DAYS: Final = 10.0
LIMITED_DAYS: Final = 20.0
"""Days of running, by the clock, on paper and in limited live trading."""

STREAMED_MARKET: Final = str(Market.SPOT)
"""The market whose orders the stream sends: its runs are no evidence for another one."""

WINDOW_SLACK_DAYS: Final = 31.0
"""Days of newer or older history that a trial may have seen beyond the examination."""

_DAY_MS: Final = 86_400_000


class Rung(StrEnum):
    """The ladder, lowest first."""

    RESEARCH = "RESEARCH"
    BACKTEST = "BACKTEST"
    REPLAY = "REPLAY"
    PAPER = "PAPER"
    LIVE_LIMITED = "LIVE_LIMITED"
    LIVE = "LIVE"

    @property
    def height(self) -> int:
        """0 for RESEARCH."""
        return list(Rung).index(self)

    @property
    def live(self) -> bool:
        """Orders go to a real venue."""
        return self in (Rung.LIVE_LIMITED, Rung.LIVE)


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing a rung asks for: what was observed and, when it is not met, what would meet it."""

    name: str
    met: bool
    observed: str
    remedy: str = ""


SOURCE: Final = "source"
"""What a strategy's source brings along, among the things that risk may accept."""
ACCEPTABLE: Final = (*map(str, Control), SOURCE)


@dataclass(frozen=True, slots=True)
class Waiver:
    """What risk accepts: failed gates of the verdict, or knowledge in the source (`SOURCE`).

    A candidate with a waived gate never goes past LIVE_LIMITED.

    Raises
    ------
    ConfigError
        When it names something else.
    """

    controls: tuple[str, ...]
    by: str
    reason: str

    def __post_init__(self) -> None:
        for name in self.controls:
            if name not in ACCEPTABLE:
                raise ConfigError(
                    f"risk cannot waive {name!r}", remedy=f"it may waive {', '.join(ACCEPTABLE)}"
                )


@dataclass(frozen=True)
class Evidence:
    """What is on record for a candidate.

    `granted_dossier` is the SHA-256 of the dossier that its newest live grant was made on, if there is one.
    """

    strategy: Strategy
    candidate: Candidate
    proof: Proof
    verdict: Verdict | None
    waiver: Waiver | None
    standing_days: float
    dossier: DossierFile
    granted_dossier: str | None = None


def requirements_of(rung: Rung, evidence: Evidence, connection: Connection) -> tuple[Requirement, ...]:
    """What `rung` asks for on top of the rung below it."""
    asked: dict[Rung, tuple[Callable[[Evidence, Connection], Requirement], ...]] = {
        Rung.RESEARCH: (),
        Rung.BACKTEST: (_blind_to_the_future, _examined),
        Rung.REPLAY: (_blind_to_the_future, _brings_nothing_along, _honest, _on_all_it_was_tried_on),
        Rung.PAPER: (_honest, _replayed, _no_kill),
        Rung.LIVE_LIMITED: (_honest, _described, _traded_on_paper, _no_kill),
        Rung.LIVE: (_honest, _described, _nothing_waived, _limited_long_enough, _no_kill),
    }
    return tuple(check(evidence, connection) for check in asked[rung])


def _blind_to_the_future(evidence: Evidence, _connection: Connection) -> Requirement:
    proofs = [finding for finding in evidence.proof.findings if not finding.acceptable]
    failed = [finding.name for finding in proofs if not finding.passed]
    observed = f"failed: {', '.join(failed)}" if failed else f"{len(proofs)} proofs passed"
    remedy = f"`qtm check {evidence.strategy.name}` shows where"
    return Requirement("Cannot see the future", not failed, observed, remedy)


def _brings_nothing_along(evidence: Evidence, _connection: Connection) -> Requirement:
    found = [finding for finding in evidence.proof.findings if finding.acceptable and not finding.passed]
    waiver = evidence.waiver if evidence.waiver and SOURCE in evidence.waiver.controls else None
    observed = "; ".join(finding.observed for finding in found) or "its bars are all it knows"
    if found and waiver is not None:
        observed += f"; accepted by {waiver.by}: {waiver.reason}"
    return Requirement(
        "Knows nothing of its own",
        not found or waiver is not None,
        observed,
        f"take it out, or let risk accept it by `--waive {SOURCE}`: a model trained on older data is honest",
    )


def _examined(evidence: Evidence, _connection: Connection) -> Requirement:
    verdict = evidence.verdict
    observed = "no examination on record" if verdict is None else f"{verdict.summary} {_made_from(verdict)}"
    remedy = f"`qtm overfit {evidence.strategy.name} --grid ...` with these parameters in the grid"
    return Requirement("Examined for luck", verdict is not None, observed, remedy)


def _honest(evidence: Evidence, connection: Connection) -> Requirement:
    if evidence.verdict is None:
        return _examined(evidence, connection)
    waived = evidence.waiver.controls if evidence.waiver else ()
    open_gates = [gate for gate in evidence.verdict.failed if gate.control not in waived]
    by = f"; waived by {evidence.waiver.by}: {', '.join(waived)}" if evidence.waiver else ""
    return Requirement(
        "Passes the gates",
        not open_gates,
        (", ".join(gate.bound.title for gate in open_gates) + " failed" if open_gates else "no gate open")
        + f"; {_made_from(evidence.verdict)}"
        + by,
        "a better strategy, longer history, or a waiver by risk (then LIVE_LIMITED at most)",
    )


def _on_all_it_was_tried_on(evidence: Evidence, connection: Connection) -> Requirement:
    """No window picked after a longer one was seen: the verdict covers every trial on its bars."""
    name = "Examined on all it was tried on"
    if evidence.verdict is None:
        return _examined(evidence, connection)
    subject = evidence.verdict.subject
    query = select(func.min(trials.c.start_ms), func.max(trials.c.end_ms)).where(
        trials.c.strategy == subject.strategy,
        trials.c.symbol == subject.symbol,
        trials.c.interval == subject.interval,
    )
    first_ms, last_ms = connection.execute(query).one()
    if first_ms is None:
        return Requirement(name, True, "no trial on record")
    left_out = max(subject.first_ms - first_ms, last_ms - subject.last_ms) / _DAY_MS
    return Requirement(
        name,
        left_out <= WINDOW_SLACK_DAYS,
        f"tried from {iso_utc(first_ms)[:10]} to {iso_utc(last_ms)[:10]}; {_made_from(evidence.verdict)}",
        "`qtm overfit` over all of that history",
    )


def _made_from(verdict: Verdict) -> str:
    """The history and the trials behind a verdict, so that a window picked for it shows."""
    subject = verdict.subject
    return (
        f"Examined from {iso_utc(subject.first_ms)[:10]} to {iso_utc(subject.last_ms)[:10]} among "
        f"{subject.trials:,} trials, data version {subject.data_version}"
    )


def _replayed(evidence: Evidence, connection: Connection) -> Requirement:
    if evidence.strategy.kind != "step":
        return Requirement(
            "Replayed through the stream",
            False,
            f"the stream runs step strategies, this is of kind {evidence.strategy.kind}",
            "until the stream runs its kind it stays at REPLAY",
        )
    if evidence.candidate.market != STREAMED_MARKET:
        return Requirement(
            "Replayed through the stream",
            False,
            f"the stream trades {STREAMED_MARKET}, this is for {evidence.candidate.market}",
            "until the stream trades its market it stays at REPLAY",
        )
    bars = sum(
        int(json.loads(row.summary).get("bars", 0))
        for row in ended_runs(evidence.strategy, evidence.candidate, connection)
        if row.summary
    )
    return Requirement(
        "Replayed through the stream",
        bars >= REPLAY_BARS,
        f"{bars:,} of {REPLAY_BARS:,} bars in ended runs",
        "`qtm paper serve --market replay`, then `qtm stream` with these parameters",
    )


def _described(evidence: Evidence, _connection: Connection) -> Requirement:
    """A person has said what the records cannot know (TD-01)."""
    dossier, granted = evidence.dossier, evidence.granted_dossier
    problem = dossier.problem
    observed = f"complete, SHA-256 {dossier.digest[:12]}" if problem is None else problem.what
    if granted is not None and granted != dossier.digest:
        observed += f"; changed since the last grant, which was made on {granted[:12]}"
    remedy = "" if problem is None else f"{problem.remedy} [{problem.where}]"
    return Requirement("Dossier", dossier.complete, observed, remedy)


def _traded_on_paper(evidence: Evidence, connection: Connection) -> Requirement:
    days = _days_by_the_clock(ended_runs(evidence.strategy, evidence.candidate, connection))
    return Requirement(
        "Traded on paper long enough",
        days >= PAPER_DAYS,
        f"{days:.1f} of {PAPER_DAYS:g} days by the clock",
        "keep it running on paper",
    )


def _days_by_the_clock(ended: list[Any]) -> float:
    """Days on which at least one run was running: runs side by side are not a longer time."""
    days, reached_ms = 0.0, 0
    for row in sorted(ended, key=lambda one: int(one.started_ms)):
        begun_ms = max(int(row.started_ms), reached_ms)
        days += max(0, int(row.ended_ms) - begun_ms) / _DAY_MS
        reached_ms = max(reached_ms, int(row.ended_ms))
    return days


def _limited_long_enough(evidence: Evidence, _connection: Connection) -> Requirement:
    days = evidence.standing_days
    return Requirement(
        "In limited live trading long enough",
        days >= LIMITED_DAYS,
        f"{days:.1f} of {LIMITED_DAYS:g} days",
        "keep it at LIVE_LIMITED",
    )


def _nothing_waived(evidence: Evidence, _connection: Connection) -> Requirement:
    waived = evidence.waiver is not None and set(evidence.waiver.controls) != {SOURCE}
    return Requirement(
        "No gate waived",
        not waived,
        "a gate of the verdict is waived" if waived else "none",
        "a strategy with a waived gate stays at LIVE_LIMITED",
    )


def _no_kill(evidence: Evidence, connection: Connection) -> Requirement:
    query = select(kills.c.scope, kills.c.target, kills.c.reason).where(kills.c.released_ns.is_(None))
    symbols = {name.rpartition(":")[2] for name in evidence.candidate.symbol.split("+")}
    names = {evidence.candidate.strategy, *symbols}
    latched = [row for row in connection.execute(query) if row.scope == "firm" or row.target in names]
    observed = f"{latched[0].scope} {latched[0].target}: {latched[0].reason}" if latched else "none in force"
    return Requirement("No kill in force", not latched, observed, "find the cause, then release it")
