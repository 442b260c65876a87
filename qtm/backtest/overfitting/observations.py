"""What the tests for luck accept: per-period returns, checked once and in one place.

A return is a simple fractional return per period. Research bars are short and dependent, so the tests are run
on daily returns (`qtm.backtest.statistics.daily_returns`), where a Sharpe ratio means something and a matrix
of periods x trials stays small.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qtm.errors import RiskError

Floats = npt.NDArray[np.float64]


def checked_returns(returns: npt.ArrayLike, *, at_least: int, purpose: str) -> Floats:
    """The returns as a float array of shape (T,).

    Raises
    ------
    RiskError
        If they are not one-dimensional, fewer than `at_least`, or hold NaN or infinity.
    """
    values = np.ascontiguousarray(returns, dtype=np.float64)
    if values.ndim != 1:
        raise RiskError(f"{purpose} takes one series of returns", where=f"shape {values.shape}")
    if values.shape[0] < at_least:
        raise RiskError(
            f"{purpose} needs at least {at_least} returns, there are {values.shape[0]}",
            remedy="test over a longer window",
        )
    _refuse_missing(values, purpose)
    return values


def checked_trials(returns: npt.ArrayLike, *, at_least: int, purpose: str) -> Floats:
    """The returns of N trials over the same periods as a float array of shape (T, N).

    A trial that never traded is a column of zeros and is allowed; a constant other than zero is not a return.

    Raises
    ------
    RiskError
        If it is not two-dimensional, has fewer than `at_least` rows or fewer than two columns, holds NaN or
        infinity, or a column is constant and not zero.
    """
    values = np.ascontiguousarray(returns, dtype=np.float64)
    if values.ndim != 2:
        raise RiskError(f"{purpose} takes a matrix of periods x trials", where=f"shape {values.shape}")
    rows, trials = values.shape
    if trials < 2:
        raise RiskError(
            f"{purpose} needs at least two trials to choose from, there is {trials}",
            remedy="sweep more parameters; one trial is judged by its probabilistic Sharpe ratio",
        )
    if rows < at_least:
        raise RiskError(
            f"{purpose} needs at least {at_least} periods, there are {rows}",
            remedy="test over a longer window",
        )
    _refuse_missing(values, purpose)
    constant = (values == values[0]).all(axis=0) & (values[0] != 0.0)
    if constant.any():
        raise RiskError(
            f"trial {int(np.argmax(constant))} has the same return in every period",
            where=purpose,
            remedy="give returns, not equity or a constant",
        )
    return values


def _refuse_missing(values: Floats, purpose: str) -> None:
    missing = ~np.isfinite(values)
    if missing.any():
        place = np.unravel_index(int(np.argmax(missing)), values.shape)
        raise RiskError(
            f"{purpose} was given a return that is not a number",
            where="row " + ", column ".join(str(int(i)) for i in place),
            remedy="drop the periods before the first equity and fill none",
        )
