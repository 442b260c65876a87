"""Tests of an expected shortfall model (Acerbi and Szekely 2014), with critical values from the model itself.

Z1 and Z2 have mean zero under a true model and are negative when ES is underestimated. Their critical values
differ from model to model, so they are simulated from the forecasts' own predictive tails.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np

from qtm.errors import RiskError
from qtm.risk.coverage import exception_rate, exceptions_of
from qtm.risk.lights import Light
from qtm.risk.measures import Floats

ES_YELLOW_BELOW: Final = 0.05
ES_RED_BELOW: Final = 0.0001
"""Probabilities of Z2 under a true model below which the light turns: those of Basel's zones."""


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
    p = exception_rate(pnl.shape[0], 0, alpha)
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
    p = exception_rate(len(tails), 0, alpha)
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
