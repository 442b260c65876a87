"""Run a strategy over every combination of parameter values.

A block of bars stays in the processor's cache while all combinations of a group pass over it; each
combination keeps its strategy state and a tally of running figures, so memory depends on the number of
combinations in flight and never on combinations times bars. Groups run on all cores, outside the
interpreter lock, through exactly the event loop of a single backtest.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.backtest.engine import call_kernel, check_bars, columns_of, make_rules
from qtm.backtest.funding import FundingRates
from qtm.backtest.kernels import sweep_kernel
from qtm.backtest.session import DAY_MS, new_session
from qtm.backtest.sinks import new_tallies
from qtm.backtest.statistics import DAYS_PER_YEAR
from qtm.errors import StrategyError
from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument
from qtm.risk.rules import GateLimits
from qtm.strategies.contract import StepStrategy
from qtm.trading.book import Sizing, new_sub_book
from qtm.trading.costs import CostModel
from qtm.trading.margin import Margin

GROUP = 32
"""Most combinations that pass over a block of bars together."""
BLOCK = 4096
"""Bars of a block: about 200 kB of columns."""


def combinations(strategy: StepStrategy, grid: Mapping[str, Sequence[float]]) -> list[Any]:
    """Every combination of the grid's values as a checked parameter tuple, in the grid's order.

    Raises
    ------
    StrategyError
        For an unknown parameter, a value out of range, or no values.
    """
    for name, values in grid.items():
        if len(values) == 0:
            raise StrategyError(f"parameter {name} has no values", where=f"strategy {strategy.name}")
    names = tuple(grid)
    return [
        strategy.params(dict(zip(names, values, strict=True))) for values in itertools.product(*grid.values())
    ]


def run_sweep(
    strategy: StepStrategy,
    grid: Mapping[str, Sequence[float]],
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
    on_progress: Callable[[int], None] | None = None,
) -> pl.DataFrame:
    """Backtest every combination of `grid`; one row each: parameters, then figures.

    Figures mean what `qtm.backtest.statistics` says they mean. `on_progress` is told how many combinations
    are done. The other arguments are those of `run_backtest`.

    Raises
    ------
    StrategyError, DataError
        As `run_backtest`.
    """
    check_bars(bars)
    chosen = combinations(strategy, grid)
    rules = make_rules(
        bars, instrument, costs, sizing, band, limits, trade_from_ms, margin, funded=funding is not None
    )
    columns = columns_of(bars, rules.grid.tick_size, funding)
    kernel = sweep_kernel(strategy)
    workers = (
        threads or len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    size = max(1, min(GROUP, -(-len(chosen) // workers)))
    groups = [chosen[start : start + size] for start in range(0, len(chosen), size)]

    def run_group(
        group: Sequence[Any],
    ) -> tuple[npt.NDArray[np.void], npt.NDArray[np.void], npt.NDArray[np.void]]:
        count = len(group)
        states = np.zeros(count, strategy.state_dtype)
        books, sessions = np.repeat(new_sub_book(cash), count), np.repeat(new_session(cash), count)
        tallies = new_tallies(count, cash, rules.grid.step_size)
        values = np.array(group, dtype=np.float64).reshape(count, -1)
        call_kernel(strategy, kernel.sweep, values, states, books, sessions, tallies, rules, columns, BLOCK)
        return tallies, books, sessions

    done = 0
    finished: list[Any] = [None] * len(groups)
    finished[0] = run_group(groups[0])  # compiles once, before the threads start
    with ThreadPoolExecutor(workers) as pool:
        waiting = {pool.submit(run_group, group): number for number, group in enumerate(groups) if number > 0}
        done += len(groups[0])
        if on_progress:
            on_progress(done)
        for future in as_completed(waiting):
            finished[waiting[future]] = future.result()
            done += len(groups[waiting[future]])
            if on_progress:
                on_progress(done)
    tallies, books, sessions = (np.concatenate(parts) for parts in zip(*finished, strict=True))
    return _figures(strategy, chosen, tallies, books, sessions, bars, cash)


def _cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _figures(
    strategy: StepStrategy,
    chosen: Sequence[Any],
    tallies: npt.NDArray[np.void],
    books: npt.NDArray[np.void],
    sessions: npt.NDArray[np.void],
    bars: BarSeries,
    cash: float,
) -> pl.DataFrame:
    days = (int(bars.open_time_ms[-1]) - int(bars.open_time_ms[0]) + bars.interval.ms) / DAY_MS
    root = math.sqrt(DAYS_PER_YEAR)
    growth = sessions["last_equity"] / cash
    with np.errstate(divide="ignore", invalid="ignore"):
        annual = (
            np.where(growth > 0, growth ** (DAYS_PER_YEAR / days) - 1.0, np.nan)
            if days >= 1
            else growth * np.nan
        )
        deviation = np.sqrt(tallies["squares"] / (tallies["days"] - 1.0))
        downside = np.sqrt(tallies["downside"] / tallies["days"])
        trades = tallies["trades"]
        figures = {
            "final_equity": sessions["last_equity"],
            "total_return": growth - 1.0,
            "annual_return": annual,
            "volatility": deviation * root,
            "sharpe": np.where(deviation > 0, tallies["mean"] / deviation * root, np.nan),
            "sortino": np.where(downside > 0, tallies["mean"] / downside * root, np.nan),
            "max_drawdown": sessions["max_drawdown"],
            "calmar": np.where(sessions["max_drawdown"] > 0, annual / sessions["max_drawdown"], np.nan),
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
    table = np.array(chosen, dtype=np.float64).reshape(len(chosen), -1)
    kinds = strategy.params_type._field_defaults
    named = {
        name: table[:, column].astype(np.int64) if isinstance(kinds[name], int) else table[:, column]
        for column, name in enumerate(strategy.params_type._fields)
    }
    return pl.DataFrame({**named, **figures}).with_columns(pl.selectors.float().fill_nan(None))
