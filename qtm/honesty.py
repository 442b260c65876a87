"""One import and one call from a strategy and a grid to what is left of it after luck is taken out:

    from qtm.honesty import examine, walk_forward

    found = examine("trend", "BTCUSDT", "1h", grid={"fast": [5, 10, 20], "slow": [50, 100, 200]})
    found.verdict.summary

    walked = walk_forward("trend", ["BTCUSDT", "ETHUSDT"], "1h", grid={"fast": [5, 10, 20]})
    walked.returns

Data come from the lake of the settings; every trial goes into the registry of its database. Trials run
without the risk gate: it is the signal that is judged.
"""  # noqa: D400

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any

from qtm.backtest.overfitting import assessment
from qtm.backtest.overfitting import walk_forward as forward
from qtm.backtest.overfitting.trials import Conditions
from qtm.backtest.registry import TrialRegistry
from qtm.backtest.search.space import Space
from qtm.control.candidate import Candidate, candidate_of
from qtm.control.promotion import Ladder
from qtm.errors import ConfigError
from qtm.market.lake import Lake
from qtm.research import Inputs, gather
from qtm.settings import settings
from qtm.store.database import open_database
from qtm.strategies.contract import StepStrategy
from qtm.trading.book import Sizing
from qtm.trading.costs import CostModel


def examine(
    strategy: str | StepStrategy,
    symbol: str,
    interval: str = "1h",
    *,
    grid: Mapping[str, Sequence[float]],
    params: Mapping[str, Any] | None = None,
    market: str = "spot",
    start: str | date | None = None,
    end: str | date | None = None,
    cash: float | None = None,
    costs: CostModel | None = None,
    sizing: Sizing | None = None,
    lake: Lake | None = None,
    registry: TrialRegistry | None = None,
    on_progress: assessment.Progress | None = None,
) -> assessment.Assessment:
    """Run every combination of `grid`, record the trials, and test the best (or `params`) for luck.

    The other arguments are those of `qtm.research.backtest`; see
    `qtm.backtest.overfitting.assessment.assess` for what is returned and raised.
    """
    inputs = gather(
        strategy, symbol, interval,
        market=market, start=start, end=end, cash=cash, costs=costs, sizing=sizing, gated=False, lake=lake,
    )  # fmt: skip
    return assessment.assess(
        inputs.strategy,
        Space.of(inputs.strategy, grid).all(),
        _conditions(inputs),
        registry or TrialRegistry.open(settings().database),
        chosen=None if params is None else inputs.strategy.params(params),
        max_drawdown=float(settings().risk.max_drawdown),
        on_progress=on_progress,
    )


def walk_forward(
    strategy: str | StepStrategy,
    symbols: str | Sequence[str],
    interval: str = "1h",
    *,
    grid: Mapping[str, Sequence[float]],
    train_days: int = 365,
    test_days: int = 90,
    anchored: bool = False,
    market: str = "spot",
    start: str | date | None = None,
    end: str | date | None = None,
    cash: float | None = None,
    costs: CostModel | None = None,
    sizing: Sizing | None = None,
    lake: Lake | None = None,
    registry: TrialRegistry | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> forward.WalkForward:
    """Choose symbol and parameters on the past, trade the next window, and choose again.

    The trials are recorded; see `qtm.backtest.overfitting.walk_forward.walk_forward`.
    """
    named = [symbols] if isinstance(symbols, str) else list(symbols)
    universe = [
        gather(
            strategy, symbol, interval,
            market=market, start=start, end=end, cash=cash, costs=costs, sizing=sizing, gated=False,
            lake=lake,
        )
        for symbol in named
    ]  # fmt: skip
    if not universe:
        raise ConfigError("a walk-forward needs at least one symbol", remedy="name symbols to choose from")
    loaded = universe[0].strategy
    found = forward.walk_forward(
        loaded,
        Space.of(loaded, grid).all(),
        [_conditions(inputs) for inputs in universe],
        train_days=train_days,
        test_days=test_days,
        anchored=anchored,
        on_progress=on_progress,
    )
    (registry or TrialRegistry.open(settings().database)).record(
        record for trials in found.trials for record in trials.records
    )
    return found


def put_on_record(found: assessment.Assessment, examined_by: str) -> Candidate:
    """Record the verdict for promotion (see `qtm.control.promotion`); returns the candidate it is about."""
    config = settings()
    subject = found.verdict.subject
    candidate = candidate_of(
        found.trials.strategy,
        found.trials.strategy.params(subject.params),
        market=subject.market,
        symbol=subject.symbol,
        interval=subject.interval,
        settings=config,
    )
    ladder = Ladder(open_database(config.database), config.control)
    ladder.record_examination(candidate, found.verdict, examined_by)
    return candidate


def _conditions(inputs: Inputs) -> Conditions:
    return Conditions(
        inputs.bars,
        inputs.instrument,
        inputs.cash,
        inputs.costs,
        inputs.sizing,
        funding=inputs.funding,
        data_version=inputs.data_version,
    )
