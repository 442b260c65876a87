"""Run a strategy over many combinations of parameter values.

A block of bars stays in the processor's cache while all combinations of a group pass over it; each
combination keeps its strategy state and a tally of running figures, so memory depends on the number of
combinations in flight and never on combinations times bars. Groups run on all cores, outside the
interpreter lock, through exactly the event loop of a single backtest, over one set of mapped columns.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.backtest.engine import call_kernel, check_bars, columns_of, make_rules
from qtm.backtest.funding import FundingRates
from qtm.backtest.kernels import sweep_kernel
from qtm.backtest.search.space import Space
from qtm.backtest.session import DAY_MS, SESSION, new_session
from qtm.backtest.sinks import TALLY, new_tallies
from qtm.backtest.statistics import DAYS_PER_YEAR
from qtm.errors import ConfigError
from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument
from qtm.risk.rules import GateLimits
from qtm.strategies.contract import StepStrategy
from qtm.trading.book import SUB_BOOK, Sizing, new_sub_book
from qtm.trading.costs import CostModel
from qtm.trading.margin import Margin

GROUP = 32
"""Most combinations that pass over a block of bars together."""
BLOCK = 4096
"""Bars of a block: about 250 kB of columns."""
BUDGET_BYTES = 256 * 2**20

FIGURES = (
    "final_equity", "total_return", "annual_return", "volatility", "sharpe", "sortino", "max_drawdown",
    "calmar", "exposure", "turnover", "fees", "funding", "orders", "fills", "trades", "win_rate",
    "profit_factor",
)  # fmt: skip
"""Columns of a sweep's table after the parameters; they mean what `qtm.backtest.statistics` says."""
_COUNTS = ("orders", "fills", "trades")

Rows = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Footing:
    """How a sweep fits its budget, in bytes; mapped columns are the operating system's and not counted.

    Attributes
    ----------
    workers, group
        Threads, and the combinations each has in flight.
    shared
        Columns made for this sweep once: closes in ticks, funding rates, columns that had to be copied.
    per_combination
        State, book, session and tally of a combination in flight.
    results
        Rows of the whole table.
    """

    workers: int
    group: int
    shared: int
    per_combination: int
    results: int

    @property
    def total(self) -> int:
        """What the sweep allocates at most."""
        return self.shared + self.results + self.workers * self.group * self.per_combination


class Sweeper:
    """A strategy, a market and the terms of trading, ready to run any combination of parameters."""

    def __init__(
        self,
        strategy: StepStrategy,
        bars: BarSeries,
        instrument: Instrument,
        *,
        cash: float,
        costs: CostModel,
        sizing: Sizing,
        band: float = 0.01,
        limits: GateLimits | None = None,
        trade_from_ms: int | None = None,
        margin: Margin | None = None,
        funding: FundingRates | None = None,
        threads: int | None = None,
        budget_bytes: int = BUDGET_BYTES,
    ) -> None:
        """The arguments are those of `run_backtest`; raises DataError as it does."""
        check_bars(bars)
        self.strategy, self.bars, self.cash = strategy, bars, cash
        self.rules = make_rules(
            bars, instrument, costs, sizing, band, limits, trade_from_ms, margin, funded=funding is not None
        )
        self.budget_bytes = budget_bytes
        self._threads = threads or _cores()
        self._columns = columns_of(bars, self.rules.grid.tick_size, funding)
        self._kernel = sweep_kernel(strategy)
        self._compiled = False

    def footing(self, combinations: int) -> Footing:
        """How `combinations` are run within the budget.

        Raises
        ------
        ConfigError
            When not even one combination at a time fits.
        """
        own = (self.bars.open_time_ms, *(getattr(self.bars, name) for name in _PRICES))
        shared = sum(
            column.nbytes
            for column in self._columns
            if not any(np.may_share_memory(column, given) for given in own)
        )
        fields = len(self.strategy.params_type._fields)
        # A row lives in its group's array, in what has been found, and in the table made of it.
        results = combinations * (4 * 8 * (fields + len(FIGURES)) + _ROW_OVERHEAD)
        each = self.strategy.state_dtype.itemsize + SUB_BOOK.itemsize + SESSION.itemsize + TALLY.itemsize
        each += 8 * (fields + 4 * len(FIGURES))
        flying = (self.budget_bytes - shared - results) // each
        if flying < 1:
            raise ConfigError(
                f"the sweep needs {(shared + results + each) / 2**20:,.1f} MiB and may use "
                f"{self.budget_bytes / 2**20:,.1f}",
                where="--budget-mb",
                remedy="raise the budget, shorten the period or try fewer combinations",
            )
        workers = min(self._threads, flying, combinations)
        group = max(1, min(GROUP, flying // workers, -(-combinations // workers)))
        return Footing(workers, group, shared, each, results)

    def run(self, chosen: Sequence[Any]) -> Iterator[tuple[range, Rows]]:
        """Run parameter tuples; yields their positions and their figures, (n, len(FIGURES)), as they finish.

        Raises
        ------
        StrategyError
            For a step that does not compile or fails.
        """
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

    def table(self, chosen: Sequence[Any], rows: Rows) -> pl.DataFrame:
        """Parameters and figures as a frame, a row for each combination."""
        values = np.array(chosen, dtype=np.float64).reshape(len(chosen), -1)
        kinds = self.strategy.params_type._field_defaults
        columns = {
            name: values[:, at].astype(np.int64) if isinstance(kinds[name], int) else values[:, at]
            for at, name in enumerate(self.strategy.params_type._fields)
        }
        for at, name in enumerate(FIGURES):
            columns[name] = rows[:, at].astype(np.int64) if name in _COUNTS else rows[:, at]
        return pl.DataFrame(columns).with_columns(pl.selectors.float().fill_nan(None))

    def _run_group(self, group: Sequence[Any]) -> Rows:
        count = len(group)
        states = np.zeros(count, self.strategy.state_dtype)
        books, sessions = np.repeat(new_sub_book(self.cash), count), np.repeat(new_session(self.cash), count)
        tallies = new_tallies(count, self.cash, self.rules.grid.step_size)
        values = np.array(group, dtype=np.float64).reshape(count, -1)
        call_kernel(
            self.strategy, self._kernel.sweep, values, states, books, sessions, tallies, self.rules,
            self._columns, BLOCK,
        )  # fmt: skip
        return figures_of(self.bars, self.cash, tallies, books, sessions)


_ROW_OVERHEAD = 1024
"""Python objects of one combination: its parameter tuple, its number, its row."""
_PRICES = ("open", "high", "low", "close", "volume")


def run_sweep(
    strategy: StepStrategy,
    grid: Mapping[str, Sequence[float]],
    bars: BarSeries,
    instrument: Instrument,
    *,
    on_progress: Callable[[int], None] | None = None,
    **terms: Any,
) -> pl.DataFrame:
    """Backtest every combination of `grid`; one row each: parameters, then `FIGURES`, in the grid's order.

    `on_progress` is told how many combinations are done. The other arguments are those of `Sweeper`.

    Raises
    ------
    StrategyError, DataError, ConfigError
        As `Space.of` and `Sweeper`.
    """
    space = Space.of(strategy, grid)
    chosen = space.all()
    sweeper = Sweeper(strategy, bars, instrument, **terms)
    found, done = np.empty((len(chosen), len(FIGURES))), 0
    for span, rows in sweeper.run(chosen):
        found[span.start : span.stop] = rows
        done += len(span)
        if on_progress:
            on_progress(done)
    return sweeper.table(chosen, found)


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
