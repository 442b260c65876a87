"""One book's VaR and CVaR by every engine over a day, ten days and an hour, and why where one refuses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qtm.errors import RiskError
from qtm.risk.engines import (
    CornishFisher,
    CornishFisherTail,
    Engine,
    ExtremeValue,
    Historical,
    Normal,
    PredictiveTail,
    Student,
    StudentTail,
)
from qtm.risk.extreme_value import ParetoTail
from qtm.risk.measures import Floats
from qtm.risk.volatility import filtered_returns

LEVELS = (0.95, 0.975, 0.99)
STRESSED_WINDOW = 250
DAYS = 10
DAY, TEN_DAYS, HOUR = "1 day", f"{DAYS} days", "1 hour"
HORIZONS = (DAY, TEN_DAYS, HOUR)
"""In the order reports show them."""

ENGINES: tuple[tuple[str, Engine, bool], ...] = (
    ("Historical", Historical(), False),
    ("Filtered historical", Historical(), True),
    ("Normal", Normal(), False),
    ("Student t", Student(), False),
    ("Cornish-Fisher", CornishFisher(), False),
    ("Extreme values", ExtremeValue(), False),
    ("Filtered extreme values", ExtremeValue(), True),
)
"""What reports call each engine, and whether it is given the volatility-filtered returns."""


@dataclass(frozen=True, slots=True)
class TailEstimate:
    """VaR and CVaR of one engine at one level, as fractions of capital; NaN with a note when it refuses.

    `engine` names the horizon too where it is not a day: "Normal, 10 days".
    """

    engine: str
    alpha: float
    var: float
    cvar: float
    note: str = ""
    horizon: str = DAY


def tail_estimates(
    path: Floats, history: Floats, levels: tuple[float, ...] = LEVELS, *, hourly: Floats | None = None
) -> list[TailEstimate]:
    """Estimates of every engine for the book's next day, ten days and hour.

    Ten days are overlapping runs of daily returns, compounded; filtered engines compound the returns as they
    would be at tomorrow's volatility. Runs that overlap are not independent: the longer horizon knows a
    tenth of what its rows suggest.

    Parameters
    ----------
    path
        Returns the book would have had over the measuring window, shape (T,).
    history
        The same over all history there is, for the stressed window, shape (H,) with H >= T.
    hourly
        Hourly returns of the book; without them the next hour is not estimated.
    """
    filtered = filtered_returns(path)
    stressed = worst_window(history, STRESSED_WINDOW)
    worst = f"worst {stressed.shape[0]} consecutive days of {history.shape[0]}"
    estimates = [
        *_horizon(DAY, path, filtered, levels, f"{path.shape[0]} days"),
        *_measured("Historical, stressed", DAY, Historical(), stressed, levels, worst),
        *_horizon(
            TEN_DAYS,
            overlapping_returns(path, DAYS),
            overlapping_returns(filtered, DAYS),
            levels,
            "overlapping, compounded",
        ),
    ]
    if hourly is not None:
        hours = f"{hourly.shape[0]} hours"
        return [*estimates, *_horizon(HOUR, hourly, filtered_returns(hourly), levels, hours)]
    why = "the lake's hourly bars do not cover the book"
    unknown = [TailEstimate(f"Historical, {HOUR}", alpha, np.nan, np.nan, why, HOUR) for alpha in levels]
    return [*estimates, *unknown]


def _horizon(
    horizon: str, sample: Floats, filtered: Floats, levels: tuple[float, ...], seen: str
) -> list[TailEstimate]:
    """Every engine on the returns of one horizon."""
    estimates = []
    for name, engine, on_filtered in ENGINES:
        label = name if horizon == DAY else f"{name}, {horizon}"
        given, words = (filtered, "EWMA 0.94, at tomorrow's volatility") if on_filtered else (sample, seen)
        estimates += _measured(label, horizon, engine, given, levels, words)
    return estimates


def _measured(
    label: str, horizon: str, engine: Engine, sample: Floats, levels: tuple[float, ...], seen: str
) -> list[TailEstimate]:
    """One engine at every level; a level it refuses is NaN and says why."""
    try:
        tail = engine.tail(sample)
    except RiskError as refusal:
        return [TailEstimate(label, alpha, np.nan, np.nan, refusal.what, horizon) for alpha in levels]
    estimates, note = [], _note(tail, seen)
    for alpha in levels:
        try:
            estimates.append(TailEstimate(label, alpha, tail.var(alpha), tail.cvar(alpha), note, horizon))
        except RiskError as refusal:
            estimates.append(TailEstimate(label, alpha, np.nan, np.nan, refusal.what, horizon))
    return estimates


def _note(tail: PredictiveTail, seen: str) -> str:
    """What the fit found, or what it has seen where nothing was fitted."""
    match tail:
        case StudentTail():
            return f"{tail.freedom:.1f} degrees of freedom"
        case CornishFisherTail():
            return f"skewness {tail.moments.skewness:.2f}, excess kurtosis {tail.moments.excess_kurtosis:.1f}"
        case ParetoTail():
            return f"peaks over the worst tenth; {seen}"
    return seen


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
