"""The stream's runs of exactly a candidate: its code, symbol, interval and parameters."""

from __future__ import annotations

import json
import math
from typing import Any

from sqlalchemy import Connection, select

from qtm.control.candidate import Candidate
from qtm.errors import QtmError
from qtm.store.schema import runs
from qtm.strategies.registry import Strategy


def runs_of(strategy: Strategy, candidate: Candidate, connection: Connection) -> list[Any]:
    """Its rows of `runs`, oldest first, those still going included."""
    query = (
        select(runs)
        .where(runs.c.strategy == candidate.strategy, runs.c.strategy_version == strategy.version)
        .order_by(runs.c.started_ms)
    )
    return [row for row in connection.execute(query) if _same_setup(row, strategy, candidate)]


def ended_runs(strategy: Strategy, candidate: Candidate, connection: Connection) -> list[Any]:
    """Those that have ended."""
    return [row for row in runs_of(strategy, candidate, connection) if row.ended_ms is not None]


def _same_setup(row: Any, strategy: Strategy, candidate: Candidate) -> bool:
    try:
        setup = json.loads(row.settings)
        # The stream writes numbers as it took them: 3.0 is a whole number too.
        params = strategy.params({name: float(text) for name, text in setup["params"].items()})
    except (ValueError, KeyError, TypeError, AttributeError, QtmError):
        return False
    named = tuple(sorted((name, float(value)) for name, value in params._asdict().items()))
    return (
        candidate.symbol in row.symbols.split()
        and setup.get("interval") == candidate.interval
        and all(math.isclose(a, b) and n == m for (n, a), (m, b) in zip(named, candidate.params, strict=True))
    )
