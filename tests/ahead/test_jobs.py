"""The jobs compile all that runs need: afterwards nothing is compiled any more."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from qtm.ahead.jobs import shared_jobs
from qtm.ahead.plan import SHARED, compile_ahead

RUNS = """
from qtm.compile_notice import told_of_compiling
from qtm.ahead.plan import SHARED
from qtm.ahead.jobs import shared_jobs
from qtm.backtest.proofs import prove
from qtm.strategies.registry import load_strategy
with told_of_compiling(print):
    for name in SHARED:
        shared_jobs()[name]()
    for name in ("trend", "grid", "cross-momentum", "pairs"):
        prove(load_strategy(name))
"""


def test_every_shared_job_is_planned() -> None:
    assert tuple(shared_jobs()) == SHARED


@pytest.mark.slow
def test_what_was_compiled_ahead_is_not_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTM_CACHE", str(tmp_path))
    compile_ahead([list(SHARED), ["strategy trend"]])
    run = subprocess.run(
        [sys.executable, "-c", RUNS], env=dict(os.environ), capture_output=True, text=True, check=True
    )
    assert run.stdout == ""
