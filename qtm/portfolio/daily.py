"""The daily book: from the lake's daily bars to an allocation under a mandate.

This is the one path that the command line, the Dagster assets and the risk report share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from qtm.errors import RiskError
from qtm.portfolio.allocation import Allocation
from qtm.portfolio.covariance import covariance
from qtm.portfolio.history import DailyHistory
from qtm.portfolio.mandate import Mandate, MeanModel
from qtm.portfolio.means import bayes_stein_mean, funding_carry, james_stein_mean
from qtm.portfolio.optimise import optimise
from qtm.portfolio.problem import Distribution, Objective, PortfolioProblem, TailCap
from qtm.portfolio.scenarios.history import historical_scenarios
from qtm.portfolio.scenarios.recipe import ScenarioRecipe, make_scenarios
from qtm.portfolio.scenarios.scenario_set import ScenarioSet
from qtm.portfolio.views import equilibrium_mean, mean_with_views
from qtm.risk.measures import Floats


@dataclass(frozen=True, slots=True)
class DailyAllocation:
    """The allocation of one day with everything it came from."""

    as_of_ms: int
    mandate: Mandate
    scenarios: ScenarioSet
    allocation: Allocation
    lake: str
    lake_version: int | None


def daily_scenarios(history: DailyHistory, mandate: Mandate) -> ScenarioSet:
    """Scenarios of the mandate's window and model, with every exclusion and their origin on record."""
    return _scenarios_by(history, mandate, mandate.scenarios)


def daily_rivals(history: DailyHistory, mandate: Mandate) -> tuple[Distribution, ...]:
    """The distributions of the mandate's rival models, over the symbols of `daily_scenarios`."""
    made = (_scenarios_by(history, mandate, recipe) for recipe in mandate.rivals)
    return tuple(Distribution(one.returns, one.probabilities) for one in made)


def _scenarios_by(history: DailyHistory, mandate: Mandate, recipe: ScenarioRecipe) -> ScenarioSet:
    scenarios = historical_scenarios(history.close_frame(mandate.window), least_history=mandate.least_history)
    scenarios = replace(
        scenarios,
        excluded=(*history.absent, *scenarios.excluded),
        provenance=replace(scenarios.provenance, lake=history.lake, lake_version=history.version),
    )
    whole = _whole_history(history, scenarios.symbols) if recipe.stressed_rows else None
    return make_scenarios(scenarios, recipe, long_history=whole)


def _whole_history(history: DailyHistory, symbols: Sequence[str]) -> ScenarioSet:
    """Historical scenarios of `symbols` over every day held, newly listed ones filled in."""
    closes = history.close_frame(history.closes.shape[0]).select("open_time_ms", *symbols)
    return historical_scenarios(closes, least_history=2)


def daily_mean(history: DailyHistory, mandate: Mandate) -> Floats:
    """Expected returns of the symbols `daily_scenarios` measures, shape (N,), by the mandate's model.

    They come from the days of the window, whatever the scenario model: a thousand draws tell no more about
    the mean than the days they are drawn from. Of perpetuals, the price's mean is estimated and the recent
    funding, which persists where price trends do not, is added whole. The mandate's views are about the sum.
    """
    prices = replace(history, funding=None)
    scenarios = historical_scenarios(prices.close_frame(mandate.window), least_history=mandate.least_history)
    columns = [history.symbols.index(symbol) for symbol in scenarios.symbols]
    mean = _mean(scenarios, mandate, history.quote_volumes[-mandate.window :, columns])
    if history.funding is not None:
        mean = mean + funding_carry(history.funding[-mandate.window :, columns])
    if not mandate.views:
        return mean
    spread = covariance(scenarios.returns, mandate.covariance)
    return mean_with_views(mean, spread, scenarios.symbols, mandate.views)


def daily_problem(
    scenarios: ScenarioSet,
    mean: Floats,
    mandate: Mandate,
    held: dict[str, float] | None = None,
    *,
    rivals: tuple[Distribution, ...] = (),
) -> PortfolioProblem:
    """The optimisation problem of `mandate` over `scenarios` and `rivals`, starting from the `held` weights.

    Raises
    ------
    RiskError
        If a held symbol has no scenarios: its risk is unknown, so it must be sold or measured first.
    """
    count = len(scenarios.symbols)
    unknown = sorted(
        name for name, weight in (held or {}).items() if weight and name not in scenarios.symbols
    )
    if unknown:
        raise RiskError(
            "a held symbol cannot be measured", where=", ".join(unknown), remedy="close it or add its history"
        )
    maximise = mandate.objective is not Objective.MIN_CVAR
    return PortfolioProblem(
        symbols=scenarios.symbols,
        scenarios=scenarios.returns,
        probabilities=scenarios.probabilities,
        mean=mean,
        lower=np.zeros(count),
        upper=np.full(count, mandate.max_weight),
        alpha=mandate.alpha,
        objective=mandate.objective,
        tail_caps=(
            *((TailCap(mandate.alpha, mandate.cvar_cap),) if maximise else ()),
            *mandate.further_caps,
        ),
        invested=(0.0, 1.0) if mandate.allow_cash and maximise else (1.0, 1.0),
        held=None if held is None else np.array([held.get(symbol, 0.0) for symbol in scenarios.symbols]),
        turnover_cap=mandate.turnover_cap,
        cost_rate=mandate.cost_rate,
        risk_aversion=mandate.risk_aversion,
        rivals=rivals,
        radius=mandate.radius,
        ground=mandate.ground,
    )


def allocate_daily(
    history: DailyHistory,
    mandate: Mandate,
    held: dict[str, float] | None = None,
    *,
    scenarios: ScenarioSet | None = None,
) -> DailyAllocation:
    """Scenarios, problem and weights for the last day of `history`, starting from the `held` weights.

    Parameters
    ----------
    history
        Daily bars up to the day decided at.
    mandate
        What the book may do.
    held
        Weights held now.
    scenarios
        The day's scenarios, such as those stored in the lake; by default they are made as `daily_scenarios`
        makes them.

    Raises
    ------
    RiskError
        As `optimise` and the scenario builder do; an infeasible mandate ends in a recorded fallback instead.
    """
    if scenarios is None:
        scenarios = daily_scenarios(history, mandate)
    mean, rivals = daily_mean(history, mandate), daily_rivals(history, mandate)
    problem = daily_problem(scenarios, mean, mandate, held, rivals=rivals)
    allocation = optimise(problem, start=problem.held)
    return DailyAllocation(
        as_of_ms=history.as_of_ms,
        mandate=mandate,
        scenarios=scenarios,
        allocation=allocation,
        lake=history.lake,
        lake_version=history.version,
    )


def _mean(scenarios: ScenarioSet, mandate: Mandate, traded: Floats) -> Floats:
    """Expected returns by the mandate's model; `traded` is the money traded a day, shape (D, N)."""
    returns = scenarios.returns
    match mandate.mean:
        case MeanModel.ZERO:
            return np.zeros(len(scenarios.symbols))
        case MeanModel.SAMPLE:
            sample: Floats = returns.mean(axis=0)
            return sample
        case MeanModel.JAMES_STEIN:
            return james_stein_mean(returns)
        case MeanModel.EQUILIBRIUM:
            money = np.nanmean(traded, axis=0)
            return equilibrium_mean(covariance(returns, mandate.covariance), money / money.sum())
        case MeanModel.SHRUNK:
            return bayes_stein_mean(returns)
