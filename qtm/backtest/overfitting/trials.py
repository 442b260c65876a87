"""Every combination of a strategy's parameters run under the same conditions, as one matrix of daily returns.

Trials run without the risk gate: they measure the signal. A gate that stops a losing trial for good would
make its later returns zero and hide how bad it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.conditions.contract import Conditions
from qtm.backtest.registry import Trial, daily_sharpe
from qtm.backtest.trial_runs import TrialRuns
from qtm.errors import RiskError
from qtm.strategies.registry import Strategy

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Trials:
    """The outcome of running every combination.

    Attributes
    ----------
    params
        N parameter tuples.
    days
        UTC days since the epoch, shape (D,).
    returns
        Net daily returns, shape (D, N); a combination that never traded is a column of zeros, one that lost
        everything has -100 % on that day and zeros after it.
    records
        N trials for the registry.
    """

    strategy: Strategy
    params: tuple[Any, ...]
    days: npt.NDArray[np.int64]
    returns: Floats
    records: tuple[Trial, ...]

    def __len__(self) -> int:
        return len(self.params)

    @property
    def best(self) -> int:
        """The combination with the highest Sharpe ratio; the first of equals."""
        return int(np.argmax(sharpe_ratios(self.returns)))

    def index_of(self, params: Any) -> int:
        """Where a combination stands; RiskError when it was not run."""
        if params not in self.params:
            raise RiskError(
                f"{dict(params._asdict())} is not one of the {len(self)} trials",
                remedy="include it in the grid: what was not tried cannot be judged against what was",
            )
        return self.params.index(params)


def run_trials(
    strategy: Strategy,
    combinations: Sequence[Any],
    conditions: Conditions,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> Trials:
    """Run every combination, on all cores, and keep its daily returns.

    Memory is a run's ledger for each core plus days x combinations, whatever the number of bars.

    Raises
    ------
    RiskError
        Without combinations.
    StrategyError, DataError
        As the engine.
    """
    chosen = tuple(dict.fromkeys(combinations))
    if not chosen:
        raise RiskError("there is no combination to try", where=strategy.name, remedy="give a grid of values")
    days = conditions.days
    returns = np.empty((days.shape[0], len(chosen)))
    records: list[Trial | None] = [None] * len(chosen)
    with TrialRuns(strategy, conditions) as runs:
        for done, (at, outcome) in enumerate(runs.run(chosen), start=1):
            returns[:, at], records[at] = outcome.returns, outcome.trial
            if on_progress:
                on_progress(done)
    return Trials(strategy, chosen, days, returns, tuple(one for one in records if one is not None))


def sharpe_ratios(returns: Floats) -> Floats:
    """Sharpe ratio per period of every column of returns (T, N): shape (N,); zero where nothing varies."""
    return np.array([daily_sharpe(column) for column in returns.T])
