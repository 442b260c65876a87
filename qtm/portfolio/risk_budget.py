"""Risk budgeting: long-only weights whose shares of the book's CVaR are the budgets given.

Minimising CVaR over weights whose budget-weighted mean logarithm is fixed makes every `w_i dCVaR/dw_i`
proportional to its budget (Spinu 2013 for volatility; CVaR is convex and positively homogeneous, which is all
the argument needs). Equal budgets are risk parity.
"""

from __future__ import annotations

import cvxpy as cp
import numpy as np

from qtm.errors import RiskError
from qtm.portfolio.problem import Distribution
from qtm.portfolio.programme import conditional_tail, run
from qtm.risk.measures import Floats, historical_cvar


def risk_budget_weights(scenarios: Floats, alpha: float, budgets: Floats | None = None) -> Floats:
    """Fully invested weights with the given shares of CVaR, shape (N,).

    Parameters
    ----------
    scenarios
        Returns of shape (T, N).
    alpha
        Confidence level.
    budgets
        Positive shares of shape (N,), scaled to sum to one; equal if not given.

    Raises
    ------
    RiskError
        If a budget is not positive, if an asset never loses in its own tail (it could carry no share of the
        risk), or if the solver fails.
    """
    count = scenarios.shape[1]
    shares = np.full(count, 1.0 / count) if budgets is None else budgets / budgets.sum()
    if shares.shape != (count,) or not (shares > 0.0).all():
        raise RiskError("risk budgets must be positive, one per asset", where=f"shape {shares.shape}")
    for column in range(count):
        if historical_cvar(scenarios[:, column], alpha) <= 0.0:
            raise RiskError(
                "an asset without tail loss can carry no share of the risk",
                where=f"column {column}",
                remedy="leave it out and hold it as cash",
            )
    unit = 1.0 / float(scenarios.std())
    weights = cp.Variable(count, pos=True)
    tail = conditional_tail(Distribution(scenarios * unit), weights, alpha)
    programme = cp.Problem(
        cp.Minimize(tail.expression), [tail.scenario_rows, shares @ cp.log(weights) >= 0.0]
    )
    status = run(programme, "CLARABEL")
    if status not in ("optimal", "optimal_inaccurate"):
        raise RiskError("the risk-budget programme failed", where=status)
    found = np.asarray(weights.value, dtype=np.float64)
    normal: Floats = found / found.sum()
    return normal
