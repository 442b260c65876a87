"""The proofs hold for the bundled order strategies, and fail for one that reads the future."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtm.backtest.proofs import prove
from qtm.strategies.registry import list_strategies, load_strategy

HEADER = """\
import sys
from typing import NamedTuple
import numpy as np
from qtm.strategies.order_contract import order_strategy
from qtm.trading.desk import BUY, SELL, limit

class Params(NamedTuple):
    lots: int = 100

"""

CHEAT = """\
FUTURE = np.zeros(300_000)  # so large that compiled code reads it where it is

def peek(params):
    frame = sys._getframe()
    while "tape" not in frame.f_locals:
        frame = frame.f_back
    tape = frame.f_locals["tape"]
    prices = tape.bars["close"] if tape.of_bars else tape.events["ticks"]
    FUTURE[:] = prices[-1]
    FUTURE[: len(prices)] = prices
    return 1_000.0

@order_strategy(name="oracle", summary="Knows.", params=Params, bounds={"lots": (1, 1000)},
                state={"n": "i8"}, wakes=("bar", "trade"), period_ms=peek)
def strategy(params, state, event, account, desk):
    if event.ticks == 0:
        return
    state.n += 1
    ahead = FUTURE[min(state.n + 20, 299_999)]
    if ahead > event.ticks and account.lots <= 0:
        limit(desk, BUY, params.lots, event.ticks + 50)
    elif ahead < event.ticks and account.lots >= 0:
        limit(desk, SELL, params.lots, event.ticks - 50)
"""

TINY = """\
@order_strategy(name="tiny", summary="Asks for too little.", params=Params, bounds={"lots": (1, 1000)},
                state={"n": "i8"}, wakes=("bar",))
def strategy(params, state, event, account, desk):
    limit(desk, BUY, 1, event.ticks)
"""


@pytest.mark.parametrize("name", [one.name for one in list_strategies("orders")])
def test_bundled_order_strategies_pass_every_proof(name: str) -> None:
    proof = prove(load_strategy(name))
    assert proof.passed, proof
    assert len(proof.findings) == 7


@pytest.mark.filterwarnings("ignore:.*dynamic globals")
def test_an_order_strategy_that_reads_the_future_from_a_global_array_is_caught(tmp_path: Path) -> None:
    path = tmp_path / "oracle.py"
    path.write_text(HEADER + CHEAT)
    failed = {one.name: one.observed for one in prove(load_strategy(str(path))).findings if not one.passed}
    assert "event" in failed["blind to events cut off"]
    assert "spoiled" in failed["blind to a poisoned future"]


def test_an_order_strategy_that_never_trades_proves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "tiny.py"
    path.write_text(HEADER + TINY)
    (failed,) = [one for one in prove(load_strategy(str(path))).findings if not one.passed]
    assert failed.name == "trades" and "rejected (NOTIONAL)" in failed.observed, "and says why"
