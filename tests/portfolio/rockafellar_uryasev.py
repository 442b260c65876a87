"""The published example of Rockafellar and Uryasev, "Optimization of conditional value-at-risk" (2000).

Monthly returns of the S&P 500, a long-term government bond and a small-cap index; long only, fully invested,
required return 0.011. Under normality the minimum-variance portfolio also has minimum CVaR.
"""

import numpy as np
from scipy.special import ndtri
from scipy.stats import qmc

from qtm.portfolio.problem import Objective, PortfolioProblem

MEAN = np.array([0.0101110, 0.0043532, 0.0137058])
COVARIANCE = np.array(
    [
        [0.00324625, 0.00022983, 0.00420395],
        [0.00022983, 0.00049937, 0.00019247],
        [0.00420395, 0.00019247, 0.00764097],
    ]
)
REQUIRED_RETURN = 0.011
MINIMUM_VARIANCE = np.array([0.452013, 0.115573, 0.432414])
CVAR = {0.90: 0.096975, 0.95: 0.115908, 0.99: 0.152977}
VAR = {0.90: 0.067847, 0.95: 0.090200, 0.99: 0.132128}
VARIANCE = 0.00378529
SOBOL_20000 = {
    0.90: (np.array([0.46076, 0.11221, 0.42703]), 0.06790, 0.09692),
    0.95: (np.array([0.45489, 0.11447, 0.43064]), 0.09023, 0.11577),
    0.99: (np.array([0.46065, 0.11225, 0.42710]), 0.13198, 0.15211),
}
"""Table 5: weights, VaR and CVaR by linear programme on 20,000 Sobol points."""


def smallest_cvar(alpha: float) -> PortfolioProblem:
    """The example as a linear programme on 16,384 Sobol points."""
    points = qmc.Sobol(3, scramble=True, seed=11).random_base2(14)
    normal = ndtri(np.clip(points, 1e-9, 1 - 1e-9))
    return PortfolioProblem(
        symbols=("S&P", "Government", "Small cap"),
        scenarios=MEAN + normal @ np.linalg.cholesky(COVARIANCE).T,
        mean=MEAN,
        lower=np.zeros(3),
        upper=np.ones(3),
        alpha=alpha,
        objective=Objective.MIN_CVAR,
        return_floor=REQUIRED_RETURN,
    )
