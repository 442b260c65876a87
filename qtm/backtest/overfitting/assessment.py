"""The whole examination of a strategy: run the trials, count them, test the best for luck, hold the gates.

`assess` is what `qtm overfit`, the tear sheet and promotion use. The gate of a test that could not be run
stays closed.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from qtm.backtest.conditions.contract import Conditions, Result
from qtm.backtest.overfitting.blindness import require_blind
from qtm.backtest.overfitting.explanations import gates_of
from qtm.backtest.overfitting.measurements import Measurements, measure
from qtm.backtest.overfitting.monte_carlo import SimulatedPaths
from qtm.backtest.overfitting.trials import Trials, run_trials
from qtm.backtest.overfitting.verdict import Subject, Verdict
from qtm.backtest.registry import TrialRegistry
from qtm.strategies.registry import Strategy

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, repr=False)
class Assessment:
    """The chosen run, the trials it was chosen from, the measurements and the verdict."""

    result: Result
    trials: Trials
    measured: Measurements
    verdict: Verdict

    def __repr__(self) -> str:
        """One line: what was judged, and how it ended."""
        subject = self.verdict.subject
        chosen = ", ".join(f"{name} {value:g}" for name, value in subject.params.items())
        return f"<{chosen} on {subject.symbol} {subject.interval}: {self.verdict.summary}>"


def assess(
    strategy: Strategy,
    combinations: Sequence[Any],
    conditions: Conditions,
    registry: TrialRegistry,
    *,
    chosen: Any | None = None,
    max_drawdown: float = 0.25,
    resamples: int = 2000,
    seed: int = 7,
    on_progress: Progress | None = None,
) -> Assessment:
    """Examine a strategy for luck.

    Parameters
    ----------
    combinations
        Every parameter tuple tried.
    registry
        Where the trials are recorded and counted; earlier trials of the strategy count too.
    chosen
        The combination to judge; by default the one with the best Sharpe ratio.
    max_drawdown
        Largest fall in a stress event the firm accepts, as a fraction.
    on_progress
        Told (stage, done, total).

    Raises
    ------
    RiskError
        Without combinations, or for a `chosen` that was not tried.
    StrategyError
        As the engine; when two runs differ, or decisions need what came after them (see `blindness`).
    DataError, StoreError
        As the engine and the registry.
    """
    tell = on_progress or (lambda _stage, _done, _total: None)
    total = len(combinations)
    trials = run_trials(
        strategy, combinations, conditions, on_progress=lambda done: tell("trials", done, total)
    )
    picked = trials.params[trials.best] if chosen is None else trials.params[trials.index_of(chosen)]
    registry.record(trials.records)
    result = conditions.run(strategy, picked)
    tell("tests", 0, 1)
    require_blind(strategy, picked, conditions, result)
    counted = registry.count(strategy.name, (result.lineage.first_ms, result.lineage.last_ms))
    measured = measure(picked, trials, conditions, result, counted, resamples=resamples, seed=seed)
    tell("tests", 1, 1)
    subject = Subject(
        **dataclasses.asdict(conditions.place),
        strategy=strategy.name,
        strategy_version=strategy.version,
        params={name: float(value) for name, value in result.lineage.params.items()},
        trials=measured.counted.trials,
    )
    return Assessment(result, trials, measured, Verdict(subject, gates_of(measured, max_drawdown)))


def assessment_table(assessment: Assessment) -> dict[str, Any]:
    """The verdict and every figure behind it as plain values for JSON; None where not measured."""
    m = assessment.measured
    figures: dict[str, Any] = {
        "trials": dataclasses.asdict(m.counted),
        "sharpe": None if m.sample is None else dataclasses.asdict(m.sample),
        "overfitting": None,
        "superior_ability": None if m.ability is None else dataclasses.asdict(m.ability),
        "superior_ability_over_holding": None
        if m.ability_over_holding is None
        else dataclasses.asdict(m.ability_over_holding),
        "doubled_cost_return": m.doubled_return,
        "parameter_box": None,
        "stress": [dataclasses.asdict(event) for event in m.stress],
        "signal": None if m.signal is None else dataclasses.asdict(m.signal),
        "resampled": _paths_table(m.resampled),
        "shuffled": _paths_table(m.shuffled),
        "unmeasured": m.unmeasured,
    }
    if m.overfitting is not None:
        names = ("probability", "degradation", "probability_of_loss", "blocks", "rows", "splits")
        figures["overfitting"] = {name: getattr(m.overfitting, name) for name in names}
    if m.box is not None:
        names = ("centre_sharpe", "profitable", "median_sharpe", "worst_return", "kept", "stable")
        figures["parameter_box"] = {name: getattr(m.box, name) for name in names}
        figures["parameter_box"]["neighbours"] = m.box.neighbours.height
    return {**assessment.verdict.as_dict(), "figures": _without_nan(figures)}


def _paths_table(paths: SimulatedPaths | None) -> dict[str, Any] | None:
    if paths is None:
        return None
    return {
        "probability_of_loss": paths.probability_of_loss,
        "mean_block": paths.block_length,
        **{
            name: {
                "actual": found.actual,
                "better_than": found.better_than,
                "lucky": found.lucky,
                "quantiles": {f"{q:.0%}": value for q, value in found.quantiles().items()},
            }
            for name, found in (("total_return", paths.total_return), ("max_drawdown", paths.max_drawdown))
        },
    }


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value
