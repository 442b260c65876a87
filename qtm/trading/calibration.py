"""Slippage and impact of the cost model, fitted to own fills by robust regression.

What a taker paid beyond the reference price, in basis points, is modelled as

    paid = slippage_bps + impact x sigma_bps x sqrt(quantity / volume)

and fitted by Huber's M-estimator (Huber and Ronchetti, "Robust Statistics", 2nd ed., 2009, ch. 7): iterated
weighted least squares with the scale from the median absolute deviation. Errors are the asymptotic standard
errors of that estimator (eq. 7.81 there).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qtm.errors import DataError
from qtm.trading.costs import CostModel

Floats = npt.NDArray[np.float64]

FEWEST = 8
"""Fewest orders a fit is made from."""
_HUBER = 1.345
"""95 % efficiency where errors are normal."""
_ROUNDS = 200


@dataclass(frozen=True, slots=True)
class SlippageFit:
    """Costs fitted to own orders; errors are standard errors.

    Attributes
    ----------
    orders
        How many orders it was fitted to.
    slippage_bps, slippage_error
        The part every taker pays.
    impact, impact_error
        Coefficient of square-root impact; NaN when orders are too much alike to tell (it is then part of
        the slippage).
    spread_bps
        Robust standard deviation of what the model leaves unexplained.
    mean_bps
        Plain mean of what was paid.
    """

    orders: int
    slippage_bps: float
    slippage_error: float
    impact: float
    impact_error: float
    spread_bps: float
    mean_bps: float

    def costs(self, model: CostModel) -> CostModel:
        """`model` with the fitted slippage and impact; what was fitted below zero counts as zero."""
        impact = self.impact if math.isfinite(self.impact) else 0.0
        return model._replace(slippage_bps=max(0.0, self.slippage_bps), impact=max(0.0, impact))


def fit_slippage(paid_bps: Floats, pressure_bps: Floats) -> SlippageFit:
    """Fit slippage and impact.

    Parameters
    ----------
    paid_bps
        What each order paid beyond its reference price, positive when it was to its cost; shape (n,).
    pressure_bps
        `sigma_bps x sqrt(quantity / volume)` of each order; shape (n,).

    Raises
    ------
    DataError
        For fewer than `FEWEST` orders, or values that are not numbers.
    """
    if paid_bps.size < FEWEST:
        raise DataError(
            f"{paid_bps.size} orders are too few to fit slippage to", remedy=f"trade at least {FEWEST}"
        )
    if not (np.isfinite(paid_bps).all() and np.isfinite(pressure_bps).all()):
        raise DataError("an order's slippage is not a number", remedy="check prices and volumes of the fills")
    varies = float(np.ptp(pressure_bps)) > 1e-9 + 1e-6 * float(np.abs(pressure_bps).max())
    ones = np.ones_like(paid_bps)
    design = np.column_stack([ones, pressure_bps]) if varies else ones[:, None]
    found, errors, spread = _huber(design, paid_bps)
    return SlippageFit(
        orders=paid_bps.size,
        slippage_bps=float(found[0]),
        slippage_error=float(errors[0]),
        impact=float(found[1]) if varies else math.nan,
        impact_error=float(errors[1]) if varies else math.nan,
        spread_bps=spread,
        mean_bps=float(paid_bps.mean()),
    )


def _huber(design: Floats, values: Floats) -> tuple[Floats, Floats, float]:
    """(coefficients, standard errors, scale) of Huber's regression."""
    count, fields = design.shape
    found: Floats = np.asarray(np.linalg.lstsq(design, values, rcond=None)[0], dtype=np.float64)
    scale = 0.0
    for _ in range(_ROUNDS):
        left = values - design @ found
        scale = float(np.median(np.abs(left - np.median(left)))) / 0.674489750196082
        if scale <= 1e-12 * (1.0 + float(np.abs(values).max())):
            return found, np.zeros(fields), 0.0
        weight = np.minimum(1.0, _HUBER * scale / np.maximum(np.abs(left), 1e-300))
        root = np.sqrt(weight)
        improved: Floats = np.asarray(
            np.linalg.lstsq(design * root[:, None], values * root, rcond=None)[0], dtype=np.float64
        )
        settled = np.allclose(improved, found, rtol=1e-10, atol=1e-12)
        found = improved
        if settled:
            break
    left = (values - design @ found) / scale
    inside = float(np.mean(np.abs(left) <= _HUBER))
    pull = np.clip(left, -_HUBER, _HUBER)
    correction = 1.0 + fields / count * (1.0 - inside) / inside
    variance = correction**2 * float((pull**2).sum()) / (count - fields) / inside**2 * scale**2
    covariance = variance * np.linalg.pinv(design.T @ design)
    errors: Floats = np.sqrt(np.diag(covariance))
    return found, errors, scale
