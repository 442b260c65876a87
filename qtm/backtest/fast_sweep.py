"""The fast lane of a sweep: a step strategy on one symbol, many combinations in one pass over the bars.

A block of bars stays in the processor's cache while all combinations of a group pass over it; each
combination keeps its strategy state and a tally of running figures, so memory depends on the number of
combinations in flight and never on combinations times bars. Groups run on all cores, outside the
interpreter lock, through exactly the event loop of a single backtest, over one set of mapped columns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from qtm.backtest.conditions.bars import BarConditions
from qtm.backtest.engine import call_kernel, check_bars, columns_of, make_rules
from qtm.backtest.kernels import sweep_kernel
from qtm.backtest.session import DAY_MS, SESSION, new_session
from qtm.backtest.sinks import TALLY, new_tallies
from qtm.backtest.statistics import DAYS_PER_YEAR
from qtm.backtest.sweep_lane import BUDGET_BYTES, FIGURES, Footing, Rows, bytes_of_rows, require_room
from qtm.backtest.trial_runs import cores
from qtm.market.bars import BarSeries
from qtm.strategies.contract import StepStrategy
from qtm.trading.book import SUB_BOOK, new_sub_book

GROUP = 32
"""Most combinations that pass over a block of bars together."""
BLOCK = 4096
"""Bars of a block: about 250 kB of columns."""
_PRICES = ("open", "high", "low", "close", "volume")


class FastLane:
    """A step strategy and one symbol's conditions, ready to run any combination of parameters."""

    def __init__(
        self,
        strategy: StepStrategy,
        conditions: BarConditions,
        *,
        threads: int | None = None,
        budget_bytes: int = BUDGET_BYTES,
    ) -> None:
        """Lay out the columns; raises DataError as `run_backtest`."""
        bars = conditions.bars
        check_bars(bars)
        self.strategy, self.bars, self.cash = strategy, bars, conditions.cash
        self.rules = make_rules(
            bars, conditions.instrument, conditions.costs, conditions.sizing, conditions.band,
            conditions.limits, None, conditions.margin, funded=conditions.funding is not None,
        )  # fmt: skip
        self.budget_bytes = budget_bytes
        self._threads = threads or cores()
        self._columns = columns_of(bars, self.rules.grid.tick_size, conditions.funding)
        self._kernel = sweep_kernel(strategy)
        self._compiled = False

    def footing(self, combinations: int) -> Footing:
        """How `combinations` are run within the budget; raises ConfigError when not even one fits."""
        own = (self.bars.open_time_ms, *(getattr(self.bars, name) for name in _PRICES))
        shared = sum(
            column.nbytes
            for column in self._columns
            if not any(np.may_share_memory(column, given) for given in own)
        )
        fields = len(self.strategy.params_type._fields)
        results = bytes_of_rows(combinations, fields)
        each = self.strategy.state_dtype.itemsize + SUB_BOOK.itemsize + SESSION.itemsize + TALLY.itemsize
        each += 8 * (fields + 4 * len(FIGURES))
        flying = require_room(self.budget_bytes, shared, results, each)
        workers = min(self._threads, flying, combinations)
        group = max(1, min(GROUP, flying // workers, -(-combinations // workers)))
        return Footing(workers, group, shared, each, results)

    def run(self, chosen: Sequence[Any]) -> Iterator[tuple[range, Rows]]:
        """Run parameter tuples; see `qtm.backtest.sweep_lane.Lane`."""
        footing = self.footing(len(chosen))
        spans = [
            range(start, min(start + footing.group, len(chosen)))
            for start in range(0, len(chosen), footing.group)
        ]
        if not self._compiled:  # once, before threads would all do it
            first = spans.pop(0)
            yield first, self._run_group([chosen[at] for at in first])
            self._compiled = True
        with ThreadPoolExecutor(footing.workers) as pool:
            waiting = {pool.submit(self._run_group, [chosen[at] for at in span]): span for span in spans}
            try:
                for future in as_completed(waiting):
                    yield waiting.pop(future), future.result()
            finally:
                for future in waiting:
                    future.cancel()

    def _run_group(self, group: Sequence[Any]) -> Rows:
        count = len(group)
        rules = self.rules._replace(seen=self.rules.seen.for_another_thread())
        states = np.zeros(count, self.strategy.state_dtype)
        books, sessions = np.repeat(new_sub_book(self.cash), count), np.repeat(new_session(self.cash), count)
        tallies = new_tallies(count, self.cash, self.rules.grid.step_size)
        values = np.array(group, dtype=np.float64).reshape(count, -1)
        call_kernel(
            self.strategy, self._kernel.sweep, values, states, books, sessions, tallies, rules,
            self._columns, BLOCK,
        )  # fmt: skip
        return figures_of(self.bars, self.cash, tallies, books, sessions)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end: threads live only inside `run`."""


def figures_of(
    bars: BarSeries,
    cash: float,
    tallies: npt.NDArray[np.void],
    books: npt.NDArray[np.void],
    sessions: npt.NDArray[np.void],
) -> Rows:
    """`FIGURES` of finished combinations, shape (n, len(FIGURES)); NaN where there is too little data."""
    days = (int(bars.open_time_ms[-1]) - int(bars.open_time_ms[0]) + bars.interval.ms) / DAY_MS
    root = math.sqrt(DAYS_PER_YEAR)
    growth, fall, trades = sessions["last_equity"] / cash, sessions["max_drawdown"], tallies["trades"]
    with np.errstate(divide="ignore", invalid="ignore"):
        annual = (
            np.where(growth > 0, growth ** (DAYS_PER_YEAR / days) - 1.0, np.nan)
            if days >= 1
            else growth * np.nan
        )
        deviation = np.sqrt(tallies["squares"] / (tallies["days"] - 1.0))
        downside = np.sqrt(tallies["downside"] / tallies["days"])
        columns = {
            "final_equity": sessions["last_equity"],
            "total_return": growth - 1.0,
            "annual_return": annual,
            "volatility": deviation * root,
            "sharpe": np.where(deviation > 0, tallies["mean"] / deviation * root, np.nan),
            "sortino": np.where(downside > 0, tallies["mean"] / downside * root, np.nan),
            "max_drawdown": fall,
            "calmar": np.where(fall > 0, annual / fall, np.nan),
            "exposure": sessions["bars_invested"] / len(bars),
            "turnover": books["traded_notional"] * len(bars) / sessions["equity_sum"] * DAYS_PER_YEAR / days,
            "fees": books["fees"],
            "funding": sessions["funding_paid"],
            "orders": tallies["orders"],
            "fills": books["fills"],
            "trades": trades,
            "win_rate": np.where(trades > 0, tallies["wins"] / trades, np.nan),
            "profit_factor": np.where(tallies["losses"] > 0, tallies["gains"] / tallies["losses"], np.nan),
        }
    return np.column_stack([columns[name] for name in FIGURES]).astype(np.float64)
