"""A step that does not look at the account is asked many bars ahead, which changes nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.result import AccountResult
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.errors import StrategyError
from qtm.features.indicators import WINDOW, rolling_sum
from qtm.strategies.contract import step_strategy
from qtm.trading.plan import KEEP, Plan
from tests.backtest.account.markets import wandering

BARS = 700
HOUR_MS = 3_600_000


class Params(NamedTuple):
    """Windows in bars."""

    fast: int = 3
    slow: int = 9


def _declared(name: str, step: Callable[..., Any]) -> Any:
    return step_strategy(
        name=name, summary="Crossing averages with a stop.", params=Params, bounds={},
        state={"fast": WINDOW, "slow": WINDOW},
    )(step)  # fmt: skip


def _ahead(params: Any, state: Any, bar: Any, account: Any) -> Plan:
    fast = rolling_sum(state.fast, bar.close_ticks, params.fast) * params.slow
    slow = rolling_sum(state.slow, bar.close_ticks, params.slow) * params.fast
    if state.slow.count < params.slow:
        return KEEP
    return Plan(1.0 if fast > slow else 0.0, stop=bar.close * 0.985)


def _in_step(params: Any, state: Any, bar: Any, account: Any) -> Plan:
    fast = rolling_sum(state.fast, bar.close_ticks, params.fast) * params.slow
    slow = rolling_sum(state.slow, bar.close_ticks, params.slow) * params.fast
    if state.slow.count < params.slow or account.equity < 0.0:
        return KEEP
    return Plan(1.0 if fast > slow else 0.0, stop=bar.close * 0.985)


def _failing(params: Any, state: Any, bar: Any, account: Any) -> float:
    if state.slow.count == params.slow and bar.close_ticks > 0.0:
        raise ValueError("enough bars seen")
    rolling_sum(state.slow, bar.close_ticks, params.slow)
    return 1.0


AHEAD, IN_STEP = _declared("asked-ahead", _ahead), _declared("asked-in-step", _in_step)


def _run(strategy: Any, monkeypatch: pytest.MonkeyPatch, ahead: int) -> AccountResult:
    """Three coins with holes; one is written off and comes back, one begins late."""
    monkeypatch.setattr("qtm.backtest.account.answers._MOST_ANSWERS", ahead)
    panel = wandering(("AUSDT", "BUSDT", "CUSDT"), BARS, 5)
    random = np.random.default_rng(1)
    gone = random.random((BARS, 3)) < 0.1
    gone[200:320, 1] = gone[:150, 2] = True
    for table in (panel.open, panel.high, panel.low, panel.close, panel.volume):
        table[gone] = np.nan
    conditions = Conditions(
        10_000.0, write_off_ms=48 * HOUR_MS, trade_from_ms=int(panel.open_time_ms[40]), haircut=0.2
    )
    return run_account([Seat(strategy)], panel, conditions, keep_signals=True)


def test_only_a_step_that_names_its_account_is_asked_in_step() -> None:
    assert not AHEAD.looks_at_account
    assert IN_STEP.looks_at_account


@pytest.mark.parametrize("ahead", [3, 192, 100_000], ids=["bar by bar", "blocks", "all at once"])
def test_asking_ahead_gives_the_run_of_asking_in_step(ahead: int, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, theirs = _run(AHEAD, monkeypatch, ahead), _run(IN_STEP, monkeypatch, ahead)
    assert {"stop", "delisting"} <= set(theirs.orders["cause"])
    assert mine.order_rows.tobytes() == theirs.order_rows.tobytes()
    assert mine.equity.tobytes() == theirs.equity.tobytes()
    assert np.array_equal(mine.signals, theirs.signals, equal_nan=True)
    assert mine.snapshot.memory == theirs.snapshot.memory
    assert mine.snapshot.strategies == theirs.snapshot.strategies


def test_a_step_that_fails_in_a_later_window_ends_the_run_and_its_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(StrategyError, match="a step failed: enough bars seen"):
        _run(_declared("failing-ahead", _failing), monkeypatch, 6)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("steps")]


def test_a_target_given_up_right_after_a_snapshot_is_seen() -> None:
    panel, conditions = wandering(("AUSDT",), BARS, 5), Conditions(10_000.0)
    whole = run_account([Seat(AHEAD)], panel, conditions, keep_signals=True)
    targets = whole.signals[:, 0]
    given_up = 1 + int(np.flatnonzero((targets[1:] == 0.0) & (targets[:-1] == 1.0))[2])
    first = run_account([Seat(AHEAD)], panel.slice(0, given_up), conditions)
    rest = run_account([Seat(AHEAD)], panel.slice(given_up, BARS), conditions, resume=first.snapshot)
    assert rest.equity.tobytes() == whole.equity[given_up:].tobytes()
