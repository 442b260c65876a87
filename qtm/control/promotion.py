"""The promotion ladder: one rung at a time, by somebody else than the author, on evidence, until it expires.

RESEARCH -> BACKTEST -> REPLAY -> PAPER -> LIVE_LIMITED -> LIVE. A promotion is bound to the hash of code,
parameters, configuration and the data its evidence was made from. Every grant is one link of a hash chain: a
ladder whose chain is broken grants nothing.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, insert, select

from qtm.backtest.look_ahead import Proof
from qtm.backtest.overfitting.verdict import Verdict, verdict_of
from qtm.backtest.proofs import prove
from qtm.clock import Clock, SystemClock, iso_utc
from qtm.control.candidate import Candidate, describes
from qtm.control.dossier import DossierFile, find_dossier
from qtm.control.requirements import Evidence, Requirement, Rung, Waiver, requirements_of
from qtm.errors import RiskError, StoreError
from qtm.execution.chain import GENESIS, canonical, chained, first_break
from qtm.settings import ControlSettings, LimitedSettings
from qtm.store.database import Database
from qtm.store.schema import examinations, promotions
from qtm.strategies.registry import Strategy

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a candidate stands today; `expires_ms` and `since_ms` are None at RESEARCH.

    `dossier` is the SHA-256 of the dossier the grant was made on; None below LIVE_LIMITED. `caps` are those a
    grant of LIVE_LIMITED was made under; None at any other rung.
    """

    rung: Rung
    since_ms: int | None = None
    expires_ms: int | None = None
    waiver: Waiver | None = None
    dossier: str | None = None
    caps: LimitedSettings | None = None


@dataclass(frozen=True, slots=True)
class Pack:
    """The evidence pack for one step: where the candidate stands, and what the next rung asks for.

    `caps` are what it would trade under at LIVE_LIMITED; None towards any other rung.
    """

    candidate: Candidate
    standing: Standing
    to: Rung
    requirements: tuple[Requirement, ...]
    verdict: Verdict | None
    data_version: int | None
    dossier: DossierFile
    caps: LimitedSettings | None

    @property
    def complete(self) -> bool:
        """Every requirement is met."""
        return all(requirement.met for requirement in self.requirements)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        standing = self.standing
        return {
            "candidate": dataclasses.asdict(self.candidate) | {"digest": self.candidate.digest},
            "standing": str(standing.rung),
            "expires": None if standing.expires_ms is None else iso_utc(standing.expires_ms),
            "to": str(self.to),
            "complete": self.complete,
            "requirements": [dataclasses.asdict(one) for one in self.requirements],
            "verdict": None if self.verdict is None else self.verdict.as_dict(),
            "data_version": self.data_version,
            "dossier": self.dossier.as_dict(),
            "caps": None if self.caps is None else self.caps.model_dump(mode="json"),
        }


class Ladder:
    """The ladder inside the operational database; the dossiers it asks for lie in the folder `dossiers`."""

    def __init__(
        self, database: Database, rules: ControlSettings, dossiers: Path, clock: Clock | None = None
    ) -> None:
        self._database = database
        self._rules = rules
        self._dossiers = dossiers
        self._clock = clock or SystemClock()

    def record_examination(self, candidate: Candidate, verdict: Verdict, examined_by: str) -> None:
        """Put a verdict on the candidate's record.

        Raises
        ------
        RiskError
            When the verdict is about something else.
        """
        subject = verdict.subject
        if not describes(subject, candidate):
            raise RiskError(
                "the verdict was not made on this candidate",
                where=f"{subject.strategy} {subject.params} on {subject.symbol} {subject.interval}",
                remedy="examine exactly the code and parameters to be promoted",
            )
        row = {
            "candidate": candidate.digest,
            "strategy": candidate.strategy,
            "data_version": subject.data_version,
            "verdict": json.dumps(verdict.as_dict(), sort_keys=True),
            "examined_by": examined_by,
            "created_ms": self._clock.now_ms(),
        }
        with self._database.write() as connection:
            connection.execute(insert(examinations).values(row))

    def newest_verdict(self, candidate: Candidate) -> Verdict | None:
        """The verdict of the candidate's newest examination, if there is one."""
        with self._database.read() as connection:
            return self._newest_verdict(candidate, connection)[0]

    def verdicts_on(self, strategy: str) -> list[Verdict]:
        """The newest verdict on each candidate of a strategy, the newest examination first."""
        query = (
            select(examinations.c.candidate, examinations.c.verdict)
            .where(examinations.c.strategy == strategy)
            .order_by(examinations.c.examination_id.desc())
        )
        newest: dict[str, str] = {}
        with self._database.read() as connection:
            for row in connection.execute(query):
                newest.setdefault(row.candidate, row.verdict)
        return [verdict_of(json.loads(text)) for text in newest.values()]

    def standing(self, candidate: Candidate) -> Standing:
        """The candidate's rung today: its newest grant that has not expired, else RESEARCH.

        Raises
        ------
        StoreError
            When the chain of grants was tampered with.
        """
        with self._database.read() as connection:
            return self._standing(candidate, connection)

    def require(self, candidate: Candidate, rung: Rung) -> Standing:
        """The candidate's standing, or RiskError when it is below `rung`."""
        standing = self.standing(candidate)
        if standing.rung.height < rung.height:
            raise RiskError(
                f"{candidate.strategy} stands at {standing.rung}, {rung} is needed",
                where=f"{candidate.symbol} {candidate.interval}, candidate {candidate.digest[:12]}",
                remedy="`qtm promote` shows what is missing; changed code or configuration starts again",
            )
        return standing

    def pack(self, strategy: Strategy, candidate: Candidate, waiver: Waiver | None = None) -> Pack:
        """The evidence pack for the candidate's next rung.

        Raises
        ------
        RiskError
            When the candidate already stands at LIVE, or the waiver is not a risk officer's.
        """
        proof = prove(strategy, dict(candidate.params))
        with self._database.read() as connection:
            return self._pack(strategy, candidate, proof, waiver, connection)

    def promote(
        self,
        strategy: Strategy,
        candidate: Candidate,
        to: Rung,
        *,
        author: str,
        authoriser: str,
        waiver: Waiver | None = None,
    ) -> Standing:
        """Grant one step up the ladder.

        Raises
        ------
        RiskError
            With every reason, when the step is not the next one, the authoriser is the author or not
            designated, the waiver is not a risk officer's, or a requirement is not met. Nothing is written.
        """
        self._check_people(author, authoriser, waiver)
        proof = prove(strategy, dict(candidate.params))
        with self._database.write() as connection:
            pack = self._pack(strategy, candidate, proof, waiver, connection)
            if to is not pack.to:
                raise RiskError(
                    f"{candidate.strategy} stands at {pack.standing.rung}, the next rung is {pack.to}",
                    where=f"asked for {to}",
                    remedy="promote one rung at a time",
                )
            missing = [one for one in pack.requirements if not one.met]
            if missing:
                raise RiskError(
                    "; ".join(f"{one.name}: {one.observed}" for one in missing),
                    where=f"{candidate.strategy} to {to}",
                    remedy=missing[0].remedy,
                )
            self._grant(pack, author, authoriser, waiver or pack.standing.waiver, connection)
        return self.standing(candidate)

    def history(self, candidate: Candidate | None = None) -> list[dict[str, Any]]:
        """Every grant, oldest first, as recorded."""
        with self._database.read() as connection:
            rows = self._chain(connection)
        return [
            json.loads(row.record) for row in rows if candidate is None or row.candidate == candidate.digest
        ]

    def _pack(
        self,
        strategy: Strategy,
        candidate: Candidate,
        proof: Proof,
        waiver: Waiver | None,
        connection: Connection,
    ) -> Pack:
        standing = self._standing(candidate, connection)
        if standing.rung is Rung.LIVE:
            raise RiskError(f"{candidate.strategy} already stands at LIVE", where=candidate.digest[:12])
        to = list(Rung)[standing.rung.height + 1]
        verdict, data_version = self._newest_verdict(candidate, connection)
        since = standing.since_ms
        days = 0.0 if since is None else (self._clock.now_ms() - since) / _DAY_MS
        dossier = find_dossier(self._dossiers, candidate.strategy)
        evidence = Evidence(
            strategy, candidate, proof, verdict, waiver or standing.waiver, days, dossier, standing.dossier
        )
        asked = requirements_of(to, evidence, connection)
        caps = self._rules.limited if to is Rung.LIVE_LIMITED else None
        return Pack(candidate, standing, to, asked, verdict, data_version, dossier, caps)

    def _days_of(self, pack: Pack) -> int:
        """How long a grant lasts: limited live trading no longer than its days."""
        days = self._rules.promotion_days
        return days if pack.caps is None else min(days, pack.caps.max_days)

    def _standing(self, candidate: Candidate, connection: Connection) -> Standing:
        now_ms = self._clock.now_ms()
        standing = Standing(Rung.RESEARCH)
        for row in self._chain(connection):
            if row.candidate == candidate.digest and row.expires_ms > now_ms:
                standing = _standing_of(row)
        return standing

    def _chain(self, connection: Connection) -> Sequence[Any]:
        rows = connection.execute(select(promotions).order_by(promotions.c.promotion_id)).all()
        broken = first_break((row.record, row.hash) for row in rows)
        if broken is None:
            broken = next((i for i, row in enumerate(rows) if not _columns_agree(row)), None)
        if broken is not None:
            raise StoreError(
                "the record of promotions was altered",
                where=f"promotion {rows[broken].promotion_id}",
                remedy="nothing is promoted until an auditor has restored it",
            )
        return rows

    def _newest_verdict(
        self, candidate: Candidate, connection: Connection
    ) -> tuple[Verdict | None, int | None]:
        query = (
            select(examinations.c.verdict, examinations.c.data_version)
            .where(examinations.c.candidate == candidate.digest)
            .order_by(examinations.c.examination_id.desc())
            .limit(1)
        )
        row = connection.execute(query).first()
        return (None, None) if row is None else (verdict_of(json.loads(row.verdict)), row.data_version)

    def _check_people(self, author: str, authoriser: str, waiver: Waiver | None) -> None:
        if not author.strip() or _same_person(author, authoriser):
            raise RiskError(
                "the authoriser must be somebody else than the author",
                where=f"author {author!r}, authoriser {authoriser!r}",
            )
        if authoriser not in self._rules.authorisers:
            raise RiskError(
                f"{authoriser!r} is not a designated authoriser",
                where="control.authorisers",
                remedy="name authorisers in the settings; an empty list means nobody",
            )
        if waiver is None:
            return
        if waiver.by not in self._rules.risk_officers or _same_person(waiver.by, author):
            raise RiskError(
                f"{waiver.by!r} may not waive gates",
                where="control.risk_officers",
                remedy="a waiver is granted by a risk officer who is not the author",
            )
        if not waiver.reason.strip() or not waiver.controls:
            raise RiskError("a waiver names its gates and its reason", where=f"by {waiver.by}")

    def _grant(
        self, pack: Pack, author: str, authoriser: str, waiver: Waiver | None, connection: Connection
    ) -> None:
        now_ms = self._clock.now_ms()
        candidate = pack.candidate
        columns = {
            "candidate": candidate.digest,
            "strategy": candidate.strategy,
            "rung": str(pack.to),
            "granted_ms": now_ms,
            "expires_ms": now_ms + self._days_of(pack) * _DAY_MS,
        }
        record = canonical(
            {
                **columns,
                "of": dataclasses.asdict(candidate),
                "bound_to": candidate.with_data(pack.data_version),
                "data_version": pack.data_version,
                "from": str(pack.standing.rung),
                "author": author,
                "authoriser": authoriser,
                "waiver": None if waiver is None else dataclasses.asdict(waiver),
                "requirements": [dataclasses.asdict(one) for one in pack.requirements],
                "verdict": None if pack.verdict is None else pack.verdict.as_dict(),
                **(_live_terms(pack) if pack.to.live else {}),
            }
        )
        rows = self._chain(connection)
        previous = rows[-1].hash if rows else GENESIS
        connection.execute(
            insert(promotions).values(
                **columns, record=record, previous=previous, hash=chained(previous, record)
            )
        )


def _live_terms(pack: Pack) -> dict[str, Any]:
    """What a grant of live trading is made on besides the evidence."""
    dossier = {"sha256": pack.dossier.digest, "text": pack.dossier.text}
    return {"dossier": dossier, "caps": None if pack.caps is None else pack.caps.model_dump(mode="json")}


def _standing_of(row: Any) -> Standing:
    record = json.loads(row.record)
    dossier, caps = record.get("dossier"), record.get("caps")
    return Standing(
        Rung(row.rung),
        row.granted_ms,
        row.expires_ms,
        _waiver(record["waiver"]),
        None if dossier is None else dossier["sha256"],
        None if caps is None else LimitedSettings.model_validate(caps),
    )


def _same_person(one: str, other: str) -> bool:
    """Whether two names are one person's, whatever their case and the space around and inside them."""
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()


def _columns_agree(row: Any) -> bool:
    record = json.loads(row.record)
    return all(
        record.get(name) == getattr(row, name)
        for name in ("candidate", "strategy", "rung", "granted_ms", "expires_ms")
    )


def _waiver(body: dict[str, Any] | None) -> Waiver | None:
    if body is None:
        return None
    return Waiver(tuple(body["controls"]), body["by"], body["reason"])
