"""Every combination of a strategy's parameters run under the same conditions, as one matrix of daily returns.

Trials run without the risk gate: they measure the signal. A gate that stops a losing trial for good would
make its later returns zero and hide how bad it was.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.backtest.engine import BacktestResult, run_backtest
from qtm.backtest.funding import FundingRates
from qtm.backtest.registry import Trial, daily_sharpe, returns_to_ruin, trial_of
from qtm.backtest.statistics import daily_equity
from qtm.backtest.tape.result import SymbolResult
from qtm.errors import RiskError
from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument
from qtm.strategies.contract import StepStrategy
from qtm.trading.book import Sizing
from qtm.trading.costs import CostModel

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Conditions:
    """What every run of an examination shares: market, capital and costs."""

    bars: BarSeries
    instrument: Instrument
    cash: float
    costs: CostModel
    sizing: Sizing
    band: float = 0.01
    funding: FundingRates | None = None
    data_version: int | None = None

    def run(self, strategy: StepStrategy, params: Any, *, trade_from_ms: int | None = None) -> BacktestResult:
        """Backtest `params` under these conditions; raises as `run_backtest`."""
        return run_backtest(
            strategy,
            params,
            self.bars,
            self.instrument,
            cash=self.cash,
            costs=self.costs,
            sizing=self.sizing,
            band=self.band,
            trade_from_ms=trade_from_ms,
            funding=self.funding,
            data_version=self.data_version,
        )

    def between(self, start: int, stop: int, cash: float) -> Conditions:
        """The same over bars `start` to `stop` (exclusive) with other capital."""
        return dataclasses.replace(self, bars=self.bars.slice(start, stop), cash=cash)

    def at_doubled_costs(self) -> Conditions:
        """The same with twice the fees, twice the slippage and twice the impact."""
        costs = self.costs._replace(
            maker_rate=2 * self.costs.maker_rate,
            taker_rate=2 * self.costs.taker_rate,
            slippage_bps=2 * self.costs.slippage_bps,
            impact=2 * self.costs.impact,
        )
        return dataclasses.replace(self, costs=costs)


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

    strategy: StepStrategy
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
    strategy: StepStrategy,
    combinations: Sequence[Any],
    conditions: Conditions,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> Trials:
    """Backtest every combination and keep its daily returns.

    Memory is one run's ledger plus days x combinations, whatever the number of bars.

    Raises
    ------
    RiskError
        Without combinations.
    StrategyError, DataError
        As `run_backtest`.
    """
    chosen = tuple(dict.fromkeys(combinations))
    if not chosen:
        raise RiskError("there is no combination to try", where=strategy.name, remedy="give a grid of values")
    days, _ = daily_equity(conditions.bars.open_time_ms, conditions.bars.close)
    returns = np.empty((days.shape[0], len(chosen)))
    records: list[Trial] = []
    for number, params in enumerate(chosen):
        result = conditions.run(strategy, params)
        returns[:, number] = returns_to_ruin(result)
        records.append(trial_of(result))
        if on_progress:
            on_progress(number + 1)
    return Trials(strategy, chosen, days, returns, tuple(records))


def sharpe_ratios(returns: Floats) -> Floats:
    """Sharpe ratio per period of every column of returns (T, N): shape (N,); zero where nothing varies."""
    return np.array([daily_sharpe(column) for column in returns.T])


@dataclass(frozen=True, slots=True)
class Holdings:
    """Position (base units) held through each bar, after its open, and cash (quote currency) at its close."""

    qty: Floats
    cash: Floats

    @classmethod
    def of(cls, result: SymbolResult) -> Holdings:
        """Carry the position after each finished order forward over the bars; cash is what else there is."""
        rows = result.order_rows
        bars = len(result.bars)
        qty = np.full(bars, result.start[0])
        changed = np.minimum(rows["bar"] + 1, bars)
        last = np.append(changed[1:] != changed[:-1], True) if rows.size else np.zeros(0, bool)
        edges = np.append(changed[last], bars)
        for begin, end, after in zip(edges[:-1], edges[1:], rows["qty_after"][last], strict=True):
            qty[begin:end] = after
        cash = result.equity - qty * result.bars.close
        return cls(qty, cash)

    def worst_equity(self, low: Floats, high: Floats) -> Floats:
        """Equity at the worst price of each bar: the low for a long position, the high for a short one."""
        return self.cash + self.qty * np.where(self.qty >= 0.0, low, high)
