"""Where a portfolio's risk comes from: marginal, component and incremental measures.

A marginal measure is the change of the total per unit of weight; a component is weight times marginal. The
components sum to the total because CVaR and standard deviation are homogeneous (Euler). Historical marginals
use the tail weights of `historical_cvar`, so the sum is exact and not approximate.
"""

from __future__ import annotations

import math

import numpy as np

from qtm.errors import RiskError
from qtm.risk.measures import Floats, historical_cvar, tail_weights


def marginal_cvar(
    scenarios: Floats, weights: Floats, alpha: float, probabilities: Floats | None = None
) -> Floats:
    """Change of the portfolio's historical CVaR per unit of weight, shape (N,).

    Parameters
    ----------
    scenarios
        Returns of shape (T, N).
    weights
        Portfolio weights of shape (N,), or positions in money.
    alpha
        Confidence level in (0, 1).
    probabilities
        Chance of each scenario, shape (T,); equally likely if not given.
    """
    _checked(scenarios, weights)
    return -(tail_weights(scenarios @ weights, alpha, probabilities) @ scenarios)


def component_cvar(
    scenarios: Floats, weights: Floats, alpha: float, probabilities: Floats | None = None
) -> Floats:
    """Each position's share of the portfolio's historical CVaR, shape (N,), summing to it."""
    return weights * marginal_cvar(scenarios, weights, alpha, probabilities)


def incremental_cvar(scenarios: Floats, weights: Floats, change: Floats, alpha: float) -> float:
    """Historical CVaR after the trade `change` (shape (N,)) minus before it, by full revaluation."""
    _checked(scenarios, weights)
    _checked(scenarios, change)
    return historical_cvar(scenarios @ (weights + change), alpha) - historical_cvar(
        scenarios @ weights, alpha
    )


def marginal_parametric(
    covariance: Floats, weights: Floats, multiplier: float, mean: Floats | None = None
) -> Floats:
    """Marginal of `multiplier * deviation - mean`, shape (N,): elliptical VaR or CVaR.

    Parameters
    ----------
    covariance
        Shape (N, N).
    weights
        Shape (N,), weights or positions in money.
    multiplier
        The measure per unit of deviation, e.g. `normal_tail_multiplier(0.95)`.
    mean
        Expected returns of shape (N,); zero if not given.
    """
    deviation = math.sqrt(float(weights @ covariance @ weights))
    if deviation == 0.0:
        raise RiskError(
            "a portfolio without variance has no marginal risk", remedy="check weights and covariance"
        )
    pull = np.zeros_like(weights) if mean is None else mean
    return multiplier * (covariance @ weights) / deviation - pull


def component_parametric(
    covariance: Floats, weights: Floats, multiplier: float, mean: Floats | None = None
) -> Floats:
    """Each position's share of an elliptical VaR or CVaR, shape (N,); sums to the total."""
    return weights * marginal_parametric(covariance, weights, multiplier, mean)


def _checked(scenarios: Floats, weights: Floats) -> None:
    if scenarios.ndim != 2 or weights.shape != (scenarios.shape[1],):
        raise RiskError(
            "weights and scenarios do not belong together",
            where=f"scenarios {scenarios.shape}, weights {weights.shape}",
            remedy="pass one weight for each scenario column",
        )
