"""What sweeps and examinations need from a market, whatever the kind of strategy that trades on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from qtm.backtest.account.result import AccountResult
from qtm.backtest.engine import BacktestResult
from qtm.backtest.place import Place
from qtm.backtest.tape.result import OrdersResult
from qtm.strategies.allocator_contract import AllocatorStrategy
from qtm.strategies.order_contract import OrderStrategy
from qtm.strategies.registry import Strategy
from qtm.trading.costs import CostModel

Result = BacktestResult | AccountResult | OrdersResult
"""A finished run of any engine."""


class Conditions(Protocol):
    """Market, capital and costs; immutable, so that runs can share them."""

    @property
    def cash(self) -> float:
        """Quote currency every run starts with."""

    @property
    def place(self) -> Place:
        """Where and when."""

    @property
    def terms_as_params(self) -> dict[str, float]:
        """Sizing rule, margin, capital, costs, limits and band as parameters of every trial."""

    @property
    def days(self) -> npt.NDArray[np.int64]:
        """UTC days since the epoch that a run's daily returns stand on, shape (D,)."""

    @property
    def data_versions(self) -> Mapping[str, int]:
        """Version of every table of the lake that was read, by name."""

    def run(self, strategy: Any, params: Any, *, trade_from_ms: int | None = None) -> Result:
        """Run `strategy` with a parameter tuple; raises as the engine does."""

    def between(self, begin_ms: int, end_ms: int, cash: float, *, warm_up: int) -> Self | None:
        """The same over a window and `warm_up` bars before it, with other capital; None without a bar in it.

        A run over it trades from `begin_ms` on if it is told to.
        """

    def with_cash(self, cash: float) -> Self:
        """The same with other capital."""

    def with_costs(self, change: Callable[[CostModel], CostModel]) -> Self:
        """The same with the costs of every market changed."""

    def closing_cost(self, result: Any) -> float:
        """What leaving every open position at the last close costs, in quote currency."""

    def terms(self, strategy: Any) -> dict[str, Any]:
        """Everything besides the parameters that decides a run, as plain values for JSON."""

    @property
    def nbytes(self) -> int:
        """Memory of the market's columns, without those that are mapped files of the column store."""


def doubled(costs: CostModel) -> CostModel:
    """Twice the fees, twice the slippage and twice the impact; a maker's rebate stays as it is."""
    return costs._replace(
        maker_rate=max(2 * costs.maker_rate, costs.maker_rate),
        taker_rate=2 * costs.taker_rate,
        slippage_bps=2 * costs.slippage_bps,
        impact=2 * costs.impact,
    )


def warm_up(strategy: Strategy, params: Any) -> int:
    """Bars a strategy sees before it may trade at once.

    An allocator that rebalances every so many bars gets so many that a rebalance is due at the first one
    it may trade at: otherwise each window would begin with a wait.
    """
    if isinstance(strategy, OrderStrategy):
        return 0
    bars = strategy.warmup(params)
    every = strategy.every(params) if isinstance(strategy, AllocatorStrategy) else 1
    return -(-(bars + 1) // every) * every - 1 if isinstance(every, int) else bars


def is_compiled(strategy: Strategy) -> bool:
    """Whether runs are machine code from end to end, so that threads run them side by side."""
    return strategy.kind in ("step", "orders")
