"""How concentrated the book is, what drives it and what leaving it costs, as small tables."""

from __future__ import annotations

import math

import numpy as np

from qtm.reports.blocks import Block, columns, definitions, paragraph
from qtm.reports.formats import percent, ratio
from qtm.reports.risk_charts import DUST
from qtm.reports.risk_figures import MARKET_SYMBOL, RiskFigures
from qtm.risk.concentration import (
    betas,
    diversification_ratio,
    effective_bets,
    effective_positions,
    factor_model,
)
from qtm.risk.liquidity import STRESSED_DEPTH, horizon_factor
from qtm.risk.measures import historical_var
from qtm.trading.costs import SPOT_COSTS

LEVEL = 0.99
SAME = 1e-9
"""Coins that differ from Bitcoin by less than this share of their moves are Bitcoin."""


def exposure_facts(figures: RiskFigures) -> Block:
    """Concentration, factors and liquidity of the book, side by side."""
    weights = figures.answer.allocation.weights
    if not np.abs(weights).max(initial=0.0) > DUST:
        return paragraph("The book holds no position.", "muted")
    return columns(
        definitions(concentration(figures), caption="Concentration"),
        definitions(factors(figures), caption="What drives it"),
        definitions(liquidity(figures), caption="Leaving the book"),
    )


def concentration(figures: RiskFigures) -> dict[str, str]:
    """How many positions and bets the book really is."""
    problem, weights = figures.answer.allocation.problem, figures.answer.allocation.weights
    covariance = np.atleast_2d(np.cov(problem.scenarios, rowvar=False))
    held = weights[np.abs(weights) > DUST]
    facts = {
        "Positions": str(held.shape[0]),
        "Largest, of gross": percent(float(np.abs(weights).max() / np.abs(weights).sum()), 0),
        "Effective positions": ratio(effective_positions(weights), 1),
    }
    if not float(weights @ covariance @ weights) > 0.0:
        return facts
    return {
        **facts,
        "Effective bets": ratio(effective_bets(weights, covariance), 1),
        "Diversification ratio": ratio(diversification_ratio(weights, covariance)),
    }


def factors(figures: RiskFigures) -> dict[str, str]:
    """Sensitivity of the book to Bitcoin and to the other coins beyond it, and the variance each carries.

    The second factor is the mean of the other coins less its own regression on Bitcoin, so that the two are
    uncorrelated. Where the universe is one coin or does not move there is nothing to split.
    """
    problem, weights = figures.answer.allocation.problem, figures.answer.allocation.weights
    names, returns = problem.symbols, problem.scenarios
    if MARKET_SYMBOL not in names or len(names) == 1 or not float((returns @ weights).var()) > 0.0:
        return {"Factors": "not measurable for this book"}
    market = returns[:, names.index(MARKET_SYMBOL)]
    others = np.delete(returns, names.index(MARKET_SYMBOL), axis=1).mean(axis=1)
    still = not (market.std() > 0.0 and others.std() > 0.0)
    beyond = others if still else others - float(betas(others[:, None], market)[0]) * market
    if still or not beyond.std() > SAME * others.std():
        return {"Factors": "not measurable for this book"}
    model = factor_model(returns, np.column_stack((market, beyond)))
    (beta, tilt), (from_market, from_others) = model.exposures(weights), model.variance_shares(weights)
    return {
        "Beta to Bitcoin": ratio(float(beta)),
        "Beta to altcoins beyond Bitcoin": ratio(float(tilt)),
        "Variance from Bitcoin": percent(float(from_market), 0),
        "Variance from altcoins beyond it": percent(float(from_others), 0),
        "Variance of its own": percent(1.0 - float(from_market) - float(from_others), 0),
    }


def liquidity(figures: RiskFigures) -> dict[str, str]:
    """VaR 99 % with the days that selling takes and the cost of it at a tenth of the depth.

    The addition for the horizon is that of every position alone, without diversification.
    """
    problem = figures.answer.allocation.problem
    horizon, days = 0.0, 1.0
    for column, line in enumerate(figures.exposures):
        if abs(line.weight) > DUST:
            periods = max(1.0, line.days_to_exit)
            alone = max(0.0, historical_var(line.weight * problem.scenarios[:, column], LEVEL))
            horizon += alone * (horizon_factor(periods) - 1.0) if math.isfinite(periods) else math.inf
            days = max(days, periods)
    gross = float(np.abs(figures.answer.allocation.weights).sum())
    usual = SPOT_COSTS.taker_rate + SPOT_COSTS.slippage_bps * 1e-4
    stressed = SPOT_COSTS.taker_rate + SPOT_COSTS.slippage_bps * 1e-4 / STRESSED_DEPTH
    var = historical_var(figures.path, LEVEL)
    return {
        "VaR 99 %, one day": percent(var),
        "Longest exit at 10 % of volume": f"{ratio(days, 1)} days",
        "Added by selling that slowly": percent(horizon),
        "Cost of closing everything": percent(gross * usual),
        "The same at a tenth of the depth": percent(gross * stressed),
        "Liquidity-adjusted VaR 99 %": percent(var + horizon + gross * stressed),
    }
