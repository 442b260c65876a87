"""Walk-forward: choose symbol and parameters on the past, trade them on the next window, and choose again.

Every decision is inside the loop: at each refit the best Sharpe ratio of the training days wins, over all
symbols that then had a full training window and over all combinations. What follows is traded afresh: the old
position is closed at taker cost, the new one opened. The joined out-of-sample equity is one no single choice
of parameters could have been fitted to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.conditions.contract import Conditions, Result, warm_up
from qtm.backtest.overfitting.cross_validation import Window, walk_forward_windows
from qtm.backtest.overfitting.trials import Trials, run_trials, sharpe_ratios
from qtm.backtest.registry import daily_sharpe
from qtm.backtest.session import DAY_MS
from qtm.backtest.statistics import daily_returns
from qtm.errors import RiskError
from qtm.strategies.registry import Strategy

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Step:
    """One refit: what was chosen on the training days and what it did on the test days.

    Times are UTC milliseconds of day starts, ends exclusive; Sharpe ratios are per day; `refit_cost` is what
    closing the position for the next refit took, in quote currency.
    """

    train_from_ms: int
    train_to_ms: int
    test_to_ms: int
    symbol: str
    params: Any
    train_sharpe: float
    test_sharpe: float
    test_return: float
    refit_cost: float


@dataclass(frozen=True, repr=False)
class WalkForward:
    """The joined out-of-sample run.

    Attributes
    ----------
    steps
        The refits in time order.
    open_time_ms, equity
        Every out-of-sample bar and the equity at its close, shape (T,); strictly increasing in time.
    returns
        Daily returns of `equity`, shape (D,), the first against `cash`.
    trials
        What was run to choose from, one per symbol, for the registry.
    """

    steps: tuple[Step, ...]
    open_time_ms: npt.NDArray[np.int64]
    equity: Floats
    cash: float
    trials: tuple[Trials, ...]

    @property
    def returns(self) -> Floats:
        """Out-of-sample daily returns."""
        return daily_returns(self.open_time_ms, self.equity, self.cash)

    def __repr__(self) -> str:
        """One line: how long it traded, and what for."""
        earned = float(self.equity[-1]) / self.cash - 1.0
        return f"<{len(self.steps)} refits, {len(self.returns):,} days out of sample: return {earned:+.2%}>"

    @property
    def efficiency(self) -> float:
        """Mean out-of-sample over mean in-sample Sharpe ratio: near one when the choices carry over."""
        inside = float(np.mean([step.train_sharpe for step in self.steps]))
        outside = float(np.mean([step.test_sharpe for step in self.steps]))
        return outside / inside if inside > 0.0 else float("nan")

    @property
    def choices(self) -> int:
        """How many different (symbol, parameters) were chosen."""
        return len({(step.symbol, step.params) for step in self.steps})


def walk_forward(
    strategy: Strategy,
    combinations: Sequence[Any],
    universe: Sequence[Conditions],
    *,
    train_days: int,
    test_days: int,
    anchored: bool = False,
    on_progress: Callable[[int], None] | None = None,
) -> WalkForward:
    """Walk a strategy forward over a grid and a universe.

    Parameters
    ----------
    combinations
        Parameter tuples to choose from at each refit.
    universe
        Conditions to choose among, a symbol each or many of one account; all of one interval and cash.
    train_days, test_days
        UTC days to choose on and to trade the choice; `anchored` chooses on all days so far.
    on_progress
        Told how many combinations have been run over the whole history.

    Notes
    -----
    A combination is run once over all of a symbol's history, and a refit looks only at its returns on days
    before it. The engine is causal, so those are what a run that stopped there would have given.

    Raises
    ------
    RiskError
        Without symbols, with too little history for one window, or when no symbol has a full training window.
    StrategyError, DataError
        As the engine.
    """
    if not universe:
        raise RiskError("a walk-forward needs at least one symbol", remedy="name symbols to choose from")
    tried = _try_all(strategy, combinations, universe, on_progress)
    days = np.unique(np.concatenate([trials.days for trials in tried]))
    windows = walk_forward_windows(days.shape[0], train=train_days, test=test_days, anchored=anchored)
    cash = universe[0].cash
    worth, steps = cash, []
    times: list[npt.NDArray[np.int64]] = []
    path: list[Floats] = []
    for number, window in enumerate(windows):
        choice = _choose(tried, days, window)
        traded = _trade(strategy, choice, universe, days, window, worth)
        if traded is None:
            steps.append(_step(choice, days, window, worth, None))
            continue
        result, first = traded
        equity = result.equity[first:].copy()
        cost = universe[choice.symbol].closing_cost(result) if number + 1 < len(windows) else 0.0
        equity[-1] -= cost
        if not (equity > 0.0).all():
            raise RiskError(
                "the walk-forward lost everything", where=_words(choice), remedy="reduce the size"
            )
        times.append(result.open_time_ms[first:])
        path.append(equity)
        steps.append(_step(choice, days, window, worth, (times[-1], equity, cost)))
        worth = float(equity[-1])
    return WalkForward(tuple(steps), np.concatenate(times), np.concatenate(path), cash, tuple(tried))


@dataclass(frozen=True, slots=True)
class _Choice:
    symbol: int
    name: str
    params: Any
    sharpe: float


def _try_all(
    strategy: Strategy,
    combinations: Sequence[Any],
    universe: Sequence[Conditions],
    on_progress: Callable[[int], None] | None,
) -> list[Trials]:
    done = 0
    tried: list[Trials] = []
    for conditions in universe:
        base = done
        tell = (lambda count, base=base: on_progress(base + count)) if on_progress else None
        tried.append(run_trials(strategy, combinations, conditions, on_progress=tell))
        done += len(tried[-1])
    return tried


def _choose(tried: Sequence[Trials], days: npt.NDArray[np.int64], window: Window) -> _Choice:
    """The best of all symbols with every training day, and of all combinations; the first of equals."""
    wanted = days[window.train_start : window.train_stop]
    best: _Choice | None = None
    for number, trials in enumerate(tried):
        rows = np.flatnonzero(np.isin(trials.days, wanted))
        if rows.size < wanted.size:
            continue
        ratios = sharpe_ratios(trials.returns[rows])
        top = int(np.argmax(ratios))
        if best is None or ratios[top] > best.sharpe:
            best = _Choice(number, trials.records[0].symbol, trials.params[top], float(ratios[top]))
    if best is None:
        raise RiskError(
            "no symbol has a bar on every training day",
            where=f"days {wanted[0]} to {wanted[-1]} since 1970",
            remedy="shorten the training window, or ingest what is missing",
        )
    return best


def _trade(
    strategy: Strategy,
    choice: _Choice,
    universe: Sequence[Conditions],
    days: npt.NDArray[np.int64],
    window: Window,
    worth: float,
) -> tuple[Result, int] | None:
    """Run the choice over its test days, warmed up on bars before; also where the test begins.

    None when the symbol stopped trading with the training window: the cash then stays idle.
    """
    begin = int(days[window.test_start]) * DAY_MS
    end = (int(days[window.test_stop - 1]) + 1) * DAY_MS
    bars = warm_up(strategy, choice.params)
    conditions = universe[choice.symbol].between(begin, end, worth, warm_up=bars)
    if conditions is None:
        return None
    result = conditions.run(strategy, choice.params, trade_from_ms=begin)
    return result, int(np.searchsorted(result.open_time_ms, begin))


def _step(
    choice: _Choice,
    days: npt.NDArray[np.int64],
    window: Window,
    worth: float,
    traded: tuple[npt.NDArray[np.int64], Floats, float] | None,
) -> Step:
    sharpe, earned, cost = 0.0, 0.0, 0.0
    if traded is not None:
        times, equity, cost = traded
        sharpe = daily_sharpe(daily_returns(times, equity, worth))
        earned = float(equity[-1]) / worth - 1.0
    return Step(
        train_from_ms=int(days[window.train_start]) * DAY_MS,
        train_to_ms=int(days[window.test_start]) * DAY_MS,
        test_to_ms=(int(days[window.test_stop - 1]) + 1) * DAY_MS,
        symbol=choice.name,
        params=choice.params,
        train_sharpe=choice.sharpe,
        test_sharpe=sharpe,
        test_return=earned,
        refit_cost=cost,
    )


def _words(choice: _Choice) -> str:
    return f"{choice.name} {dict(choice.params._asdict())}"
