"""Measure the book of a day: every number of the daily risk report.

The book's weights are held through the past (a back-cast) wherever a history is needed. That is not a track
record and is never called one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from qtm.portfolio.daily import DailyAllocation, daily_scenarios
from qtm.portfolio.history import DailyHistory
from qtm.portfolio.scenarios.recipe import ScenarioRecipe
from qtm.portfolio.scenarios.scenario_set import ScenarioSet
from qtm.reports.account_limits import standings
from qtm.reports.limit_use import LimitUse
from qtm.reports.live_books import live_books
from qtm.reports.risk_figures import (
    MARKET_SYMBOL,
    RUNNING,
    BadDay,
    Change,
    Exposure,
    KeyFigure,
    RiskFigures,
    headline,
)
from qtm.reports.surroundings import Surroundings
from qtm.risk.back_cast import back_cast
from qtm.risk.composite_stress import Holding, StressBook, apply_all
from qtm.risk.decomposition import component_cvar, marginal_cvar
from qtm.risk.engines import engine_named
from qtm.risk.lights import Light
from qtm.risk.measures import Floats, drawdowns, equity_of, historical_cvar
from qtm.risk.reverse_stress import deviations_to_lose, smallest_breaches
from qtm.risk.rolling_backtest import EngineVerdict, RolledEngine, judge_engine, roll
from qtm.risk.stress import DailyPrices, replay_all
from qtm.risk.tails import tail_estimates
from qtm.settings import RiskSettings
from qtm.trading.costs import SPOT_COSTS

JUDGED_ENGINES = ("filtered", "historical")
"""Engines whose lights act on the desk, the one in use first."""

FORECAST_WINDOW = 500
BACKTEST_DAYS = 250
LEAST_FORECAST_WINDOW = 100
SHOWN_BAD_DAYS = 10
PARTICIPATION = 0.10
"""Share of a day's traded value a desk may be without moving the price: the liquidation assumption."""


def measure_book(
    history: DailyHistory,
    answer: DailyAllocation,
    settings: RiskSettings,
    previous: Mapping[str, Any] | None = None,
    around: Surroundings | None = None,
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
    around
        Hourly prices, funding, waivers and the running account, where they are known.
    """
    problem, weights = answer.allocation.problem, answer.allocation.weights
    capital = float(settings.capital)
    days = _days_of_window(history, answer)
    path = days.returns @ weights
    equity = equity_of(path)
    falls = drawdowns(equity)
    columns = [history.symbols.index(symbol) for symbol in problem.symbols]
    closes = history.closes[:, columns]
    full_path, rows = back_cast(closes, weights)
    exposures = _exposures(history, answer, days, capital)
    prices = DailyPrices(history.open_time_ms, closes, history.lows[:, columns], history.highs[:, columns])
    stress = replay_all(problem.symbols, weights, prices)
    put_through = _stress_book(problem.symbols, weights, path)
    around = around or Surroundings()
    tails = tuple(tail_estimates(path, full_path, hourly=around.hourly))
    forecasts, verdicts = _judge_models(full_path)
    headroom = {"daily loss": float(settings.daily_loss), "drawdown": float(settings.max_drawdown)}
    figures = RiskFigures(
        answer=answer,
        capital=capital,
        path=path,
        open_time_ms=days.open_time_ms,
        equity=equity,
        falls=falls,
        tails=tails,
        exposures=exposures,
        limits=_limits(answer, settings, exposures, falls, path),
        stress=stress,
        composite=apply_all(put_through),
        reverse=smallest_breaches(
            put_through, headroom, {exposure.symbol: exposure.beta for exposure in exposures}
        ),
        reverse_alike=smallest_breaches(put_through, headroom),
        deviations=deviations_to_lose(
            float(settings.daily_loss), weights, np.atleast_2d(np.cov(days.returns, rowvar=False))
        ),
        worst_days=_worst_days(days, weights),
        verdicts=verdicts,
        forecasts=forecasts,
        forecast_days_ms=history.open_time_ms[rows[-BACKTEST_DAYS:]],
        correlation=_correlation(days.returns),
        change=None,
        funding=around.funding,
        waivers=around.waivers,
        record=around.record,
        live=None
        if around.record is None
        else live_books(
            around.record,
            history,
            answer.scenarios,
            problem.alpha,
            {} if around.limits is None else around.limits.desks(),
        ),
        accounts=()
        if around.record is None or around.limits is None
        else standings(around.record, history, answer.scenarios, around.limits),
    )
    return figures if previous is None else replace(figures, change=_change(previous, history, figures))


def _days_of_window(history: DailyHistory, answer: DailyAllocation) -> ScenarioSet:
    """The days behind the scenarios, for figures in time: drawn or reweighted scenarios have no calendar."""
    if answer.mandate.scenarios == ScenarioRecipe():
        return answer.scenarios
    return daily_scenarios(history, replace(answer.mandate, scenarios=ScenarioRecipe()))


def _exposures(
    history: DailyHistory, answer: DailyAllocation, days: ScenarioSet, capital: float
) -> tuple[Exposure, ...]:
    problem, weights = answer.allocation.problem, answer.allocation.weights
    tail = (problem.scenarios, weights, problem.alpha, problem.probabilities)
    components, marginals = component_cvar(*tail), marginal_cvar(*tail)
    returns = days.returns
    market = days.column(MARKET_SYMBOL) if MARKET_SYMBOL in days.symbols else returns.mean(axis=1)
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
                last_return=float(returns[-1, i]),
                volatility=float(returns[:, i].std() * np.sqrt(365)),
                beta=float(centred @ returns[:, i]) / variance if variance > 0.0 else 0.0,
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
    capital = float(settings.capital)
    largest = max(abs(exposure.weight) for exposure in exposures)
    held_through = "yardstick: weights back-cast"
    return (
        LimitUse(
            f"CVaR {mandate.alpha * 100:g} %, one day",
            answer.allocation.cvar,
            mandate.cvar_cap,
            set_by="mandate",
        ),
        LimitUse("Largest weight", largest, mandate.max_weight, set_by="mandate"),
        LimitUse(
            "Largest position",
            largest * capital,
            float(settings.max_position_value),
            money=True,
            set_by="settings",
        ),
        LimitUse("Invested (gross)", float(np.abs(weights).sum()), 1.0, set_by="mandate"),
        LimitUse(
            "CVaR 97.5 %, one day",
            historical_cvar(path, 0.975),
            float(settings.daily_loss),
            set_by="yardstick: daily loss limit",
            advisory=True,
        ),
        LimitUse(
            "Drawdown now", float(falls[-1]), float(settings.max_drawdown), set_by=held_through, advisory=True
        ),
        LimitUse(
            "Worst drawdown",
            float(falls.max()),
            float(settings.max_drawdown),
            set_by=held_through,
            advisory=True,
        ),
    )


def _stress_book(symbols: tuple[str, ...], weights: Floats, path: Floats) -> StressBook:
    """The book as composite scenarios take it; a short position is a perpetual."""
    exit_cost = SPOT_COSTS.taker_rate + SPOT_COSTS.slippage_bps * 1e-4
    return StressBook(
        holdings=tuple(
            Holding(symbol, float(weight), perpetual=weight < 0.0, exit_cost=exit_cost)
            for symbol, weight in zip(symbols, weights, strict=True)
        ),
        cash=1.0 - float(weights[weights > 0.0].sum()),
        hourly_deviation=float(path[-BACKTEST_DAYS:].std()) / 24**0.5,
    )


def _worst_days(days: ScenarioSet, weights: Floats) -> tuple[BadDay, ...]:
    """The ten worst days of the measuring window for this book."""
    parts, times, symbols = -days.returns * weights, days.open_time_ms, days.symbols
    losses = parts.sum(axis=1)
    worst = [int(row) for row in np.argsort(-losses, kind="stable")[:SHOWN_BAD_DAYS]]
    return tuple(
        BadDay(
            int(times[row]), float(losses[row]), symbols[int(parts[row].argmax())], float(parts[row].max())
        )
        for row in worst
    )


def _judge_models(path: Floats) -> tuple[RolledEngine | None, tuple[EngineVerdict, ...]]:
    """Roll the engines the limits rely on over the back-cast and judge the last year of forecasts.

    A book that never moved cannot be judged, nor one with too little history.
    """
    window = min(FORECAST_WINDOW, path.shape[0] - BACKTEST_DAYS)
    if window < LEAST_FORECAST_WINDOW or not path.any():
        return None, ()
    year = path[-(window + BACKTEST_DAYS) :]
    rolled = [roll(engine_named(name), year, window) for name in JUDGED_ENGINES]
    return rolled[0], tuple(judge_engine(one) for one in rolled)


def _correlation(scenarios: Floats) -> Floats:
    deviation = scenarios.std(axis=0)
    standard = (scenarios - scenarios.mean(axis=0)) / np.where(deviation > 0.0, deviation, 1.0)
    matrix: Floats = standard.T @ standard / scenarios.shape[0]
    return matrix


def _change(previous: Mapping[str, Any], history: DailyHistory, figures: RiskFigures) -> Change:
    answer = figures.answer
    problem = answer.allocation.problem
    old = {str(symbol): float(weight) for symbol, weight in previous["weights"].items()}
    before = np.array([old.get(symbol, 0.0) for symbol in problem.symbols])
    now = answer.allocation.weights
    then_ms = int(previous["as_of_ms"])
    cvar_before = float(previous["cvar"])
    cvar_held = historical_cvar(problem.scenarios @ before, problem.alpha, problem.probabilities)
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
        headline=tuple(
            KeyFigure(name, value, previous.get("headline", {}).get(name), name.startswith(RUNNING))
            for name, value in headline(figures).items()
        ),
        new_breaches=tuple(sorted(_breached(figures) - _breached_before(previous))),
        cleared_breaches=tuple(sorted(_breached_before(previous) - _breached(figures))),
        lights=_changed_lights(previous, figures),
    )


def _breached(figures: RiskFigures) -> set[str]:
    return {limit.name for limit in figures.all_limits if limit.breached}


def _breached_before(previous: Mapping[str, Any]) -> set[str]:
    return {str(limit["name"]) for limit in previous.get("limits", ()) if limit["breached"]}


def _changed_lights(previous: Mapping[str, Any], figures: RiskFigures) -> tuple[str, ...]:
    """`historical: green, was yellow` for every model whose worse light is another than before."""
    before = {
        str(model["model"]): max(Light[name] for name in (model["light"], model["es_light"]) if name)
        for model in previous.get("models", ())
    }
    return tuple(
        f"{v.engine}: {v.light.name.lower()}, was {before[v.engine].name.lower()}"
        for v in figures.verdicts
        if v.engine in before and before[v.engine] is not v.light
    )
