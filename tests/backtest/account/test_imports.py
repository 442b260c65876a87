"""A run on one account loads no more than it needs: its memory is a tenth of what peers take."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import sys
from qtm.backtest.account.engine import run_account
from qtm.strategies.registry import load_strategy
load_strategy("trend")
print(*({"polars", "highspy", "pydantic", "pandas"} & set(sys.modules)))
"""


def test_a_run_of_one_strategy_loads_no_tables_files_of_settings_or_solvers() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == []
