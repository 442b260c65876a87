"""Back-tests of VaR and ES models: Kupiec, Christoffersen, Basel's traffic light, Acerbi-Szekely.

Conventions. `alpha` is the model's confidence level and p = 1 - alpha the promised rate of exceptions. An
exception is a P&L strictly below -VaR. Likelihood ratios use 0 ln 0 = 0, so cells without observations drop
out.

- Kupiec (1995), proportion of failures: all T observations count.
- Christoffersen (1998), independence: the first observation only conditions, so T - 1 transitions count; with
  n11 = 0 the ratio is still formed (0 ln 0 = 0), with no exception at all it is zero.
- Conditional coverage: the sum of the two, Kupiec over T and independence over T - 1.
- Basel (1996; FRTB 2019): zones by the cumulative binomial probability, yellow from 95 %, red from 99.99 %.
- Acerbi and Szekely (2014): Z1 and Z2 have mean zero under a true model and are negative when ES is
  underestimated; their critical values are simulated from the model's own predictive tails.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, chdtrc

from qtm.errors import RiskError
from qtm.risk.measures import Floats
from qtm.risk.rules import ACTIVE, REDUCING

YELLOW_FROM: Final = 0.95
RED_FROM: Final = 0.9999
"""Cumulative probabilities at which the Basel zones begin."""

ES_YELLOW_BELOW: Final = 0.05
ES_RED_BELOW: Final = 0.0001
"""p-values of Z2 at which an ES model turns yellow and red (the complements of the Basel zones)."""

_PLUS_FACTORS: Final = (0.0, 0.0, 0.0, 0.0, 0.0, 0.40, 0.50, 0.65, 0.75, 0.85, 1.00)
_FRTB_MULTIPLIERS: Final = (1.50, 1.50, 1.50, 1.50, 1.50, 1.70, 1.76, 1.83, 1.88, 1.92, 2.00)


class Light(IntEnum):
    """Zone of a model; the worse light is the larger one."""

    GREEN = 0
    YELLOW = 1
    RED = 2


class LikelihoodRatio(NamedTuple):
    """A likelihood-ratio test: its statistic is chi-squared with `freedom` degrees under a true model."""

    statistic: float
    freedom: int

    @property
    def p_value(self) -> float:
        """Probability of a statistic at least this large under a true model."""
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
    p = _rate(observations, exceptions, alpha)
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


@dataclass(frozen=True, slots=True)
class TrafficLight:
    """Basel's zone of a model, with the binomial probabilities behind it.

    Attributes
    ----------
    cumulative
        Probability that a true model has this many exceptions or fewer.
    type_one
        Probability that a true model has this many or more: the error of calling it wrong.
    plus_factor, multiplier
        The 1996 addition to the multiplier 3 and the FRTB multiplier; None unless T = 250 and alpha = 99 %,
        the only case they are published for.
    """

    light: Light
    cumulative: float
    type_one: float
    plus_factor: float | None
    multiplier: float | None


def traffic_light(observations: int, exceptions: int, alpha: float = 0.99) -> TrafficLight:
    """Basel's traffic light for a count of exceptions."""
    p = _rate(observations, exceptions, alpha)
    cumulative = float(bdtr(exceptions, observations, p))
    below = float(bdtr(exceptions - 1, observations, p)) if exceptions else 0.0
    light = Light.RED if cumulative >= RED_FROM else Light(cumulative >= YELLOW_FROM)
    published = observations == 250 and math.isclose(alpha, 0.99)
    row = min(exceptions, len(_PLUS_FACTORS) - 1)
    return TrafficLight(
        light,
        cumulative,
        1.0 - below,
        _PLUS_FACTORS[row] if published else None,
        _FRTB_MULTIPLIERS[row] if published else None,
    )


def acerbi_szekely_z1(pnl: Floats, var: Floats, es: Floats) -> float | None:
    """Acerbi and Szekely's Z1: mean overshoot of ES over the exceptions alone; None without any."""
    hit, shortfall = exceptions_of(pnl, var), _shortfall(es, pnl)
    if not hit.any():
        return None
    return float(np.mean(pnl[hit] / shortfall[hit])) + 1.0


def acerbi_szekely_z2(pnl: Floats, var: Floats, es: Floats, alpha: float) -> float:
    """Acerbi and Szekely's Z2: frequency and size of exceptions together.

    Parameters
    ----------
    pnl, var, es
        Shape (T,): realised P&L (or return), and the forecasts made before it, as positive losses.
    alpha
        Confidence level of both forecasts.
    """
    p = _rate(pnl.shape[0], 0, alpha)
    hit, shortfall = exceptions_of(pnl, var), _shortfall(es, pnl)
    return float(np.sum(pnl[hit] / shortfall[hit]) / (pnl.shape[0] * p)) + 1.0


class Tail(Protocol):
    """The loss side of a predictive distribution for one period."""

    def losses(self, u: Floats) -> Floats:
        """Losses exceeded with probability `u`, each in (0, 1): VaR at alpha is `losses(1 - alpha)`."""

    def cvar(self, alpha: float) -> float:
        """Mean loss in the worst 1 - alpha of outcomes."""


def simulate_z2(tails: Sequence[Tail], alpha: float, *, trials: int, seed: int = 0) -> Floats:
    """Z2 of histories drawn from the model itself, sorted, shape (trials,).

    Parameters
    ----------
    tails
        The model's predictive tail for each of the T days; the same object T times for a static model.
    alpha
        Confidence level.
    trials
        Simulated histories; memory grows with this and not with T.
    """
    p = _rate(len(tails), 0, alpha)
    draws = np.random.default_rng(seed)
    overshoot = np.zeros(trials)
    for tail in tails:
        u = draws.random(trials)
        hit = np.flatnonzero(u < p)
        overshoot[hit] += tail.losses(u[hit]) / tail.cvar(alpha)
    return np.sort(1.0 - overshoot / (len(tails) * p))


def z2_critical(simulated: Floats, level: float) -> float:
    """Value below which a true model's Z2 falls with probability `level`.

    Raises
    ------
    RiskError
        If there are too few simulations to know a quantile so far out.
    """
    if simulated.shape[0] * level < 1.0:
        raise RiskError(
            "too few simulated histories for this test level",
            where=f"{simulated.shape[0]} at level {level}",
            remedy=f"simulate at least {math.ceil(1 / level)}",
        )
    return float(np.quantile(simulated, level))


def es_light(z2: float, simulated: Floats) -> Light:
    """Light of an ES model: yellow below the 5 % critical value of Z2, red below the 0.01 % one."""
    if z2 < z2_critical(simulated, ES_RED_BELOW):
        return Light.RED
    return Light(z2 < z2_critical(simulated, ES_YELLOW_BELOW))


class ModelAction(NamedTuple):
    """What a light does to the desk: limits are multiplied, the trading state set, a review opened."""

    limit_multiplier: Decimal
    state: int
    review: bool


_ACTIONS: Final = {
    Light.GREEN: ModelAction(Decimal(1), ACTIVE, review=False),
    Light.YELLOW: ModelAction(Decimal("0.85"), ACTIVE, review=False),
    Light.RED: ModelAction(Decimal("0.85"), REDUCING, review=True),
}


def action_for(*lights: Light) -> ModelAction:
    """The action the worst of these lights asks for; without any light the model counts as red."""
    return _ACTIONS[max(lights, default=Light.RED)]


def _rate(observations: int, exceptions: int, alpha: float) -> float:
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


def _shortfall(es: Floats, pnl: Floats) -> Floats:
    if es.shape != pnl.shape:
        raise RiskError(
            "P&L and ES forecasts do not belong together", where=f"shapes {pnl.shape}, {es.shape}"
        )
    if not (es > 0.0).all():
        raise RiskError(
            "expected shortfall forecasts must be positive losses",
            where=f"position {int(np.flatnonzero(~(es > 0.0))[0])}",
            remedy="check the sign convention; a book without risk cannot be tested",
        )
    return es


def _xlog(count: float, probability: float) -> float:
    return count * math.log(probability) if count else 0.0
