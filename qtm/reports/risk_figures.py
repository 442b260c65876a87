"""The numbers of the daily risk report, computed once; the page and the JSON beside it only show them.

Every figure is of the book as it stands at the close of the report's day: its weights are held through the
past (a back-cast), which is not a track record and is never called one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from qtm.portfolio.daily import DailyAllocation, DailyHistory
from qtm.risk.decomposition import component_cvar, marginal_cvar
from qtm.risk.forecasts import Forecasts, rolling_filtered, rolling_historical
from qtm.risk.measures import Floats, cdar, drawdowns, equity_of, historical_cvar
from qtm.risk.model_backtests import (
    Light,
    acerbi_szekely_z2,
    conditional_coverage,
    exceptions_of,
    kupiec,
    traffic_light,
)
from qtm.risk.stress import ReverseStress, StressLoss, replay_all, reverse_stress, shocked
from qtm.risk.tails import TailEstimate, tail_estimates
from qtm.settings import RiskSettings

MARKET_SYMBOL = "BTCUSDT"
FORECAST_WINDOW = 500
BACKTEST_DAYS = 250
PARTICIPATION = 0.10
"""Share of a day's traded value a desk may be without moving the price: the liquidation assumption."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One line of the book; shares and returns are fractions, values in the capital's currency."""

    symbol: str
    weight: float
    value: float
    last_return: float
    volatility: float
    beta: float
    component: float
    marginal: float
    days_to_exit: float


@dataclass(frozen=True, slots=True)
class LimitUse:
    """A measure beside its limit; `use` of one or more is a breach."""

    name: str
    value: float
    limit: float
    money: bool = False

    @property
    def use(self) -> float:
        """Value over limit."""
        return self.value / self.limit if self.limit > 0.0 else float("inf")

    @property
    def breached(self) -> bool:
        """Whether the limit is exceeded beyond rounding."""
        return self.use > 1.0 + 1e-6


@dataclass(frozen=True, slots=True)
class BadDay:
    """One of the worst days the book would have lived through."""

    day_ms: int
    loss: float
    worst_symbol: str
    worst_symbol_loss: float


@dataclass(frozen=True, slots=True)
class ModelVerdict:
    """How a VaR model would have done on this book over the last days."""

    model: str
    alpha: float
    days: int
    exceptions: int
    expected: float
    light: Light
    kupiec_p: float
    coverage_p: float
    z2: float


@dataclass(frozen=True, slots=True)
class Change:
    """What moved since the previous report: CVaR split into market and trading, and the P&L in between."""

    previous_day_ms: int
    cvar_before: float
    from_market: float
    from_trading: float
    pnl: float
    pnl_by_symbol: dict[str, float]
    weights: dict[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class RiskFigures:
    """Everything the report shows; losses and shares are fractions of `capital`."""

    answer: DailyAllocation
    capital: float
    path: Floats
    open_time_ms: npt.NDArray[np.int64]
    equity: Floats
    falls: Floats
    tails: tuple[TailEstimate, ...]
    exposures: tuple[Exposure, ...]
    limits: tuple[LimitUse, ...]
    stress: tuple[StressLoss, ...]
    composite: Mapping[str, float]
    reverse: ReverseStress
    worst_days: tuple[BadDay, ...]
    verdicts: tuple[ModelVerdict, ...]
    forecasts: Forecasts | None
    correlation: Floats
    change: Change | None

    def tail(self, engine: str, alpha: float) -> TailEstimate:
        """The estimate of one engine at one level."""
        return next(e for e in self.tails if e.engine == engine and abs(e.alpha - alpha) < 1e-9)


def measure_book(
    history: DailyHistory,
    answer: DailyAllocation,
    settings: RiskSettings,
    previous: Mapping[str, Any] | None = None,
) -> RiskFigures:
    """Measure the book of `answer` at the close of the last day of `history`.

    Parameters
    ----------
    history
        All daily bars up to the report's day.
    answer
        The day's allocation.
    settings
        Capital and limits.
    previous
        The JSON body of the report before this one, if there is one.
    """
    problem, weights = answer.allocation.problem, answer.allocation.weights
    capital = float(settings.capital)
    path = problem.scenarios @ weights
    equity = equity_of(path)
    falls = drawdowns(equity)
    columns = [history.symbols.index(symbol) for symbol in problem.symbols]
    closes, lows = history.closes[:, columns], history.lows[:, columns]
    full_path = _back_cast(closes, weights)
    exposures = _exposures(history, answer, capital)
    stress = replay_all(problem.symbols, weights, history.open_time_ms, closes, lows)
    tails = tuple(tail_estimates(path, full_path))
    betas = np.array([exposure.beta for exposure in exposures])
    forecasts, verdicts = _judge_models(full_path)
    return RiskFigures(
        answer=answer,
        capital=capital,
        path=path,
        open_time_ms=answer.scenarios.open_time_ms,
        equity=equity,
        falls=falls,
        tails=tails,
        exposures=exposures,
        limits=_limits(answer, settings, exposures, falls, path),
        stress=stress,
        composite=_composite(problem.symbols, weights, stress),
        reverse=reverse_stress(
            float(settings.daily_loss), weights, betas, np.atleast_2d(np.cov(problem.scenarios, rowvar=False))
        ),
        worst_days=_worst_days(history.open_time_ms[1:], closes, weights),
        verdicts=verdicts,
        forecasts=forecasts,
        correlation=_correlation(problem.scenarios),
        change=None if previous is None else _change(previous, history, answer),
    )


def _back_cast(closes: Floats, weights: Floats) -> Floats:
    """Returns of the weights over all days on which at least nine tenths of the book had prices.

    The rest of the book is taken to have moved like the part that had prices.
    """
    returns = closes[1:] / closes[:-1] - 1.0
    known = np.isfinite(returns)
    gross = np.abs(weights).sum()
    if gross == 0.0:
        return np.zeros(returns.shape[0])
    covered = known @ np.abs(weights) / gross
    moves = np.where(known, returns, 0.0) @ weights
    enough = covered >= 0.9
    path: Floats = moves[enough] / covered[enough]
    return path


def _exposures(history: DailyHistory, answer: DailyAllocation, capital: float) -> tuple[Exposure, ...]:
    problem, weights = answer.allocation.problem, answer.allocation.weights
    components = component_cvar(problem.scenarios, weights, problem.alpha)
    marginals = marginal_cvar(problem.scenarios, weights, problem.alpha)
    market = (
        problem.scenarios[:, problem.symbols.index(MARKET_SYMBOL)]
        if MARKET_SYMBOL in problem.symbols
        else problem.scenarios.mean(axis=1)
    )
    centred = market - market.mean()
    variance = float(centred @ centred)
    lines = []
    for i, symbol in enumerate(problem.symbols):
        column = history.symbols.index(symbol)
        traded = history.quote_volumes[-30:, column]
        usual = float(np.median(traded[np.isfinite(traded)])) if np.isfinite(traded).any() else 0.0
        value = float(weights[i]) * capital
        lines.append(
            Exposure(
                symbol=symbol,
                weight=float(weights[i]),
                value=value,
                last_return=float(problem.scenarios[-1, i]),
                volatility=float(problem.scenarios[:, i].std() * np.sqrt(365)),
                beta=float(centred @ problem.scenarios[:, i]) / variance if variance > 0.0 else 0.0,
                component=float(components[i]),
                marginal=float(marginals[i]),
                days_to_exit=abs(value) / (PARTICIPATION * usual) if usual > 0.0 else float("inf"),
            )
        )
    return tuple(lines)


def _limits(
    answer: DailyAllocation,
    settings: RiskSettings,
    exposures: tuple[Exposure, ...],
    falls: Floats,
    path: Floats,
) -> tuple[LimitUse, ...]:
    weights = answer.allocation.weights
    mandate = answer.mandate
    largest = max(abs(exposure.weight) for exposure in exposures)
    return (
        LimitUse(f"CVaR {mandate.alpha * 100:g} %, one day", answer.allocation.cvar, mandate.cvar_cap),
        LimitUse("CVaR 97.5 %, one day, against the daily loss limit", historical_cvar(path, 0.975), float(settings.daily_loss)),
        LimitUse("Largest weight", largest, mandate.max_weight),
        LimitUse("Largest position", largest * float(settings.capital), float(settings.max_position_value), money=True),
        LimitUse("Invested (gross)", float(np.abs(weights).sum()), 1.0),
        LimitUse("Drawdown now, weights back-cast", float(falls[-1]), float(settings.max_drawdown)),
        LimitUse("Worst drawdown, weights back-cast", float(falls.max()), float(settings.max_drawdown)),
    )  # fmt: skip


def _composite(
    symbols: tuple[str, ...], weights: Floats, stress: tuple[StressLoss, ...]
) -> Mapping[str, float]:
    """Made-up scenarios on top of the worst event: what no history holds."""
    invested = float(weights.sum())
    worst = max((loss.on_lows for loss in stress), default=0.0)
    alts = shocked(symbols, weights, {"BTCUSDT": -0.30, "ETHUSDT": -0.40, "PAXGUSDT": -0.05}, -0.60)
    return {
        "Every coin on the lows of the worst event, and the cash stablecoin loses 10 %": worst
        + 0.10 * (1.0 - invested),
        "Alts -60 %, BTC -30 %, ETH -40 %, gold -5 % at once": alts,
        "The venue's balances are lost": 1.0,
    }


def _worst_days(days: npt.NDArray[np.int64], closes: Floats, weights: Floats) -> tuple[BadDay, ...]:
    raise NotImplementedError


def _judge_models(path: Floats) -> tuple[Forecasts | None, tuple[ModelVerdict, ...]]:
    """Roll both historical engines over the back-cast and judge the last year of forecasts."""
    window = min(FORECAST_WINDOW, path.shape[0] - BACKTEST_DAYS)
    if window < 100:
        return None, ()
    shown = None
    verdicts = []
    for roll in (rolling_filtered, rolling_historical):
        for alpha in (0.975, 0.99):
            rolled = roll(path, window, alpha)
            recent = Forecasts(
                rolled.returns[-BACKTEST_DAYS:],
                rolled.var[-BACKTEST_DAYS:],
                rolled.cvar[-BACKTEST_DAYS:],
                alpha,
                rolled.model,
            )
            shown = recent if shown is None else shown
            verdicts.append(_verdict(recent))
    return shown, tuple(verdicts)


def _verdict(recent: Forecasts) -> ModelVerdict:
    hit = exceptions_of(recent.returns, recent.var)
    days, count = int(hit.shape[0]), int(hit.sum())
    positive = bool((recent.cvar > 0.0).all())
    return ModelVerdict(
        model=recent.model,
        alpha=recent.alpha,
        days=days,
        exceptions=count,
        expected=days * (1.0 - recent.alpha),
        light=traffic_light(days, count, recent.alpha).light,
        kupiec_p=kupiec(days, count, recent.alpha).p_value,
        coverage_p=conditional_coverage(hit, recent.alpha).p_value,
        z2=acerbi_szekely_z2(recent.returns, recent.var, recent.cvar, recent.alpha)
        if positive
        else float("nan"),
    )


def _correlation(scenarios: Floats) -> Floats:
    deviation = scenarios.std(axis=0)
    standard = (scenarios - scenarios.mean(axis=0)) / np.where(deviation > 0.0, deviation, 1.0)
    matrix: Floats = standard.T @ standard / scenarios.shape[0]
    return matrix


def _change(previous: Mapping[str, Any], history: DailyHistory, answer: DailyAllocation) -> Change:
    problem = answer.allocation.problem
    old = {str(symbol): float(weight) for symbol, weight in previous["weights"].items()}
    before = np.array([old.get(symbol, 0.0) for symbol in problem.symbols])
    now = answer.allocation.weights
    then_ms = int(previous["as_of_ms"])
    cvar_before = float(previous["cvar"])
    cvar_held = historical_cvar(problem.scenarios @ before, problem.alpha)
    row = int(np.searchsorted(history.open_time_ms, then_ms))
    pnl = {}
    for symbol, weight in old.items():
        if symbol in history.symbols and weight:
            prices = history.closes[:, history.symbols.index(symbol)]
            pnl[symbol] = weight * float(prices[-1] / prices[row] - 1.0)
    return Change(
        previous_day_ms=then_ms,
        cvar_before=cvar_before,
        from_market=cvar_held - cvar_before,
        from_trading=answer.allocation.cvar - cvar_held,
        pnl=sum(pnl.values()),
        pnl_by_symbol=pnl,
        weights={
            symbol: (float(b), float(n))
            for symbol, b, n in zip(problem.symbols, before, now, strict=True)
            if b or n
        },
    )


def figures_body(figures: RiskFigures) -> dict[str, Any]:
    """The figures as plain data for the JSON file beside the page."""
    raise NotImplementedError


__all__ = ["RiskFigures", "cdar", "figures_body", "measure_book"]
