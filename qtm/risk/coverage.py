"""Whether the exceptions of a VaR model come as often as promised, and not in clusters.

Conventions. `alpha` is the model's confidence level and p = 1 - alpha the promised rate of exceptions. An
exception is a P&L strictly below -VaR. Likelihood ratios use 0 ln 0 = 0, so empty cells drop out.

- Kupiec (1995), proportion of failures: all T observations count.
- Christoffersen (1998), independence: the first observation only conditions, so T - 1 transitions count; with
  n11 = 0 the ratio is still formed, with no exception at all it is zero.
- Conditional coverage: the sum of the two.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.errors import RiskError
from qtm.risk.measures import Floats


class LikelihoodRatio(NamedTuple):
    """A likelihood-ratio test: its statistic is chi-squared with `freedom` degrees under a true model."""

    statistic: float
    freedom: int

    @property
    def p_value(self) -> float:
        """Probability of a statistic at least this large under a true model."""
        from scipy.special import chdtrc

        return float(chdtrc(self.freedom, self.statistic))

    def rejects(self, level: float = 0.05) -> bool:
        """Whether the model is rejected at this test level."""
        return self.p_value < level


class Transitions(NamedTuple):
    """How often each state followed each: `n01` counts quiet days followed by an exception."""

    n00: int
    n01: int
    n10: int
    n11: int

    @classmethod
    def of(cls, exceptions: npt.NDArray[np.bool_]) -> Transitions:
        """Count the T - 1 transitions of a series of exceptions, shape (T,)."""
        before, after = exceptions[:-1], exceptions[1:]
        return cls(
            int(np.sum(~before & ~after)),
            int(np.sum(~before & after)),
            int(np.sum(before & ~after)),
            int(np.sum(before & after)),
        )


def exceptions_of(pnl: Floats, var: Floats) -> npt.NDArray[np.bool_]:
    """Which observations lost more than the VaR forecast for them, shape (T,).

    Raises
    ------
    RiskError
        If lengths differ or a value is missing: a day without forecast is a failure of the model's process,
        never a day without exception.
    """
    if pnl.ndim != 1 or pnl.shape != var.shape or pnl.shape[0] == 0:
        raise RiskError(
            "P&L and VaR forecasts do not belong together", where=f"shapes {pnl.shape} and {var.shape}"
        )
    missing = ~(np.isfinite(pnl) & np.isfinite(var))
    if missing.any():
        raise RiskError(
            "a model back-test met a missing P&L or forecast",
            where=f"position {int(np.flatnonzero(missing)[0])}",
            remedy="repair the day; a model is never excused for a day it did not forecast",
        )
    return np.asarray(pnl < -var)


def kupiec(observations: int, exceptions: int, alpha: float) -> LikelihoodRatio:
    """Kupiec's proportion-of-failures test of whether the share of exceptions is the promised 1 - alpha."""
    p = exception_rate(observations, exceptions, alpha)
    quiet = observations - exceptions
    share = exceptions / observations
    promised = _xlog(quiet, 1 - p) + _xlog(exceptions, p)
    realised = _xlog(quiet, 1 - share) + _xlog(exceptions, share)
    return LikelihoodRatio(max(0.0, 2 * (realised - promised)), 1)


def kupiec_accepted(observations: int, alpha: float, level: float = 0.05) -> tuple[int, int]:
    """Fewest and most exceptions that Kupiec's test does not reject at `level`."""
    passed = [n for n in range(observations + 1) if not kupiec(observations, n, alpha).rejects(level)]
    if not passed:
        raise RiskError("no count of exceptions passes", where=f"T={observations}, level={level}")
    return passed[0], passed[-1]


def independence(transitions: Transitions) -> LikelihoodRatio:
    """Christoffersen's test of whether an exception changes the odds of the next one."""
    n00, n01, n10, n11 = transitions
    if min(transitions) < 0 or sum(transitions) == 0:
        raise RiskError("transition counts must be non-negative and not all zero", where=str(transitions))
    share = (n01 + n11) / sum(transitions)
    after_quiet = n01 / (n00 + n01) if n00 + n01 else 0.0
    after_exception = n11 / (n10 + n11) if n10 + n11 else 0.0
    together = _xlog(n00 + n10, 1 - share) + _xlog(n01 + n11, share)
    apart = (
        _xlog(n00, 1 - after_quiet)
        + _xlog(n01, after_quiet)
        + _xlog(n10, 1 - after_exception)
        + _xlog(n11, after_exception)
    )
    return LikelihoodRatio(max(0.0, 2 * (apart - together)), 1)


def conditional_coverage(exceptions: npt.NDArray[np.bool_], alpha: float) -> LikelihoodRatio:
    """Christoffersen's joint test of the exception rate and of independence."""
    coverage = kupiec(exceptions.shape[0], int(exceptions.sum()), alpha)
    if exceptions.shape[0] < 2:
        return LikelihoodRatio(coverage.statistic, 2)
    return LikelihoodRatio(coverage.statistic + independence(Transitions.of(exceptions)).statistic, 2)


def exception_rate(observations: int, exceptions: int, alpha: float) -> float:
    """The share of exceptions a true model has, 1 - alpha; RiskError for counts that cannot be."""
    if not 0.0 < alpha < 1.0:
        raise RiskError(
            "the confidence level must lie inside (0, 1)", where=f"alpha={alpha}", remedy="use e.g. 0.99"
        )
    if observations < 1 or not 0 <= exceptions <= observations:
        raise RiskError(
            "exceptions must be counted out of at least one observation",
            where=f"{exceptions} of {observations}",
            remedy="widen the window",
        )
    return 1.0 - alpha


def _xlog(count: float, probability: float) -> float:
    return count * math.log(probability) if count else 0.0
