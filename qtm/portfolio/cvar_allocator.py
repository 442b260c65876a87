"""The CVaR optimiser as a strategy: the best expected return whose tail stays within the cap.

It lives beside the optimiser, above the other strategies, and joins their registry by an entry point.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.portfolio.allocation import Outcome
from qtm.portfolio.means import bayes_stein_mean
from qtm.portfolio.optimise import optimise
from qtm.portfolio.problem import Objective, PortfolioProblem, TailCap
from qtm.strategies.allocator_contract import Weights, Window, allocator


class Params(NamedTuple):
    """Window of returns and bars between rebalances, the tail, its cap per bar, and the largest weight.

    `cost` is the proportional cost of trading, spread over the bars until the next rebalance; `drift` is the
    change of weight below which nothing is traded.
    """

    window: int = 365
    every: int = 30
    alpha: float = 0.95
    cap: float = 0.04
    most: float = 0.25
    cost: float = 0.001
    drift: float = 0.005


@allocator(
    name="cvar-allocator",
    summary="Largest expected return (Bayes-Stein) with the CVaR of the window capped; the rest stays cash.",
    params=Params,
    bounds={
        "window": (30, 20_000),
        "every": (1, 5_000),
        "alpha": (0.6, 0.999),
        "cap": (1e-5, 1),
        "most": (0.01, 1),
        "cost": (0, 0.1),
        "drift": (0, 1),
    },
    window=lambda params: params.window,
    every=lambda params: params.every,
    drift=lambda params: params.drift,
)
def strategy(params: Any, window: Window) -> Weights:
    """Optimise over what can be traded now and has every return of the window; leave everything else."""
    able = np.flatnonzero(window.complete & window.tradable)
    weights = np.zeros(len(window.symbols))
    if not able.size:
        return Weights(weights, "nothing has a whole window of returns")
    returns = np.ascontiguousarray(window.returns[:, able])
    mean = bayes_stein_mean(returns) if able.size > 1 else returns.mean(axis=0)
    answer = optimise(
        PortfolioProblem(
            symbols=tuple(window.symbols[n] for n in able),
            scenarios=returns,
            mean=mean,
            lower=np.zeros(able.size),
            upper=np.full(able.size, params.most),
            alpha=params.alpha,
            objective=Objective.MAX_RETURN,
            tail_caps=(TailCap(params.alpha, params.cap),),
            invested=(0.0, 1.0),
            held=window.weights[able],
            cost_rate=params.cost / params.every,
        )
    )
    weights[able] = answer.weights
    return Weights(weights, "" if answer.outcome is Outcome.OPTIMAL else answer.reason)
