"""Historical risk measures: one definition of the tail, used by the optimiser, the gate, sizing and reports.

Conventions: a return is a simple fractional return (or a P&L in money; every measure scales with its input),
a loss is a negative return, `alpha` is the confidence level, and measures are positive when they are losses.
The tail is the fractional one of Rockafellar and Uryasev, "Conditional value-at-risk for general loss
distributions" (2002): with k = (1 - alpha) n, the floor(k) worst returns count whole and the next one counts
with weight k - floor(k). CVaR is then coherent and its components sum to it exactly.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from qtm.errors import RiskError

Floats = npt.NDArray[np.float64]

_ROUNDING: Final = 1e-9
"""Tail counts this close to a whole number are that number: (1 - 0.95) * 20 is 1.0000000000000009."""


def tail_count(observations: int, alpha: float) -> tuple[int, float]:
    """How many observations form the tail: whole ones, and the share of the next.

    Parameters
    ----------
    observations
        Number of returns n.
    alpha
        Confidence level in (0, 1).

    Returns
    -------
    tuple[int, float]
        `floor(k)` and `k - floor(k)` for k = (1 - alpha) n.

    Raises
    ------
    RiskError
        If `alpha` is not inside (0, 1) or there are no observations.
    """
    if not 0.0 < alpha < 1.0:
        raise RiskError(
            "the confidence level must lie inside (0, 1)", where=f"alpha={alpha}", remedy="use e.g. 0.95"
        )
    if observations < 1:
        raise RiskError("a risk measure needs at least one return", remedy="widen the window")
    return tail_split(observations, alpha)


def tail_split(observations: int, alpha: float) -> tuple[int, float]:
    """`tail_count` of values that are known to be good."""
    k = (1.0 - alpha) * observations
    whole = math.floor(k + _ROUNDING)
    share = k - whole
    return whole, share if share > _ROUNDING or whole == 0 else 0.0


def tail_weights(returns: Floats, alpha: float, probabilities: Floats | None = None) -> Floats:
    """The weight of each return in CVaR, shape (T,), summing to one: `cvar == -weights @ returns`.

    Ties are given to the earlier return, so that the same input always names the same tail.

    Parameters
    ----------
    returns
        Shape (T,), finite.
    alpha
        Confidence level in (0, 1).
    probabilities
        Chance of each return, shape (T,), summing to one; equally likely if not given.
    """
    _checked(returns)
    if probabilities is not None:
        return _likely_tail(returns, alpha, probabilities)
    whole, share = tail_count(returns.shape[0], alpha)
    order = np.argsort(returns, kind="stable")
    weights = np.zeros(returns.shape[0])
    weights[order[:whole]] = 1.0
    if share > 0.0:
        weights[order[whole]] = share
    return weights / (whole + share)


def historical_var(returns: Floats, alpha: float, probabilities: Floats | None = None) -> float:
    """Value at risk: minus the ceil((1 - alpha) n)-th smallest return, in the unit of `returns`.

    With `probabilities` (T,) it is the smallest loss whose tail, itself included, has a chance of 1 - alpha.
    """
    _checked(returns)
    if probabilities is not None:
        weights = _likely_tail(returns, alpha, probabilities)
        return -float(returns[weights > 0.0].max())
    whole, share = tail_count(returns.shape[0], alpha)
    rank = whole if share == 0.0 else whole + 1
    return -float(np.partition(returns, rank - 1)[rank - 1])


def historical_cvar(returns: Floats, alpha: float, probabilities: Floats | None = None) -> float:
    """Conditional value at risk (expected shortfall) with the fractional tail, in the unit of `returns`.

    Parameters
    ----------
    returns
        Shape (T,), finite.
    alpha
        Confidence level in (0, 1).
    probabilities
        Chance of each return, shape (T,), summing to one; equally likely if not given.

    Raises
    ------
    RiskError
        If `returns` is empty or holds NaN or infinity, or `alpha` or `probabilities` are out of range.
    """
    _checked(returns)
    if probabilities is not None:
        return -float(_likely_tail(returns, alpha, probabilities) @ returns)
    whole, share = tail_count(returns.shape[0], alpha)
    if share == 0.0:
        return -float(np.partition(returns, whole - 1)[:whole].sum()) / whole
    tail = np.partition(returns, whole)
    return -(float(tail[:whole].sum()) + share * float(tail[whole])) / (whole + share)


def equity_of(returns: Floats, *, compounded: bool = True) -> Floats:
    """Equity path of shape (T + 1,) that starts at one: compounded, or the sum of returns."""
    _checked(returns)
    path = np.cumprod(1.0 + returns) if compounded else 1.0 + np.cumsum(returns)
    return np.concatenate((np.ones(1), path))


def drawdowns(equity: Floats) -> Floats:
    """Fall of each point of a positive equity path below its running maximum, as a fraction, shape (T,)."""
    _checked(equity)
    if equity[0] <= 0.0:
        raise RiskError(
            "an equity path must start above zero to have drawdowns", where=f"first value {equity[0]}"
        )
    peak = np.maximum.accumulate(equity)
    return 1.0 - equity / peak


def uncompounded_drawdowns(returns: Floats) -> Floats:
    """Fall of the running sum of returns below its maximum (from zero), shape (T,)."""
    _checked(returns)
    path = np.cumsum(returns)
    return np.maximum(np.maximum.accumulate(path), 0.0) - path


def max_drawdown(equity: Floats) -> float:
    """Largest drawdown of an equity path, as a fraction of the peak before it."""
    return float(drawdowns(equity).max())


def average_drawdown(equity: Floats) -> float:
    """Mean drawdown over all points of the path."""
    return float(drawdowns(equity).mean())


def ulcer_index(equity: Floats) -> float:
    """Root mean square drawdown (Martin and McCann 1989)."""
    return float(np.sqrt(np.mean(drawdowns(equity) ** 2)))


def cdar(falls: Floats, alpha: float) -> float:
    """Conditional drawdown at risk: the mean of the worst (1 - alpha) share of `falls`.

    Parameters
    ----------
    falls
        Drawdowns of shape (T,), from `drawdowns` or `uncompounded_drawdowns`.
    alpha
        Confidence level in (0, 1). Source: Chekhlov, Uryasev and Zabarankin (2005).
    """
    return historical_cvar(-falls, alpha)


def _likely_tail(returns: Floats, alpha: float, probabilities: Floats) -> Floats:
    """`tail_weights` of returns that are not equally likely."""
    tail_count(returns.shape[0], alpha)
    if (
        probabilities.shape != returns.shape
        or not (probabilities >= 0.0).all()
        or abs(float(probabilities.sum()) - 1.0) > _ROUNDING
    ):
        raise RiskError(
            "probabilities must be one per return, not negative, and sum to one",
            where=f"shape {probabilities.shape}, sum {float(probabilities.sum()):.9f}",
        )
    order = np.argsort(returns, kind="stable")
    mass = 1.0 - alpha
    chances = probabilities[order]
    before = np.cumsum(chances) - chances
    weights = np.zeros(returns.shape[0])
    weights[order] = np.clip(mass - before, 0.0, chances)
    weights[weights < _ROUNDING * mass / returns.shape[0]] = 0.0
    normal: Floats = weights / weights.sum()
    return normal


def _checked(values: Floats) -> None:
    if values.ndim != 1 or values.shape[0] == 0:
        raise RiskError(
            "a risk measure needs a non-empty series",
            where=f"shape {values.shape}",
            remedy="widen the window",
        )
    if not np.isfinite(values).all():
        first = int(np.flatnonzero(~np.isfinite(values))[0])
        raise RiskError(
            "a risk measure was given a missing or infinite value",
            where=f"position {first}",
            remedy="drop or repair the value before measuring; risk never guesses it",
        )
