"""Extreme value tails: peaks over a threshold with a generalised Pareto fit, VaR and ES beyond the data.

Losses above a high threshold follow a generalised Pareto distribution (Pickands, Balkema, de Haan). The fit
is by maximum likelihood, profiled over one parameter (Grimshaw 1993). Formulas: McNeil, "Estimating the tails
of loss severity distributions using extreme value theory" (1997).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.optimize import brentq, minimize_scalar

from qtm.errors import RiskError
from qtm.risk.measures import Floats

_LEAST_EXCESSES: Final = 20
_LEAST_SHAPE: Final = -0.5
"""Below it the maximum likelihood estimator is not regular (Smith 1985)."""


@dataclass(frozen=True, slots=True)
class ParetoTail:
    """The tail of a loss distribution beyond `threshold`.

    Attributes
    ----------
    threshold
        The loss from which the tail begins, in the unit of the losses.
    shape, scale
        The generalised Pareto xi and beta; a shape of one or more has no finite mean.
    observations, excesses
        Sample size and how many losses lay above the threshold.
    """

    threshold: float
    shape: float
    scale: float
    observations: int
    excesses: int

    @property
    def begins_at(self) -> float:
        """The lowest confidence level this tail can speak for."""
        return 1.0 - self.excesses / self.observations

    def losses(self, u: Floats) -> Floats:
        """Losses exceeded with probability `u`, each at most the tail's own share of observations."""
        ratio = u * (self.observations / self.excesses)
        if np.any(ratio > 1.0 + 1e-12) or np.any(ratio <= 0.0):
            raise RiskError(
                "this level lies outside the fitted tail",
                where=f"the tail begins at {self.begins_at:.4f}",
                remedy="lower the threshold, or use the historical measure at this level",
            )
        if abs(self.shape) < 1e-8:
            return np.asarray(self.threshold - self.scale * np.log(ratio))
        return np.asarray(self.threshold + self.scale / self.shape * (ratio**-self.shape - 1.0))

    def var(self, alpha: float) -> float:
        """Value at risk at `alpha`, which must lie inside the tail."""
        return float(self.losses(np.array([1.0 - alpha]))[0])

    def cvar(self, alpha: float) -> float:
        """Expected shortfall at `alpha`.

        Raises
        ------
        RiskError
            If the shape is one or more: the mean loss in the tail is then infinite.
        """
        if self.shape >= 1.0:
            raise RiskError(
                "the fitted tail has no finite mean",
                where=f"shape {self.shape:.3f}",
                remedy="report VaR only, or use a longer history",
            )
        return (self.var(alpha) + self.scale - self.shape * self.threshold) / (1.0 - self.shape)


def fit_pareto_tail(returns: Floats, share: float = 0.10) -> ParetoTail:
    """Fit the loss tail of `returns` beyond their worst `share`.

    Parameters
    ----------
    returns
        Shape (T,), finite; losses are negative returns.
    share
        Largest share of observations above the threshold; the threshold is the next smaller loss.

    Raises
    ------
    RiskError
        If fewer than 20 losses lie above the threshold, or the threshold is not a loss.
    """
    if returns.ndim != 1 or not np.isfinite(returns).all():
        raise RiskError("a tail fit needs one finite series", where=f"shape {returns.shape}")
    if not 0.0 < share < 1.0:
        raise RiskError("the tail's share lies inside (0, 1)", where=f"share={share}")
    losses = np.sort(-returns)[::-1]
    count = int(share * losses.shape[0] + 1e-9)
    if count < _LEAST_EXCESSES:
        raise RiskError(
            f"a tail fit needs at least {_LEAST_EXCESSES} losses beyond the threshold",
            where=f"{count} of {losses.shape[0]}",
            remedy="use a longer history or a larger share",
        )
    threshold = float(losses[count])
    excesses = losses[losses > threshold] - threshold
    if threshold <= 0.0 or excesses.shape[0] < _LEAST_EXCESSES:
        raise RiskError(
            "this series has no loss tail beyond a positive threshold",
            where=f"threshold {threshold:g}, {excesses.shape[0]} losses above it",
            remedy="use the historical measure",
        )
    shape, scale = fit_generalised_pareto(excesses)
    return ParetoTail(threshold, shape, scale, losses.shape[0], excesses.shape[0])


def fit_generalised_pareto(excesses: Floats) -> tuple[float, float]:
    """Maximum likelihood (shape, scale) of positive excesses, shape restricted to above -1/2.

    With theta = shape / scale the shape that maximises the likelihood is mean(log(1 + theta y)), so only
    theta is searched: on a grid first, because the profile can have more than one maximum, then refined.
    """
    if excesses.ndim != 1 or excesses.shape[0] == 0 or not (excesses > 0.0).all():
        raise RiskError("excesses over a threshold are positive", where=f"{excesses.shape}")
    unit = float(excesses.mean())
    scaled = excesses / unit

    def shape_at(theta: float) -> float:
        return float(np.mean(np.log1p(theta * scaled)))

    def loss(theta: float) -> float:
        if abs(theta) < 1e-9:
            return 1.0
        shape = shape_at(theta)
        return math.log(shape / theta) + shape + 1.0

    lowest = -0.999 / float(scaled.max())
    if shape_at(lowest) < _LEAST_SHAPE:  # the shape rises with theta: begin where it is allowed
        lowest = float(brentq(lambda theta: shape_at(theta) - _LEAST_SHAPE, lowest, 0.0))
    grid = np.concatenate((lowest * np.geomspace(1.0, 1e-4, 60), [0.0], np.geomspace(1e-4, 50.0, 120)))
    values = [loss(float(theta)) for theta in grid]
    best = int(np.argmin(values))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, grid.shape[0] - 1)])
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-10})
    theta = float(found.x) if found.fun <= values[best] else float(grid[best])
    if abs(theta) < 1e-9:
        return 0.0, unit
    shape = shape_at(theta)
    return shape, shape / theta * unit
