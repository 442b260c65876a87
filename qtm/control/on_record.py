"""What the platform knows of a candidate: everything in its dossier that nobody types (TD-01)."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from qtm.backtest.look_ahead import Proof
from qtm.backtest.overfitting.verdict import Verdict
from qtm.backtest.proofs import prove
from qtm.clock import iso_utc
from qtm.control.candidate import Candidate
from qtm.control.promotion import Ladder, Standing
from qtm.control.run_rows import runs_of
from qtm.risk.limited import tighter
from qtm.risk.limits import EffectiveLimits, LimitTree
from qtm.settings import LimitedSettings
from qtm.store.database import Database
from qtm.store.schema import kills
from qtm.strategies.registry import Strategy


@dataclass(frozen=True, slots=True)
class OnRecord:
    """A candidate's code, parameters, limits, proofs, verdict, grants, runs and kills.

    Attributes
    ----------
    limits
        The limits in force for the strategy, by symbol.
    caps
        What it trades, or would trade, under at LIVE_LIMITED (TD-07).
    grants
        Every promotion ever granted to exactly this candidate, oldest first, with its waiver.
    runs
        Runs of exactly this candidate, oldest first.
    kills
        Kills of the strategy, one of its symbols or the firm, oldest first, released or not.
    """

    strategy: Strategy
    candidate: Candidate
    standing: Standing
    limits: Mapping[str, EffectiveLimits]
    caps: LimitedSettings
    proof: Proof
    verdict: Verdict | None
    grants: tuple[dict[str, Any], ...]
    runs: tuple[dict[str, Any], ...]
    kills: tuple[dict[str, Any], ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        standing = self.standing
        return {
            "candidate": dataclasses.asdict(self.candidate) | {"digest": self.candidate.digest},
            "kind": self.strategy.kind,
            "summary": self.strategy.summary,
            "source": str(self.strategy.source),
            "standing": str(standing.rung),
            "expires": None if standing.expires_ms is None else iso_utc(standing.expires_ms),
            "granted_dossier": standing.dossier,
            "limits": {symbol: _limits(found) for symbol, found in self.limits.items()},
            "caps": self.caps.model_dump(mode="json"),
            "proofs": [dataclasses.asdict(one) for one in self.proof.findings],
            "verdict": None if self.verdict is None else self.verdict.as_dict(),
            "promotions": list(self.grants),
            "runs": list(self.runs),
            "kills": list(self.kills),
        }


def on_record(
    strategy: Strategy,
    candidate: Candidate,
    ladder: Ladder,
    database: Database,
    limits: LimitTree,
    caps: LimitedSettings,
) -> OnRecord:
    """Pull a candidate's records together; the look-ahead proofs are run now.

    Parameters
    ----------
    limits, caps
        Those of the settings; a grant of LIVE_LIMITED may hold tighter caps, which are then in force.

    Raises
    ------
    StoreError
        When the record of promotions was altered.
    """
    standing = ladder.standing(candidate)
    symbols = [name.rpartition(":")[2] for name in candidate.symbol.split("+")]
    with database.read() as connection:
        runs = tuple(_run(row) for row in runs_of(strategy, candidate, connection))
        stopped = tuple(_kills(candidate.strategy, symbols, connection))
    return OnRecord(
        strategy=strategy,
        candidate=candidate,
        standing=standing,
        limits={symbol: limits.effective(strategy.name, symbol) for symbol in symbols},
        caps=caps if standing.caps is None else tighter(caps, standing.caps),
        proof=prove(strategy, dict(candidate.params)),
        verdict=ladder.newest_verdict(candidate),
        grants=tuple(_grant(record) for record in ladder.history(candidate)),
        runs=runs,
        kills=stopped,
    )


def _limits(found: EffectiveLimits) -> dict[str, Any]:
    values = found.limits._asdict()
    return {
        name: {"value": _amount(values[name]), "set_by": scope} for name, scope in found.set_by.items()
    } | {"version": found.version}


def _amount(value: Any) -> str | None:
    return None if value.is_nan() else f"{value:f}"


def _grant(record: Mapping[str, Any]) -> dict[str, Any]:
    dossier = record.get("dossier")
    return {
        "rung": record["rung"],
        "granted": iso_utc(record["granted_ms"]),
        "expires": iso_utc(record["expires_ms"]),
        "author": record["author"],
        "authoriser": record["authoriser"],
        "waiver": record["waiver"],
        "dossier": None if dossier is None else dossier["sha256"],
    }


def _run(row: Any) -> dict[str, Any]:
    summary = json.loads(row.summary) if row.summary else {}
    return {
        "run_id": row.run_id,
        "account": row.account,
        "state": row.state,
        "started": iso_utc(row.started_ms),
        "ended": None if row.ended_ms is None else iso_utc(row.ended_ms),
        "bars": summary.get("bars"),
        "fills": summary.get("fills"),
    }


def _kills(strategy: str, symbols: list[str], connection: Connection) -> list[dict[str, Any]]:
    names = {"strategy": {strategy}, "symbol": set(symbols), "firm": {""}}
    return [
        {
            "scope": row.scope,
            "target": row.target,
            "account": row.account,
            "actor": row.actor,
            "reason": row.reason,
            "latched": iso_utc(row.latched_ns // 1_000_000),
            "released": None if row.released_ns is None else iso_utc(row.released_ns // 1_000_000),
            "released_by": row.released_by,
        }
        for row in connection.execute(select(kills).order_by(kills.c.kill_id))
        if row.target in names.get(row.scope, {row.target})
    ]
