"""Position sizing: how large a position one decision may become, as a fraction of equity.

Every rule answers the same question through `Sizer.weight`, so the engine, the stream and a manual ticket
size alike; the arithmetic is in plain functions that compiled code can call too. A weight is unsigned and
never above the sizer's own cap. A missing input (NaN) gives NaN, which means "no change" and places no order.

Sizing only proposes. `sized_value` cuts the proposal to the position limit, and the gate judges the order
after that; nothing here can raise a limit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np

from qtm.compiled import either_way
from qtm.errors import RiskError
from qtm.risk.measures import Floats

CAUTIOUS_KELLY: Final = 0.25
"""Default share of the Kelly bet: keeps 44 % of its growth; equity ever halves with probability 0.8 %."""


class SizingView(NamedTuple):
    """What is known when a size is asked for; NaN where it is not.

    Attributes
    ----------
    equity, peak_equity
        Quote currency, now and at its running maximum.
    price, stop_price, slippage
        Entry, protective stop, and how far beyond the stop the exit may fill; quote currency per unit.
    atr
        Average true range, quote currency per unit.
    volatility
        Expected deviation of returns, in the period of the sizer's target.
    mean, deviation, observations
        Sample mean and deviation of the return per period, and how many returns they come from.
    unit_cvar
        CVaR of one unit of quote currency held in this position, as a positive fraction.
    """

    equity: float
    price: float
    peak_equity: float = math.nan
    stop_price: float = math.nan
    slippage: float = 0.0
    atr: float = math.nan
    volatility: float = math.nan
    mean: float = math.nan
    deviation: float = math.nan
    observations: float = math.nan
    unit_cvar: float = math.nan


class Sizer(Protocol):
    """A sizing rule."""

    @property
    def cap(self) -> float:
        """Largest weight the rule ever answers."""

    def weight(self, view: SizingView) -> float:
        """Unsigned fraction of equity to hold, at most `cap`; NaN when it cannot be known."""


def sized_value(sizer: Sizer, view: SizingView, direction: float, max_position_value: float) -> float:
    """Signed position value in quote currency: the sizer's weight, cut to the position limit.

    Parameters
    ----------
    direction
        The strategy's or trader's conviction in [-1, 1]; larger values count as 1.
    max_position_value
        The limit in force, quote currency. NaN (no limit known) gives NaN: no order.
    """
    value = min(1.0, abs(direction)) * sizer.weight(view) * view.equity
    if not (max_position_value >= 0.0 and value >= 0.0):
        return math.nan
    return math.copysign(min(value, max_position_value), direction)


@either_way
def capped(weight: float, cap: float) -> float:
    """`weight` between 0 and `cap`; NaN stays NaN."""
    if weight != weight:
        return math.nan
    return max(0.0, min(weight, cap))


@either_way
def stop_loss_weight(risk: float, price: float, stop_price: float, slippage: float) -> float:
    """Weight that loses `risk` of equity when the stop fills `slippage` beyond its price."""
    distance = abs(price - stop_price) + slippage
    return risk * price / distance if distance > 0.0 else math.nan


@either_way
def range_weight(risk: float, multiple: float, price: float, atr: float) -> float:
    """Weight that loses `risk` of equity when the price moves `multiple` average true ranges."""
    return risk * price / (multiple * atr) if atr > 0.0 else math.nan


@either_way
def inverse_weight(budget: float, per_unit: float) -> float:
    """`budget` of risk over the risk of one unit: volatility target and CVaR budget."""
    return budget / per_unit if per_unit > 0.0 else math.nan


@either_way
def shrunk_mean(mean: float, deviation: float, observations: float) -> float:
    """`mean` times mean^2 / (mean^2 + its sampling variance), the bet-size shrinkage under uncertainty.

    Source: Baker and McHale, "Optimal betting under parameter uncertainty" (2013).
    """
    noise = deviation * deviation / observations if observations > 0.0 else math.nan
    square = mean * mean
    if square + noise == 0.0:
        return 0.0
    return mean * square / (square + noise)


@either_way
def cushion_weight(multiplier: float, value: float, floor: float) -> float:
    """`multiplier` times the share of `value` above `floor`; zero at or below the floor."""
    if not value > 0.0:
        return 0.0 if value == value and floor == floor else math.nan
    if value <= floor:
        return 0.0
    return multiplier * (value - floor) / value


@dataclass(frozen=True, slots=True)
class FixedFractional:
    """Lose `risk` of equity if the stop is hit."""

    risk: float
    cap: float = 1.0

    def __post_init__(self) -> None:
        _require_share("risk", self.risk)
        _require_positive("cap", self.cap)

    def weight(self, view: SizingView) -> float:
        """See `Sizer`; needs price, stop price and slippage."""
        return capped(stop_loss_weight(self.risk, view.price, view.stop_price, view.slippage), self.cap)


@dataclass(frozen=True, slots=True)
class RangeRisk:
    """Lose `risk` of equity on a move of `multiple` average true ranges."""

    risk: float
    multiple: float = 2.0
    cap: float = 1.0

    def __post_init__(self) -> None:
        _require_share("risk", self.risk)
        _require_positive("multiple", self.multiple)
        _require_positive("cap", self.cap)

    def weight(self, view: SizingView) -> float:
        """See `Sizer`; needs price and atr."""
        return capped(range_weight(self.risk, self.multiple, view.price, view.atr), self.cap)


@dataclass(frozen=True, slots=True)
class VolatilityTarget:
    """Hold so much that the position's deviation is `target`, in the period of `view.volatility`."""

    target: float
    cap: float = 1.0

    def __post_init__(self) -> None:
        _require_positive("target", self.target)
        _require_positive("cap", self.cap)

    def weight(self, view: SizingView) -> float:
        """See `Sizer`; needs volatility."""
        return capped(inverse_weight(self.target, view.volatility), self.cap)


@dataclass(frozen=True, slots=True)
class CvarBudget:
    """Hold so much that the position alone has a CVaR of `budget`, as a fraction of equity."""

    budget: float
    cap: float = 1.0

    def __post_init__(self) -> None:
        _require_share("budget", self.budget)
        _require_positive("cap", self.cap)

    def weight(self, view: SizingView) -> float:
        """See `Sizer`; needs unit_cvar."""
        return capped(inverse_weight(self.budget, view.unit_cvar), self.cap)


@dataclass(frozen=True, slots=True)
class FractionalKelly:
    """A share of the Kelly bet mean / variance, with the mean shrunk for its sampling error.

    The weight is unsigned: a negative mean sizes a short position, which the caller's direction must ask for.
    """

    share: float = CAUTIOUS_KELLY
    cap: float = 1.0

    def __post_init__(self) -> None:
        _require_share("share", self.share)
        _require_positive("cap", self.cap)

    def weight(self, view: SizingView) -> float:
        """See `Sizer`; needs mean, deviation and observations."""
        mean = shrunk_mean(view.mean, view.deviation, view.observations)
        return capped(inverse_weight(self.share * abs(mean), view.deviation**2), self.cap)


@dataclass(frozen=True, slots=True)
class Cppi:
    """Constant proportion portfolio insurance: `multiplier` times the cushion above a fixed `floor`.

    Source: Black and Jones (1987). The floor holds unless one move between two rebalancings exceeds
    `survives_gap`; altcoins have gapped by 55 to 70 %, which asks for a multiplier below 1.4.
    """

    floor: float
    multiplier: float
    cap: float = 1.0

    def __post_init__(self) -> None:
        _require_positive("floor", self.floor)
        _require_positive("multiplier", self.multiplier)
        _require_positive("cap", self.cap)

    @property
    def survives_gap(self) -> float:
        """The largest single fall, as a fraction, that leaves equity at the floor."""
        return min(1.0, 1.0 / self.multiplier)

    def weight(self, view: SizingView) -> float:
        """See `Sizer`; needs equity."""
        return capped(cushion_weight(self.multiplier, view.equity, self.floor), self.cap)


@dataclass(frozen=True, slots=True)
class GrossmanZhou:
    """Drawdown control: a bet on the cushion above `kept` times the running maximum of equity.

    Source: Grossman and Zhou, "Optimal investment strategies for controlling drawdowns" (1993). In continuous
    trading equity never falls below `kept` times its maximum; only gaps can break it.

    Attributes
    ----------
    kept
        Share of the running maximum that may not be lost, in (0, 1).
    mean, deviation
        Expected return and its deviation, in one period.
    aversion
        Relative risk aversion A; 1 is logarithmic utility, the Kelly bet on the cushion.
    """

    kept: float
    mean: float
    deviation: float
    aversion: float = 1.0
    cap: float = 1.0

    def __post_init__(self) -> None:
        _require_share("kept", self.kept)
        for name in ("mean", "deviation", "aversion", "cap"):
            _require_positive(name, getattr(self, name))

    @property
    def multiplier(self) -> float:
        """What the cushion is multiplied by: (mean / variance) / ((1 - kept) A + kept)."""
        return self.mean / self.deviation**2 / ((1.0 - self.kept) * self.aversion + self.kept)

    def weight(self, view: SizingView) -> float:
        """See `Sizer`; needs equity and peak_equity."""
        return capped(cushion_weight(self.multiplier, view.equity, self.kept * view.peak_equity), self.cap)


def kelly_weights(mean: Floats, covariance: Floats, share: float = CAUTIOUS_KELLY) -> Floats:
    """Signed fractional Kelly weights of several assets together, share * covariance^-1 mean, shape (N,).

    Raises
    ------
    RiskError
        If the covariance is not positive definite: the bet would be unbounded.
    """
    _require_share("share", share)
    if covariance.shape != (mean.shape[0], mean.shape[0]):
        raise RiskError("mean and covariance do not fit", where=f"{mean.shape} and {covariance.shape}")
    try:
        np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise RiskError(
            "the covariance is not positive definite, so the Kelly bet is unbounded",
            where=f"{mean.shape[0]} assets",
            remedy="shrink the covariance or drop duplicated assets",
        ) from None
    weights: Floats = share * np.linalg.solve(covariance, mean).astype(np.float64)
    return weights


def kelly_growth_kept(share: float) -> float:
    """Share of the Kelly growth rate that a fractional bet keeps: 2c - c^2."""
    return 2.0 * share - share**2


def kelly_fall_probability(level: float, share: float) -> float:
    """Probability that equity ever falls to `level` of today's, betting `share` of Kelly: x^(2/c - 1)."""
    _require_share("share", share)
    _require_share("level", level)
    return float(level ** (2.0 / share - 1.0))


def _require_share(name: str, value: float) -> None:
    if not 0.0 < value <= 1.0:
        raise RiskError(f"{name} must lie inside (0, 1]", where=f"{name}={value}", remedy="give a fraction")


def _require_positive(name: str, value: float) -> None:
    if not (value > 0.0 and math.isfinite(value)):
        raise RiskError(f"{name} must be above zero", where=f"{name}={value}")
