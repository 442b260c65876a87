"""The proofs hold for every bundled strategy, and fail for strategies that misbehave."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtm.backtest.look_ahead import check_strategy
from qtm.strategies.registry import list_strategies, load_strategy

HEADER = """\
from typing import NamedTuple
import numpy as np
from qtm.strategies.contract import step_strategy

class Params(NamedTuple):
    length: int = 5

@step_strategy(name="bad", summary="Bad.", params=Params, bounds={"length": (1, 50)}, state={"n": "i8"},
               warmup=lambda params: 10)
def bad(params, state, bar, account):
"""


# Shorter than the defaults, so that the proofs, whose work grows with the square of the warm-up, stay quick.
SHORT = {
    "breakout": {"channel": 24, "ranges": 14, "width": 3.0},
    "level-risk": {"length": 100, "volatility": 0.002, "slack": 0.02},
    "mean-reversion": {"window": 30, "entry": 1.5},
    "momentum": {"lookback": 48, "every": 6},
    "regime": {"fast": 10, "slow": 40, "now": 10, "usual": 120},
    "rsi-dip": {"length": 10, "entry": 40.0, "trend": 60},
    "squeeze": {"window": 20, "memory": 60, "width": 1.5, "narrow": 2.0},
    "trend": {"fast": 5, "slow": 20},
}


@pytest.mark.parametrize("name", [strategy.name for strategy in list_strategies("step")])
def test_bundled_strategies_pass_every_proof(name: str) -> None:
    proof = check_strategy(load_strategy(name), SHORT[name])
    assert proof.passed, proof
    assert not proof.findings[0].observed.endswith(" 0 orders"), "a strategy that never trades proves nothing"


@pytest.mark.parametrize(
    ("body", "failing"),
    [
        ("    return 1.0\n", "answers sanely after its warm-up"),
        ("    return np.nan\n", "answers sanely after its warm-up"),
        (
            "    state.n += 1\n    return np.random.random() if state.n > 10 else np.nan\n",
            "two runs are equal",
        ),
        (
            "    state.n += 1\n    past = np.zeros(20)\n"
            "    return np.nan if state.n < 11 else 1.0 + 0.0 * past[state.n % 30]\n",
            "plain Python equals compiled",
        ),
    ],
)
def test_a_strategy_that_misbehaves_is_caught(tmp_path: Path, body: str, failing: str) -> None:
    path = tmp_path / "bad.py"
    path.write_text(HEADER + body)
    proof = check_strategy(load_strategy(str(path)))
    assert failing in [finding.name for finding in proof.findings if not finding.passed]
