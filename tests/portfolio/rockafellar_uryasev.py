"""The published example of Rockafellar and Uryasev, "Optimization of conditional value-at-risk" (2000).

Monthly returns of the S&P 500, a long-term government bond and a small-cap index; long only, fully invested,
required return 0.011. Under normality the minimum-variance portfolio also has minimum CVaR.
"""

import numpy as np

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
