"""Evidence for the tests of the ladder: a filled-in dossier, a verdict that passes, runs long enough."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from qtm.backtest.look_ahead import Proof
from qtm.backtest.overfitting.verdict import BOUNDS, Control, Gate, Subject, Verdict
from qtm.backtest.proofs import prove
from qtm.clock import ManualClock
from qtm.control import promotion
from qtm.control.candidate import Candidate
from qtm.control.promotion import Ladder, Standing
from qtm.control.requirements import PAPER_DAYS, REPLAY_BARS, Rung
from qtm.settings import ControlSettings
from qtm.store.database import Database
from qtm.store.schema import runs
from qtm.strategies.registry import load_strategy

DAY_MS = 86_400_000
GOOD = {
    Control.DEFLATED_SHARPE: 0.99,
    Control.OVERFITTING: 0.05,
    Control.SUPERIOR_ABILITY: 0.01,
    Control.DOUBLED_COSTS: 0.3,
    Control.NEIGHBOURS_EARN: 1.0,
    Control.NEIGHBOURS_KEEP: 0.9,
    Control.STRESS: 0.1,
}
FILLED = """
strategy = "trend"
purpose = "earns where a trend lasts for weeks"
owner = "the desk head"
inputs = ["closed bars of one symbol"]
data_sources = ["Binance, kline stream"]
kill_behaviour = "the position stays; the person on duty closes it by hand"
[[failure_modes]]
what = "a sideways market"
noticed_by = "the daily report's drawdown"
answer = "the owner stops it"
"""


def fill_in(folder: Path, strategy: str = "trend") -> Path:
    """Write a complete dossier; returns its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{strategy}.toml"
    path.write_text(FILLED.replace('"trend"', f'"{strategy}"'))
    return path


def prove_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the proofs of the same strategy and parameters once for all tests: they are equal every time."""
    monkeypatch.setattr(
        promotion, "prove", lambda strategy, params: _proven(strategy.name, tuple(params.items()))
    )


@functools.cache
def _proven(strategy: str, params: tuple[tuple[str, float], ...]) -> Proof:
    return prove(load_strategy(strategy), dict(params))


def verdict_on(candidate: Candidate, **changes: float) -> Verdict:
    """An examination of `candidate` that passes every gate, but for `changes`."""
    values = GOOD | {Control(name): value for name, value in changes.items()}
    place = (candidate.market, candidate.symbol, tuple(candidate.symbol.split("+")), candidate.interval)
    what = (candidate.strategy, candidate.code[:12], dict(candidate.params), 100)
    return Verdict(
        Subject(*place, 0, DAY_MS, 7, *what), tuple(Gate(c, values[c], BOUNDS[c], "words") for c in Control)
    )


def run_row(
    candidate: Candidate, run_id: str, start_ms: int, *, days: float = 0.0, bars: int = 0
) -> dict[str, Any]:
    """An ended run of exactly `candidate`, as the stream enters it."""
    params = {name: str(float(value)) for name, value in candidate.params}
    setup = {"params": params, "interval": candidate.interval, "symbols": [candidate.symbol]}
    return {
        "run_id": run_id, "account": "paper", "strategy": candidate.strategy,
        "strategy_version": load_strategy(candidate.strategy).version, "symbols": candidate.symbol,
        "settings": json.dumps(setup), "pid": 1, "started_ms": start_ms, "heartbeat_ms": start_ms,
        "ended_ms": start_ms + int(days * DAY_MS), "state": "STOPPED", "summary": json.dumps({"bars": bars}),
    }  # fmt: skip


def grant_limited_live(
    database: Database, rules: ControlSettings, dossiers: Path, candidate: Candidate, at_ms: int
) -> Standing:
    """Climb to LIVE_LIMITED at `at_ms`, with everything in order."""
    fill_in(dossiers, candidate.strategy)
    ladder = Ladder(database, rules, dossiers, ManualClock(at_ms))
    ladder.record_examination(candidate, verdict_on(candidate), "ann")
    row = run_row(candidate, f"paper {candidate.symbol}", at_ms, days=PAPER_DAYS, bars=REPLAY_BARS)
    with database.write() as connection:
        connection.execute(insert(runs).values(row))
    strategy = load_strategy(candidate.strategy)
    for rung in (Rung.BACKTEST, Rung.REPLAY, Rung.PAPER, Rung.LIVE_LIMITED):
        standing = ladder.promote(strategy, candidate, rung, author="ann", authoriser="bob")
    return standing
