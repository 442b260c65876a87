"""Whether a strategy that decides in Python saw the future of the very history it is examined on.

`qtm check` proves blindness on a made-up market, and a strategy could behave there and nowhere else. So the
examined run is repeated with the history ending at decisions it took: with nothing after a decision to look
at, it must decide the same. Machine code needs no such proof: it is handed one closed bar at a time.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.result import AccountResult
from qtm.backtest.account.seats import Seat
from qtm.backtest.conditions.account import AccountConditions
from qtm.backtest.conditions.contract import Conditions, Result, is_compiled
from qtm.clock import iso_utc
from qtm.errors import StrategyError
from qtm.strategies.registry import Strategy

_DECISIONS: Final = 12
"""Decisions taken again without their future, spread over the run."""


def require_blind(strategy: Strategy, picked: Any, conditions: Conditions, result: Result) -> None:
    """Refuse `result`, the run of `picked`, when its decisions needed what came after them.

    Raises
    ------
    StrategyError
        When a run over the beginning of the history decides otherwise there, or another run over all of it
        ends otherwise.
    """
    if is_compiled(strategy) or not isinstance(conditions, AccountConditions):
        return
    whole = _run(strategy, picked, conditions, len(conditions.panel))
    if not np.array_equal(whole.equity, result.equity):
        raise StrategyError(
            f"two runs of {strategy.name!r} differ",
            where=f"{strategy.source}, {dict(picked._asdict())}",
            remedy="keep what it remembers in its own attributes, and give every draw a seed",
        )
    for bars in _moments(whole):
        part = _run(strategy, picked, conditions, bars)
        alike = np.array_equal(part.signals, whole.signals[:bars], equal_nan=True)
        if not (alike and np.array_equal(part.equity, whole.equity[:bars])):
            closed_ms = int(conditions.panel.open_time_ms[bars - 1]) + conditions.panel.interval.ms
            raise StrategyError(
                f"{strategy.name!r} sees the future: what it decides until {iso_utc(closed_ms)} changes when "
                "the history ends there",
                where=f"{strategy.source}, {dict(picked._asdict())}",
                remedy="use only what the context or the window gives it",
            )


def _run(strategy: Strategy, picked: Any, conditions: AccountConditions, bars: int) -> AccountResult:
    """The first `bars` rows, with what was wanted at each close kept."""
    seat = Seat(strategy, picked, sizing=conditions.sizing)
    return run_account([seat], conditions.panel.slice(0, bars), conditions.under, keep_signals=True)


def _moments(whole: AccountResult) -> list[int]:
    """How many bars there were at decisions that became orders, evenly chosen among all of them."""
    closed = whole.panel.open_time_ms + whole.panel.interval.ms
    decided: npt.NDArray[np.int64] = np.unique(whole.order_rows["decided_ms"])
    counts = np.unique(np.searchsorted(closed, decided, "right"))
    counts = counts[(counts > 0) & (counts < len(closed))]
    chosen = np.linspace(0, counts.size - 1, min(counts.size, _DECISIONS)).astype(int)
    return [int(bars) for bars in counts[chosen]]
