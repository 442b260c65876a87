"""What every lane of a sweep has in common: the figures of a combination, the budget, the table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.errors import ConfigError
from qtm.strategies.registry import Strategy

BUDGET_BYTES = 256 * 2**20

FIGURES = (
    "final_equity", "total_return", "annual_return", "volatility", "sharpe", "sortino", "max_drawdown",
    "calmar", "exposure", "turnover", "fees", "funding", "orders", "fills", "trades", "win_rate",
    "profit_factor",
)  # fmt: skip
"""Columns of a sweep's table after the parameters; they mean what `qtm.backtest.statistics` says."""
_COUNTS = ("orders", "fills", "trades")

Rows = npt.NDArray[np.float64]

_ROW_OVERHEAD = 1024
"""Python objects of one combination: its parameter tuple, its number, its row."""


@dataclass(frozen=True, slots=True)
class Footing:
    """How a sweep fits its budget, in bytes.

    Mapped columns are the operating system's and are not counted, nor is the interpreter of a worker process.

    Attributes
    ----------
    workers, group
        Threads or processes, and the combinations each has in flight.
    shared
        Columns made for this sweep once: closes in ticks, funding rates, panels, tapes.
    per_combination
        Memory of a combination in flight: state, book and tally, or the arrays of a whole run.
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


class Lane(Protocol):
    """A strategy and its conditions, ready to run any combination of parameters; a context manager."""

    def footing(self, combinations: int) -> Footing:
        """How `combinations` are run within the budget.

        Raises
        ------
        ConfigError
            When not even one combination at a time fits.
        """

    def run(self, chosen: Sequence[Any]) -> Iterator[tuple[range, Rows]]:
        """Run parameter tuples; yields their positions and their figures, (n, len(FIGURES)), as they finish.

        Raises
        ------
        StrategyError
            For a strategy that does not compile or fails.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def bytes_of_rows(combinations: int, fields: int) -> int:
    """Memory of a whole table: a row lives in its group's array, in what was found, and in the table."""
    return combinations * (4 * 8 * (fields + len(FIGURES)) + _ROW_OVERHEAD)


def require_room(budget: int, shared: int, results: int, each: int) -> int:
    """How many combinations may be in flight within a budget; ConfigError when not even one may."""
    flying = (budget - shared - results) // each
    if flying < 1:
        raise ConfigError(
            f"the sweep needs {(shared + results + each) / 2**20:,.1f} MiB and may use {budget / 2**20:,.1f}",
            where="--budget-mb",
            remedy="raise the budget, shorten the period or try fewer combinations",
        )
    return flying


def table_of(strategy: Strategy, chosen: Sequence[Any], rows: Rows) -> pl.DataFrame:
    """Parameters and figures as a frame, a row for each combination."""
    values = np.array(chosen, dtype=np.float64).reshape(len(chosen), -1)
    kinds = strategy.params_type._field_defaults
    columns = {
        name: values[:, at].astype(np.int64) if isinstance(kinds[name], int) else values[:, at]
        for at, name in enumerate(strategy.params_type._fields)
    }
    for at, name in enumerate(FIGURES):
        columns[name] = rows[:, at].astype(np.int64) if name in _COUNTS else rows[:, at]
    return pl.DataFrame(columns).with_columns(pl.selectors.float().fill_nan(None))
