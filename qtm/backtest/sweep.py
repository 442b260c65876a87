"""Run a strategy of any kind over many combinations of parameter values.

A step strategy on one symbol takes the fast lane (`qtm.backtest.fast_sweep`): all combinations in one pass
over the bars. Everything else runs trial by trial (`qtm.backtest.trial_runs`). Both use all cores and keep to
a budget of memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
import polars as pl

from qtm.backtest.conditions.bars import BarConditions
from qtm.backtest.conditions.contract import Conditions
from qtm.backtest.fast_sweep import FastLane
from qtm.backtest.search.space import Space
from qtm.backtest.sweep_lane import (
    BUDGET_BYTES,
    FIGURES,
    Footing,
    Lane,
    Rows,
    bytes_of_rows,
    require_room,
    table_of,
)
from qtm.backtest.trial_runs import TrialRuns
from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument
from qtm.strategies.contract import StepStrategy
from qtm.strategies.registry import Strategy

_COPIES = 3
"""A run's arrays in its ledger, in the ledger grown for more orders, and in its result."""


class TrialLane:
    """Any strategy under any conditions, one whole run for each combination."""

    def __init__(
        self,
        strategy: Strategy,
        conditions: Conditions,
        *,
        threads: int | None = None,
        budget_bytes: int = BUDGET_BYTES,
    ) -> None:
        self.strategy, self.conditions, self.budget_bytes = strategy, conditions, budget_bytes
        self._runs = TrialRuns(strategy, conditions, workers=threads)
        self._each = 0

    def footing(self, combinations: int) -> Footing:
        """How `combinations` are run within the budget; what one takes is measured on the defaults."""
        results = bytes_of_rows(combinations, len(self.strategy.params_type._fields))
        shared = self.conditions.nbytes
        require_room(self.budget_bytes, shared, results, 1)
        if not self._each:
            self._each = _COPIES * self._runs.run_one(self.strategy.params()).nbytes
        flying = require_room(self.budget_bytes, shared, results, self._each)
        self._runs.workers = max(1, min(self._runs.workers, flying, combinations))
        return Footing(self._runs.workers, 1, shared, self._each, results)

    def run(self, chosen: Sequence[Any]) -> Iterator[tuple[range, Rows]]:
        """Run parameter tuples; see `qtm.backtest.sweep_lane.Lane`."""
        for at, outcome in self._runs.run(chosen):
            statistics = outcome.trial.statistics
            yield range(at, at + 1), np.array([[statistics[name] for name in FIGURES]])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runs.close()


def lane_of(
    strategy: Strategy,
    conditions: Conditions,
    *,
    threads: int | None = None,
    budget_bytes: int = BUDGET_BYTES,
) -> Lane:
    """The fastest lane for a strategy and its conditions; raises DataError as the engine."""
    if isinstance(strategy, StepStrategy) and isinstance(conditions, BarConditions):
        return FastLane(strategy, conditions, threads=threads, budget_bytes=budget_bytes)
    return TrialLane(strategy, conditions, threads=threads, budget_bytes=budget_bytes)


def sweep_table(
    strategy: Strategy,
    grid: Mapping[str, Sequence[float]],
    conditions: Conditions,
    *,
    threads: int | None = None,
    budget_bytes: int = BUDGET_BYTES,
    on_progress: Callable[[int], None] | None = None,
) -> pl.DataFrame:
    """Run every combination of `grid`; one row each: parameters, then `FIGURES`, in the grid's order.

    `on_progress` is told how many combinations are done.

    Raises
    ------
    StrategyError, DataError, ConfigError
        As `Space.of` and the lanes.
    """
    chosen = Space.of(strategy, grid).all()
    found, done = np.empty((len(chosen), len(FIGURES))), 0
    with lane_of(strategy, conditions, threads=threads, budget_bytes=budget_bytes) as lane:
        lane.footing(len(chosen))
        for span, rows in lane.run(chosen):
            found[span.start : span.stop] = rows
            done += len(span)
            if on_progress:
                on_progress(done)
    return table_of(strategy, chosen, found)


def run_sweep(
    strategy: StepStrategy,
    grid: Mapping[str, Sequence[float]],
    bars: BarSeries,
    instrument: Instrument,
    *,
    threads: int | None = None,
    budget_bytes: int = BUDGET_BYTES,
    on_progress: Callable[[int], None] | None = None,
    **terms: Any,
) -> pl.DataFrame:
    """`sweep_table` of one symbol's bars; the other arguments are those of `BarConditions`."""
    conditions = BarConditions(bars, instrument, **terms)
    return sweep_table(
        strategy, grid, conditions, threads=threads, budget_bytes=budget_bytes, on_progress=on_progress
    )
