"""One book's VaR and CVaR by every engine, side by side, with the reason where an engine refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from qtm.errors import RiskError
from qtm.risk.engines import ExtremeValue
from qtm.risk.measures import Floats, historical_cvar, historical_var
from qtm.risk.parametric import (
    Moments,
    cornish_fisher_cvar,
    cornish_fisher_var,
    normal_cvar,
    normal_var,
    student_t_cvar,
    student_t_freedom,
    student_t_var,
)
from qtm.risk.volatility import filtered_returns

LEVELS = (0.95, 0.975, 0.99)
STRESSED_WINDOW = 250
HORIZON = 10


@dataclass(frozen=True, slots=True)
class TailEstimate:
    """VaR and CVaR of one engine at one level, as fractions of capital; NaN with a note when it refuses."""

    engine: str
    alpha: float
    var: float
    cvar: float
    note: str = ""


def tail_estimates(
    path: Floats, history: Floats, levels: tuple[float, ...] = LEVELS, *, hourly: Floats | None = None
) -> list[TailEstimate]:
    """Estimates of every engine for the book's next day, and historical ones over an hour and ten days.

    Parameters
    ----------
    path
        Returns the book would have had over the measuring window, shape (T,).
    history
        The same over all history there is, for the stressed window, shape (H,) with H >= T.
    hourly
        Hourly returns of the book; without them the next hour is not estimated.
    """
    moments = Moments.of(path)
    freedom = student_t_freedom(path) if moments.deviation > 0.0 else float("nan")
    filtered = filtered_returns(path)
    stressed = worst_window(history, STRESSED_WINDOW)
    longer = overlapping_returns(path, HORIZON)
    mean, deviation = moments.mean, moments.deviation
    moment_note = f"skewness {moments.skewness:.2f}, excess kurtosis {moments.excess_kurtosis:.1f}"
    stressed_note = f"worst {stressed.shape[0]} consecutive days of {history.shape[0]}"
    engines: list[tuple[str, str, Callable[[float], tuple[float, float]]]] = [
        ("Historical", f"{path.shape[0]} days", _historical(path)),
        ("Filtered historical", "EWMA 0.94, scaled to tomorrow's volatility", _historical(filtered)),
        ("Normal", "", lambda a: (normal_var(mean, deviation, a), normal_cvar(mean, deviation, a))),
        (
            "Student t",
            f"{freedom:.1f} degrees of freedom" if deviation > 0.0 else "the book never moved",
            lambda a: (
                student_t_var(mean, deviation, freedom, a),
                student_t_cvar(mean, deviation, freedom, a),
            ),
        ),
        (
            "Cornish-Fisher",
            moment_note,
            lambda a: (cornish_fisher_var(moments, a), cornish_fisher_cvar(moments, a)),
        ),
        ("Extreme values", "peaks over the worst tenth", _of_engine(ExtremeValue(), path)),
        (
            "Filtered extreme values",
            "the same at tomorrow's volatility",
            _of_engine(ExtremeValue(filtered=True), path),
        ),
        ("Historical, stressed", stressed_note, _historical(stressed)),
        (f"Historical, {HORIZON} days", "overlapping, compounded", _historical(longer)),
        ("Historical, 1 hour", *_next_hour(hourly)),
    ]
    estimates = []
    for engine, note, estimate in engines:
        for alpha in levels:
            try:
                var, cvar = estimate(alpha)
                estimates.append(TailEstimate(engine, alpha, var, cvar, note))
            except RiskError as refusal:
                estimates.append(TailEstimate(engine, alpha, float("nan"), float("nan"), refusal.what))
    return estimates


def _next_hour(hourly: Floats | None) -> tuple[str, Callable[[float], tuple[float, float]]]:
    if hourly is None:
        return "", _refuse_hour
    return f"{hourly.shape[0]} hours", _historical(hourly)


def _refuse_hour(alpha: float) -> tuple[float, float]:
    raise RiskError("the lake's hourly bars do not cover the book")


def _of_engine(engine: ExtremeValue, path: Floats) -> Callable[[float], tuple[float, float]]:
    def estimate(alpha: float) -> tuple[float, float]:
        tail = engine.tail(path)
        return tail.var(alpha), tail.cvar(alpha)

    return estimate


def _historical(returns: Floats) -> Callable[[float], tuple[float, float]]:
    return lambda alpha: (historical_var(returns, alpha), historical_cvar(returns, alpha))


def worst_window(returns: Floats, length: int) -> Floats:
    """The `length` consecutive returns with the largest sum of squared losses: the stressed window."""
    if returns.shape[0] <= length:
        return returns
    losses = np.minimum(returns, 0.0) ** 2
    sums = np.convolve(losses, np.ones(length), mode="valid")
    start = int(np.argmax(sums))
    return returns[start : start + length]


def overlapping_returns(returns: Floats, days: int) -> Floats:
    """Compounded returns over every run of `days` rows, shape (T - days + 1,)."""
    if returns.shape[0] < days:
        raise RiskError(
            "the window is shorter than the horizon", where=f"{returns.shape[0]} returns, {days} days"
        )
    growth = np.concatenate((np.zeros(1), np.cumsum(np.log1p(np.maximum(returns, -0.9999)))))
    compounded: Floats = np.expm1(growth[days:] - growth[:-days])
    return compounded
