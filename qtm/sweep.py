"""One call from a strategy and a grid to every combination's figures, for notebooks and scripts:

    from qtm.sweep import sweep

    found = sweep("trend", "BTCUSDT", "1h", grid={"fast": range(5, 45, 2), "slow": range(50, 250, 10)})
    found.table.sort("sharpe", descending=True).head()
    found.page()

    sweep("cross-momentum", ["BTCUSDT", "ETHUSDT", "SOLUSDT"], "1d", grid={"lookback": [30, 60, 90]})

Every kind of strategy can be swept, on one symbol or on many of one account. Every combination that was run
is counted in the trial registry. What is found is journaled as it is found: a sweep that was stopped or
killed goes on with `resume=True` and ends in the same table.
"""  # noqa: D400

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import polars as pl

from qtm.backtest.search.journal import SweepJournal
from qtm.backtest.search.methods import OBJECTIVES, Method, Search, search
from qtm.backtest.search.space import Space
from qtm.backtest.sweep import lane_of
from qtm.backtest.sweep_lane import BUDGET_BYTES, FIGURES, Footing, Lane, table_of
from qtm.errors import ConfigError
from qtm.reports.blocks import Document
from qtm.reports.page import render_page, write_report
from qtm.reports.sweep_report import sweep_document
from qtm.research import Inputs, Options, gather
from qtm.settings import settings
from qtm.strategies.registry import Strategy

if TYPE_CHECKING:
    from qtm.backtest.registry import TrialRegistry


@dataclass(frozen=True)
class SweepResult:
    """A finished sweep.

    Attributes
    ----------
    table
        One row each combination that was run, in the grid's order: parameters, then
        `qtm.backtest.sweep_lane.FIGURES`.
    resumed
        How many of the rows an earlier process had found.
    footing
        How the sweep fitted its memory budget.
    run_id
        Names the sweep in the trial registry.
    """

    table: pl.DataFrame
    space: Space
    method: Method
    symbol: str
    interval: str
    resumed: int
    footing: Footing
    run_id: str

    @property
    def document(self) -> Document:
        """The report: heat maps with the plateaus marked, and the best combinations."""
        return sweep_document(
            self.table, self.space, symbol=self.symbol, interval=self.interval, method=self.method
        )

    def page(self, path: Path | str | None = None) -> Path:
        """Write the report as a page, by default under the reports folder of the settings."""
        name = f"sweep-{self.space.strategy.name}-{self.symbol}-{self.interval}.html"
        return write_report(Path(path) if path else settings().reports_dir / name, render_page(self.document))


def sweep(
    strategy: str | Strategy,
    symbols: str | Sequence[str],
    interval: str = "1m",
    *,
    grid: Mapping[str, Sequence[float]],
    method: str = "grid",
    trials: int | None = None,
    seed: int = 0,
    objective: str = "sharpe",
    budget_bytes: int = BUDGET_BYTES,
    resume: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    **options: Unpack[Options],
) -> SweepResult:
    """Backtest combinations of the grid's values; strategy, symbols and options are those of `backtest`.

    Parameters
    ----------
    grid
        The values each parameter may take. Grid search runs every combination; random and Bayesian search
        choose among them.
    method, trials, seed
        `grid`, `random` or `bayes`; how many combinations to run, and what decides the draws.
    objective
        The figure Bayesian search maximises, one of `qtm.backtest.search.methods.OBJECTIVES`.
    budget_bytes
        Most memory the sweep may allocate, beyond the mapped columns.
    resume
        Go on with this very sweep where an earlier process left off.
    on_progress
        Told how many combinations are done, and of how many.

    Raises
    ------
    StrategyError, DataError, ConfigError
        For an unknown strategy, missing bars, values that cannot be used, or a budget that is too small.
    """
    try:
        chosen_method = Method(method)
    except ValueError:
        raise ConfigError(f"unknown method {method!r}", remedy="use grid, random or bayes") from None
    if chosen_method is Method.BAYES and objective not in OBJECTIVES:
        raise ConfigError(
            f"a search cannot raise {objective!r}", where="objective", remedy=f"use {', '.join(OBJECTIVES)}"
        )
    inputs = gather(strategy, symbols, interval, **options)
    space = Space.of(inputs.strategy, grid)
    plan = search(space, chosen_method, trials, seed)
    about = _identity(inputs, space, chosen_method, trials, seed, objective)
    folder = settings().home / "sweeps" / _digest(about)
    from qtm.backtest.registry import TrialRegistry

    registry = TrialRegistry.open(settings().database)
    with (
        lane_of(inputs.strategy, inputs.conditions, budget_bytes=budget_bytes) as lane,
        SweepJournal(folder, about, FIGURES, resume=resume) as journal,
    ):
        footing = lane.footing(plan.total)
        resumed = len(journal.found)
        run = _Run(inputs, space, lane, journal, registry, on_progress, plan.total)
        run.catch_up()
        run.search(plan, objective)
        numbers = sorted(journal.found)
        table = table_of(
            inputs.strategy,
            [space.params(number) for number in numbers],
            np.array([journal.found[n] for n in numbers]),
        )
        place = inputs.conditions.place
        return SweepResult(
            table, space, chosen_method, place.symbol, place.interval, resumed, footing, journal.run_id
        )


@dataclass(frozen=True)
class _Run:
    """A sweep under way: what was found goes to the journal first, then to the trial registry."""

    inputs: Inputs
    space: Space
    lane: Lane
    journal: SweepJournal
    registry: TrialRegistry
    on_progress: Callable[[int, int], None] | None
    total: int

    def catch_up(self) -> None:
        """Count what an earlier process journaled and had no time to count."""
        if not self.journal.found:
            return
        sizing = self.inputs.conditions.terms_as_params.items()
        counted = {tuple(sorted(one.items())) for one in self.registry.recorded(self.journal.run_id)}
        missing = [
            number
            for number in sorted(self.journal.found)
            if tuple(
                sorted([*((k, float(v)) for k, v in self.space.params(number)._asdict().items()), *sizing])
            )
            not in counted
        ]
        self._count(missing)

    def search(self, plan: Search, objective: str) -> None:
        """Run what `plan` proposes, until it proposes nothing more."""
        at = FIGURES.index(objective)
        self._tell_progress()
        while batch := plan.propose():
            waiting = [number for number in batch if number not in self.journal.found]
            if waiting:
                chosen = [self.space.params(number) for number in waiting]
                for span, rows in self.lane.run(chosen):
                    numbers = waiting[span.start : span.stop]
                    self.journal.append(numbers, rows)
                    self._count(numbers)
                    self._tell_progress()
            scores = [float(self.journal.found[number][at]) for number in batch]
            plan.tell(batch, [score if math.isfinite(score) else None for score in scores])

    def _count(self, numbers: Sequence[int]) -> None:
        from qtm.backtest.registry import trials_of_sweep

        if numbers:
            chosen = [self.space.params(number) for number in numbers]
            figures = np.array([self.journal.found[number] for number in numbers])
            rows = table_of(self.inputs.strategy, chosen, figures)
            found = trials_of_sweep(self.inputs.strategy, rows, self.inputs.conditions)
            self.registry.record(found, self.journal.run_id)

    def _tell_progress(self) -> None:
        if self.on_progress is not None:
            self.on_progress(len(self.journal.found), self.total)


def _identity(
    inputs: Inputs, space: Space, method: Method, trials: int | None, seed: int, objective: str
) -> dict[str, Any]:
    """Everything that decides the sweep's table; rows of another platform version are never gone on with."""
    return {
        "platform": version("quantum-trading-matrix"),
        "strategy": inputs.strategy.name,
        "strategy_version": inputs.strategy.version,
        "axes": {name: list(values) for name, values in space.axes.items()},
        "method": str(method),
        "trials": trials,
        "seed": seed if method is not Method.GRID else None,
        "objective": objective if method is Method.BAYES else None,
        **asdict(inputs.conditions.place),
        **inputs.conditions.terms(inputs.strategy),
    }


def _digest(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:16]
