"""Position sizing: how large a position one decision may become, as a fraction of equity.

Every rule answers the same question through `Sizer.weight`, so the engine, the stream and a manual ticket
size alike (`qtm.risk.sizing_rules` holds the rules); the arithmetic is in plain functions that compiled
code can call too. A weight is unsigned and
never above the sizer's own cap. A missing input (NaN) gives NaN, which means "no change" and places no order.

Sizing only proposes. `sized_value` cuts the proposal to the position limit, and the gate judges the order
after that; nothing here can raise a limit.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

from qtm.compiled import either_way
from qtm.errors import RiskError


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


def require_share(name: str, value: float) -> None:
    """Refuse what is no share above zero and at most one."""
    if not 0.0 < value <= 1.0:
        raise RiskError(f"{name} must lie inside (0, 1]", where=f"{name}={value}", remedy="give a fraction")


def require_positive(name: str, value: float) -> None:
    """Refuse what is not above zero and finite."""
    if not (value > 0.0 and math.isfinite(value)):
        raise RiskError(f"{name} must be above zero", where=f"{name}={value}")
