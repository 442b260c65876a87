"""Position sizing: how large a position one decision may become, as a fraction of equity.

Every rule is a `SizingRule`, a row of numbers, and `weight_of` is what all of them answer with: the engines'
loops compile it, the stream and a manual ticket call it, so they size alike (`qtm.risk.sizing_rules` names
the rules and checks their settings). A weight is unsigned and never above the rule's own cap. A missing input
(NaN) gives NaN, which places no order.

Sizing only proposes. The proposal is cut to the position limit, and the gate judges the order after that;
nothing here can raise a limit.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Protocol

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


UNSIZED, STOP_RISK, RANGE_RISK, VOLATILITY, CVAR, KELLY, CUSHION, DRAWDOWN = range(8)
"""Kinds of rules: none, loss at the stop, loss on a range, volatility target, CVaR budget, fractional Kelly,
a cushion above a fixed floor, a cushion above a share of the running maximum."""


class SizingRule(NamedTuple):
    """A rule as numbers.

    Attributes
    ----------
    kind
        One of the kinds above.
    risk
        Share of equity: the loss at the stop or on a range, the deviation, the CVaR, the share of the Kelly
        bet; of a floor, its value in quote currency or the share of the maximum that is kept.
    multiple
        Average true ranges, or what a cushion is multiplied by.
    cap
        Largest weight it answers.
    drift
        See `qtm.trading.book.Sizing`.
    window
        Closed bars the rule measures.
    """

    kind: int = UNSIZED
    risk: float = 0.0
    multiple: float = 0.0
    cap: float = 1.0
    drift: float = 0.0
    window: int = 0


class Sizer(Protocol):
    """A sizing rule by its name and settings."""

    @property
    def cap(self) -> float:
        """Largest weight the rule ever answers."""

    @property
    def rule(self) -> SizingRule:
        """The same as numbers."""

    def weight(self, view: SizingView) -> float:
        """Unsigned fraction of equity to hold, at most `cap`; NaN when it cannot be known."""

    def settings(self) -> dict[str, float]:
        """Its settings by name."""


@either_way
def weight_of(rule: Any, view: Any) -> float:
    """Unsigned fraction of equity to hold, at most the rule's cap; NaN when it cannot be known."""
    if rule.kind == STOP_RISK:
        weight = stop_loss_weight(rule.risk, view.price, view.stop_price, view.slippage)
    elif rule.kind == RANGE_RISK:
        weight = range_weight(rule.risk, rule.multiple, view.price, view.atr)
    elif rule.kind == VOLATILITY:
        weight = inverse_weight(rule.risk, view.volatility)
    elif rule.kind == CVAR:
        weight = inverse_weight(rule.risk, view.unit_cvar)
    elif rule.kind == KELLY:
        mean = shrunk_mean(view.mean, view.deviation, view.observations)
        weight = inverse_weight(rule.risk * abs(mean), view.deviation**2)
    elif rule.kind == CUSHION:
        weight = cushion_weight(rule.multiple, view.equity, rule.risk)
    elif rule.kind == DRAWDOWN:
        weight = cushion_weight(rule.multiple, view.equity, rule.risk * view.peak_equity)
    else:
        weight = math.nan
    return capped(weight, rule.cap)


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
def sized_amount(amount: float, rule: Any, view: Any, largest_value: float) -> float:
    """What a target of 1.0 means, as a share of equity: `amount` times the rule's weight, cut to a value.

    Parameters
    ----------
    amount
        What it would mean without the rule.
    largest_value
        Most a position may be worth, quote currency. NaN (no limit known) gives NaN: no order.
    """
    share = amount * weight_of(rule, view)
    if not (view.equity > 0.0 and largest_value >= 0.0):
        return 0.0 if view.equity <= 0.0 else math.nan
    return min(share, largest_value / view.equity) if share == share else math.nan


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
