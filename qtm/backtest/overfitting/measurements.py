"""Every test for luck run on one chosen set of parameters and the trials it was chosen from.

A test that cannot be run (too few days, one trial, a strategy that never trades) is reported as not measured
with the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from qtm.backtest.account.result import AccountResult
from qtm.backtest.conditions.contract import Conditions, Result, doubled
from qtm.backtest.holdings import Holdings, LegHoldings
from qtm.backtest.overfitting.monte_carlo import SimulatedPaths, bootstrap_paths, shuffled_trades
from qtm.backtest.overfitting.pbo import OverfittingProbability, probability_of_backtest_overfitting
from qtm.backtest.overfitting.permutation import SignalTest, signal_permutation_test
from qtm.backtest.overfitting.reality_check import SuperiorAbility, superior_ability
from qtm.backtest.overfitting.sharpe import SharpeSample, sharpe_sample
from qtm.backtest.overfitting.stability import BoxStability, box_stability
from qtm.backtest.overfitting.stress_replay import StressReplay, replay_stress
from qtm.backtest.overfitting.trials import Trials
from qtm.backtest.registry import returns_to_ruin
from qtm.backtest.statistics import daily_returns
from qtm.backtest.tape.result import OrdersResult
from qtm.backtest.trial_count import TrialCount
from qtm.errors import RiskError

Found = TypeVar("Found")

MOST_BLOCKS = 16
DAYS_PER_BLOCK = 8


@dataclass(frozen=True)
class Measurements:
    """What the tests found; None where a test could not be run, with the reason in `unmeasured`.

    Attributes
    ----------
    sample
        Daily Sharpe ratio and moments of the chosen parameters.
    counted
        Trials of this strategy in the registry, these included.
    overfitting, ability, ability_over_holding
        PBO, and Hansen's test against cash and against buying and holding.
    doubled_return
        Net total return at doubled costs.
    box, stress, signal
        Neighbouring parameters, stress events covered, timing of the signal.
    resampled, shuffled
        Block bootstrap of daily returns, and the trades in other orders.
    """

    sample: SharpeSample | None
    counted: TrialCount
    overfitting: OverfittingProbability | None
    ability: SuperiorAbility | None
    ability_over_holding: SuperiorAbility | None
    doubled_return: float
    box: BoxStability | None
    stress: tuple[StressReplay, ...]
    signal: SignalTest | None
    resampled: SimulatedPaths | None
    shuffled: SimulatedPaths | None
    unmeasured: dict[str, str]


def measure(
    picked: Any,
    trials: Trials,
    conditions: Conditions,
    result: Result,
    counted: TrialCount,
    *,
    resamples: int,
    seed: int,
) -> Measurements:
    """Run every test on `result`, the run of `picked`; see `Measurements`."""
    strategy = trials.strategy
    reasons: dict[str, str] = {}

    def attempt(name: str, test: Callable[[], Found]) -> Found | None:
        try:
            return test()
        except RiskError as error:
            reasons[name] = str(error)
            return None

    bars = result.bars
    returns = returns_to_ruin(result)
    held = daily_returns(bars.open_time_ms, bars.close, float(bars.open[0]))
    dearer = conditions.with_costs(doubled).run(strategy, picked)
    return Measurements(
        sample=attempt("sharpe", lambda: sharpe_sample(returns)),
        counted=counted,
        overfitting=attempt(
            "overfitting",
            lambda: probability_of_backtest_overfitting(trials.returns, blocks_for(returns.size)),
        ),
        ability=attempt("ability", lambda: superior_ability(trials.returns, resamples=resamples, seed=seed)),
        ability_over_holding=attempt(
            "ability_over_holding",
            lambda: superior_ability(trials.returns, held, resamples=resamples, seed=seed),
        ),
        doubled_return=float(dearer.equity[-1]) / dearer.cash - 1.0,
        box=attempt("box", lambda: box_stability(strategy, picked, conditions)),
        stress=replay_stress(result),
        signal=attempt("signal", lambda: signal_permutation_test(*_timing(result))),
        resampled=attempt("resampled", lambda: bootstrap_paths(returns, seed=seed)),
        shuffled=attempt("shuffled", lambda: shuffled_trades(_trade_returns(result), seed=seed)),
        unmeasured=reasons,
    )


def blocks_for(days: int) -> int:
    """Blocks for CSCV: an even number up to 16 with at least eight days in each.

    Raises
    ------
    RiskError
        When there are too few days for four blocks.
    """
    blocks = min(MOST_BLOCKS, days // DAYS_PER_BLOCK // 2 * 2)
    if blocks < 4:
        raise RiskError(
            f"the probability of overfitting needs at least {4 * DAYS_PER_BLOCK} days, there are {days}",
            remedy="test over a longer window",
        )
    return blocks


def _timing(result: Result) -> tuple[Any, Any]:
    """Share of equity held over each bar, and the market's return over it, each (T - 1, N).

    Raises
    ------
    RiskError
        For an order strategy, whose positions are not decided before the bar.
    """
    if isinstance(result, OrdersResult):
        raise RiskError(
            "orders fill inside the bars, so no position is decided before one",
            where=result.lineage.strategy,
        )
    if isinstance(result, AccountResult):
        pairs = [(leg.qty, leg.close) for leg in LegHoldings.each(result)]
    else:
        pairs = [(Holdings.of(result).qty, result.bars.close)]
    if not pairs:
        raise RiskError("it never held a position", where=result.lineage.strategy)
    shares, moves = [], []
    for qty, close in pairs:
        with np.errstate(divide="ignore", invalid="ignore"):
            moved = close[1:] / close[:-1] - 1.0
            shares.append(qty[1:] * close[:-1] / result.equity[:-1])
        moves.append(np.where(close[:-1] > 0.0, moved, 0.0))
    return np.column_stack(shares), np.column_stack(moves)


def _trade_returns(result: Result) -> Any:
    """Profit of each round trip as a fraction of the equity before it."""
    trades = result.trades
    return trades["profit"] / result.equity[np.maximum(trades["entry_bar"] - 1, 0)]
