"""One CVaR method in a process of its own: python -m benchmarks._cvar_peers SCENARIOS REPETITIONS METHOD.

Every peer is called the way its documentation shows. Runs under whichever interpreter has the peer installed.
"""

from __future__ import annotations

import sys
import warnings

import numpy as np

from benchmarks._cvar_problem import ALPHA, MOST_WEIGHT, measure

warnings.filterwarnings("ignore")


def ours(returns: np.ndarray, mean: np.ndarray, required: float) -> np.ndarray:
    from qtm.portfolio.fast.solve import solve_fast
    from qtm.portfolio.problem import Objective, PortfolioProblem

    count = mean.shape[0]
    problem = PortfolioProblem(
        symbols=tuple(f"a{i}" for i in range(count)), scenarios=returns, mean=mean, lower=np.zeros(count),
        upper=np.full(count, MOST_WEIGHT), alpha=ALPHA, objective=Objective.MIN_CVAR, return_floor=required,
    )  # fmt: skip
    answer = solve_fast(problem)
    assert answer is not None and answer.gap <= 1e-6
    return answer.weights


def _cvxpy(returns: np.ndarray, mean: np.ndarray, required: float, solver: str) -> np.ndarray:
    import cvxpy as cp

    weights, threshold = cp.Variable(mean.shape[0]), cp.Variable()
    excess = cp.sum(cp.pos(-returns @ weights - threshold)) / ((1 - ALPHA) * returns.shape[0])
    limits = [mean @ weights >= required, cp.sum(weights) == 1, weights >= 0, weights <= MOST_WEIGHT]
    cp.Problem(cp.Minimize(threshold + excess), limits).solve(solver=solver)
    return np.asarray(weights.value)


def cvxpy_clarabel(returns: np.ndarray, mean: np.ndarray, required: float) -> np.ndarray:
    return _cvxpy(returns, mean, required, "CLARABEL")


def cvxpy_highs(returns: np.ndarray, mean: np.ndarray, required: float) -> np.ndarray:
    return _cvxpy(returns, mean, required, "HIGHS")


def skfolio(returns: np.ndarray, mean: np.ndarray, required: float) -> np.ndarray:
    import pandas as pd
    from skfolio import RiskMeasure
    from skfolio.optimization import MeanRisk, ObjectiveFunction

    days = pd.date_range("1800-01-01", periods=returns.shape[0], freq="h")
    model = MeanRisk(
        risk_measure=RiskMeasure.CVAR,
        objective_function=ObjectiveFunction.MINIMIZE_RISK,
        min_return=required,
        min_weights=0,
        max_weights=MOST_WEIGHT,
        cvar_beta=ALPHA,
    )
    model.fit(pd.DataFrame(returns, index=days, columns=[f"a{i}" for i in range(mean.shape[0])]))
    return np.asarray(model.weights_)


def riskfolio(returns: np.ndarray, mean: np.ndarray, required: float) -> np.ndarray:
    import pandas as pd
    import riskfolio as rp

    days = pd.date_range("1800-01-01", periods=returns.shape[0], freq="h")
    names = [f"a{i}" for i in range(mean.shape[0])]
    book = rp.Portfolio(returns=pd.DataFrame(returns, index=days, columns=names))
    book.assets_stats(method_mu="hist", method_cov="hist")
    book.alpha, book.lowerret, book.upperlng = 1 - ALPHA, required, 1.0
    book.ainequality, book.binequality = np.eye(mean.shape[0]), np.full((mean.shape[0], 1), MOST_WEIGHT)
    return np.asarray(book.optimization(model="Classic", rm="CVaR", obj="MinRisk", rf=0, l=0, hist=True))


def pyportfolioopt(returns: np.ndarray, mean: np.ndarray, required: float) -> np.ndarray:
    import pandas as pd
    from pypfopt import EfficientCVaR

    names = [f"a{i}" for i in range(mean.shape[0])]
    frontier = EfficientCVaR(
        pd.Series(mean, names),
        pd.DataFrame(returns, columns=names),
        beta=ALPHA,
        weight_bounds=(0, MOST_WEIGHT),
    )
    weights = frontier.efficient_return(required)
    return np.array([weights[name] for name in names])


METHODS = {
    "ours": ours, "cvxpy, Clarabel": cvxpy_clarabel, "cvxpy, HiGHS": cvxpy_highs, "skfolio": skfolio,
    "riskfolio-lib": riskfolio, "PyPortfolioOpt": pyportfolioopt,
}  # fmt: skip

if __name__ == "__main__":
    measure(sys.argv[3], METHODS[sys.argv[3]])
