"""Which parts of a sweep are plateaus: a result that its neighbours share is less likely to be luck.

The rule is that of `qtm.backtest.overfitting.stability`, over the neighbours on the grid: enough of them earn
money, and the typical one keeps enough of the Sharpe ratio.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.backtest.overfitting.stability import KEPT_SHARPE, PROFITABLE_SHARE

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Surface:
    """A sweep seen over two parameters, the others taken at their median.

    Attributes
    ----------
    rows, columns
        The parameters and their values.
    sharpe
        Median Sharpe ratio a year of each cell, shape (rows, columns); NaN where nothing was run.
    around
        Median Sharpe ratio of the cell and its neighbours (up to 3 x 3).
    robust
        Cells whose neighbours share their result.
    """

    rows: str
    columns: str
    row_values: tuple[float, ...]
    column_values: tuple[float, ...]
    sharpe: Matrix
    around: Matrix
    robust: npt.NDArray[np.bool_]

    @property
    def centre(self) -> tuple[float, float] | None:
        """Values of the robust cell with the best surroundings; None when no cell is robust."""
        if not self.robust.any():
            return None
        row, column = np.unravel_index(
            int(np.where(self.robust, self.around, -np.inf).argmax()), self.around.shape
        )
        return self.row_values[row], self.column_values[column]


def surfaces(table: pl.DataFrame, axes: Mapping[str, Sequence[float]], most: int = 6) -> list[Surface]:
    """A surface for each pair of parameters that varied, those with the most values first."""
    varied = sorted((name for name, values in axes.items() if len(values) > 1), key=lambda n: -len(axes[n]))
    return [surface(table, axes, *pair) for pair in itertools.islice(itertools.combinations(varied, 2), most)]


def surface(table: pl.DataFrame, axes: Mapping[str, Sequence[float]], rows: str, columns: str) -> Surface:
    """The sweep over two of its parameters."""
    row_values, column_values = sorted(axes[rows]), sorted(axes[columns])
    shape = len(row_values), len(column_values)
    cells = table.group_by(rows, columns).agg(
        pl.col("sharpe").fill_null(0.0).median(), pl.col("total_return").median()
    )
    at = (
        np.searchsorted(row_values, cells[rows].to_numpy()),
        np.searchsorted(column_values, cells[columns].to_numpy()),
    )
    sharpe, earned = np.full(shape, np.nan), np.full(shape, np.nan)
    sharpe[at], earned[at] = cells["sharpe"].to_numpy(), cells["total_return"].to_numpy()
    around = _neighbourhood(sharpe)
    known = np.isfinite(_windows(sharpe)).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        profitable = (_windows(earned) > 0.0).sum(axis=-1) / known
        robust = (sharpe > 0.0) & (around >= KEPT_SHARPE * sharpe) & (profitable >= PROFITABLE_SHARE)
    return Surface(
        rows, columns, tuple(row_values), tuple(column_values), sharpe, around, robust & (known >= 4)
    )


def _windows(values: Matrix) -> Matrix:
    """The 3 x 3 surroundings of each cell, shape (rows, columns, 9); NaN beyond the edges."""
    padded = np.pad(values, 1, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3))
    return windows.reshape(*values.shape, 9)


def _neighbourhood(values: Matrix) -> Matrix:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a cell in the middle of nothing has no median
        return np.asarray(np.nanmedian(_windows(values), axis=-1))
