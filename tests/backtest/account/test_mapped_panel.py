"""A panel in mapped files, whose pages come and go, is worth the same as one in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.panel import Panel
from qtm.backtest.account.result import digest_of
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.strategies.registry import load_strategy
from tests.backtest.account.markets import wandering

TABLES = ("open", "high", "low", "close", "volume")


def _mapped(panel: Panel, folder: Path) -> Panel:
    for name in TABLES:
        np.save(folder / f"{name}.npy", getattr(panel, name))
    return replace(panel, **{name: np.load(folder / f"{name}.npy", mmap_mode="c") for name in TABLES})


def test_a_run_on_mapped_files_gives_what_one_in_memory_gives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtm.backtest.account.answers._MOST_ANSWERS", 200)
    held = wandering(("AUSDT", "BUSDT", "CUSDT"), 2_000, 5)
    mapped = _mapped(held, tmp_path)
    assert set(mapped.mapped()) == set(TABLES) and held.mapped() == {}
    seats = [Seat(load_strategy("trend"), {"fast": 5, "slow": 12})]
    for rows in ((0, 2_000), (37, 1_990)):
        results = [run_account(seats, one.slice(*rows), Conditions(1e5)) for one in (held, mapped)]
        assert digest_of(results[0]) == digest_of(results[1]) and results[0].statistics.fills > 20
