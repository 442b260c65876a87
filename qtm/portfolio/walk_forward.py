"""The daily book through history: rebalanced with what was known then, and measured after costs.

Every rebalance sees only bars closed by its day. Weights then drift with prices until the next one. Costs are
proportional to the weight traded; when deciding, they are spread over the days until the next rebalance,
because expected returns are per day. The benchmarks run through the same loop on the same symbols and days.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.clock import iso_utc
from qtm.errors import RiskError
from qtm.portfolio.allocation import Outcome
from qtm.portfolio.daily import daily_mean, daily_problem, daily_rivals, daily_scenarios
from qtm.portfolio.history import DailyHistory
from qtm.portfolio.mandate import Mandate
from qtm.portfolio.minimum_variance import minimum_variance
from qtm.portfolio.optimise import optimise
from qtm.portfolio.scenarios.scenario_set import ScenarioSet
from qtm.risk.measures import Floats, drawdowns, equity_of, historical_cvar

DAYS_PER_YEAR = 365


class Book(StrEnum):
    """What is rebalanced: the mandate, or a benchmark on the same symbols."""

    MANDATE = "cvar-capped"
    EQUAL_WEIGHT = "equal-weight"
    MINIMUM_VARIANCE = "minimum-variance"


@dataclass(frozen=True, slots=True)
class Rebalance:
    """One rebalance: the day at whose close it was decided, the weights, and how they came about."""

    day_ms: int
    weights: dict[str, float]
    turnover: float
    promised_cvar: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class WalkForward:
    """Daily returns after costs of a rebalanced book, shape (D,), and its rebalances."""

    book: Book
    day_ms: npt.NDArray[np.int64]
    returns: Floats
    rebalances: tuple[Rebalance, ...]
    cost_rate: float
    alpha: float
    cvar_cap: float

    def summary(self) -> dict[str, Any]:
        """The figures a desk compares: return, risk, realised tail against the cap, turnover and costs."""
        equity = equity_of(self.returns)
        years = self.returns.shape[0] / DAYS_PER_YEAR
        deviation = float(self.returns.std(ddof=1)) * math.sqrt(DAYS_PER_YEAR)
        mean = float(self.returns.mean()) * DAYS_PER_YEAR
        turnover = sum(entry.turnover for entry in self.rebalances)
        realised = historical_cvar(self.returns, self.alpha)
        return {
            "book": self.book.value,
            "from": iso_utc(int(self.day_ms[0]))[:10],
            "to": iso_utc(int(self.day_ms[-1]))[:10],
            "annual_return": float(equity[-1]) ** (1 / years) - 1.0,
            "annual_volatility": deviation,
            "sharpe": mean / deviation if deviation > 0.0 else 0.0,
            "max_drawdown": float(drawdowns(equity).max()),
            "cvar": realised,
            "cvar_cap": self.cvar_cap,
            "realised_over_cap": realised / self.cvar_cap,
            "promised_cvar": float(np.mean([entry.promised_cvar for entry in self.rebalances])),
            "worst_day": -float(self.returns.min()),
            "turnover_per_year": turnover / years,
            "cost_per_year": turnover * self.cost_rate / years,
            "rebalances": len(self.rebalances),
            "fallbacks": sum(entry.outcome is Outcome.FALLBACK for entry in self.rebalances),
        }


def walk_forward(
    history: DailyHistory,
    mandate: Mandate,
    book: Book = Book.MANDATE,
    *,
    every_days: int = 30,
    progress: Callable[[int, int], None] | None = None,
) -> WalkForward:
    """Rebalance `book` every `every_days` days from the first day with a full window to the end of `history`.

    Parameters
    ----------
    history
        Daily bars of the universe; symbols may start late or stop.
    mandate
        Window, cap and cost of the book; benchmarks use its window, weight bound and cost.
    every_days
        Days between rebalances.
    progress
        Called with (rebalances done, rebalances in all).

    Raises
    ------
    RiskError
        If the history is shorter than the window and one rebalance period.
    """
    days = history.open_time_ms.shape[0]
    starts = range(mandate.window, days - 1, every_days)
    if not starts:
        raise RiskError(
            "the history is too short to walk through",
            where=f"{days} days, window {mandate.window}",
            remedy="shorten the window or ingest more days",
        )
    moves = _moves(history)
    deciding = replace(mandate, cost_rate=mandate.cost_rate / every_days)
    held = np.zeros(len(history.symbols))
    returns, rebalances = [], []
    for done, row in enumerate(starts):
        target, promised, outcome = _decide(history.until(row), deciding, book, held)
        turnover = float(np.abs(target - held).sum())
        rebalances.append(
            Rebalance(
                int(history.open_time_ms[row]),
                {s: float(w) for s, w in zip(history.symbols, target, strict=True) if w},
                turnover,
                promised,
                outcome,
            )
        )
        held = target
        for day in range(row, min(row + every_days, days - 1)):
            earned = float(held @ moves[day])
            paid = turnover * mandate.cost_rate if day == row else 0.0
            returns.append((1.0 - paid) * (1.0 + earned) - 1.0)
            held = held * (1.0 + moves[day]) / (1.0 + earned)
        if progress is not None:
            progress(done + 1, len(starts))
    return WalkForward(
        book=book,
        day_ms=history.open_time_ms[mandate.window + 1 :],
        returns=np.array(returns),
        rebalances=tuple(rebalances),
        cost_rate=mandate.cost_rate,
        alpha=mandate.alpha,
        cvar_cap=mandate.cvar_cap,
    )


def _moves(history: DailyHistory) -> Floats:
    """Return of each day after the first, shape (D - 1, S): nothing without a price, then the whole move."""
    closes = history.closes.copy()
    for row in range(1, closes.shape[0]):
        gap = ~np.isfinite(closes[row])
        closes[row, gap] = closes[row - 1, gap]
    moves = closes[1:] / closes[:-1] - 1.0
    if history.funding is not None:
        moves = moves - history.funding[1:]
    return np.where(np.isfinite(moves), moves, 0.0)


def _decide(
    history: DailyHistory, mandate: Mandate, book: Book, held: Floats
) -> tuple[Floats, float, Outcome]:
    """Weights over all symbols of `history`, the CVaR they promise, and how they came about."""
    scenarios = daily_scenarios(history, mandate)
    columns = [history.symbols.index(symbol) for symbol in scenarios.symbols]
    if book is Book.MANDATE:
        measured = {s: float(held[c]) for s, c in zip(scenarios.symbols, columns, strict=True)}
        trading = mandate.cost_rate > 0.0 or mandate.turnover_cap is not None
        mean = daily_mean(history, mandate)
        rivals = daily_rivals(history, mandate)
        answer = optimise(
            daily_problem(scenarios, mean, mandate, measured if trading else None, rivals=rivals)
        )
        weights, outcome = answer.weights, answer.outcome
    else:
        weights, outcome = _benchmark(scenarios, mandate, book), Outcome.OPTIMAL
    target = np.zeros(len(history.symbols))
    target[columns] = weights
    return target, scenarios.cvar(weights, mandate.alpha), outcome


def _benchmark(scenarios: ScenarioSet, mandate: Mandate, book: Book) -> Floats:
    count = len(scenarios.symbols)
    if book is Book.EQUAL_WEIGHT:
        return np.full(count, 1.0 / count)
    most = max(mandate.max_weight, 1.0 / count)
    return minimum_variance(scenarios.returns, most, mandate.covariance)
