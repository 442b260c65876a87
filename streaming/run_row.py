"""The run's row in the operational database: begun, alive, ended."""

from __future__ import annotations

import json
import os
from typing import Any

from sqlalchemy import insert, select, update

from qtm.execution.journal import Journal
from qtm.execution.limited_use import LIMITED_RUN, limited_terms
from qtm.risk.limited import LimitedLive
from qtm.store.schema import runs
from qtm.strategies.contract import StepStrategy
from streaming.config import StreamConfig
from streaming.run import Run


class RunRow:
    """One run's row in `runs`, over all its restarts."""

    def __init__(self, journal: Journal, run: Run) -> None:
        self.journal = journal
        self.run = run

    def begin(
        self, config: StreamConfig, strategy: StepStrategy, now_ms: int, limited: LimitedLive | None
    ) -> None:
        """Enter the run, or say that it goes on in this process; it is HALTED until it is armed."""
        caps = {} if limited is None else {LIMITED_RUN: limited_terms(limited)}
        row = {
            "account": config.account,
            "strategy": strategy.name,
            "strategy_version": strategy.version,
            "symbols": " ".join(config.symbols),
            "settings": json.dumps({**self.run.identity, **caps}),
            "pid": os.getpid(),
            "started_ms": now_ms,
            "heartbeat_ms": self.journal.clock.now_ms(),
            "ended_ms": None,
            "state": "HALTED",
        }
        with self.journal.database.write() as connection:
            known = connection.execute(select(runs.c.run_id).where(runs.c.run_id == self.run.run_id)).first()
            if known is None:
                connection.execute(insert(runs).values(run_id=self.run.run_id, **row))
            else:
                connection.execute(update(runs).where(runs.c.run_id == self.run.run_id).values(row))

    def heartbeat(self, state: str) -> None:
        """Say that the process lives, and in which trading state."""
        self._set({"heartbeat_ms": self.journal.clock.now_ms(), "state": state})

    def end(self, summary: dict[str, Any]) -> None:
        """Say that the process has ended, and what it did."""
        now_ms = self.journal.clock.now_ms()
        self._set({"state": "STOPPED", "ended_ms": now_ms, "summary": json.dumps(summary)})

    def _set(self, values: dict[str, Any]) -> None:
        with self.journal.database.write() as connection:
            connection.execute(update(runs).where(runs.c.run_id == self.run.run_id).values(values))
