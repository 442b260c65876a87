"""The sizing rules: fixed fractional, average true range, volatility, CVaR, Kelly, and two floors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from qtm.errors import ConfigError
from qtm.risk.kelly import CAUTIOUS_KELLY
from qtm.risk.sizing import (
    Sizer,
    SizingView,
    capped,
    cushion_weight,
    inverse_weight,
    range_weight,
    require_positive,
    require_share,
    shrunk_mean,
    stop_loss_weight,
)


@dataclass(frozen=True, slots=True)
class FixedFractional:
    """Lose `risk` of equity if the stop is hit."""

    risk: float
    cap: float = 1.0

    def __post_init__(self) -> None:
        require_share("risk", self.risk)
        require_positive("cap", self.cap)

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
        require_share("risk", self.risk)
        require_positive("multiple", self.multiple)
        require_positive("cap", self.cap)

    def weight(self, view: SizingView) -> float:
        """See `Sizer`; needs price and atr."""
        return capped(range_weight(self.risk, self.multiple, view.price, view.atr), self.cap)


@dataclass(frozen=True, slots=True)
class VolatilityTarget:
    """Hold so much that the position's deviation is `target`, in the period of `view.volatility`."""

    target: float
    cap: float = 1.0

    def __post_init__(self) -> None:
        require_positive("target", self.target)
        require_positive("cap", self.cap)

    def weight(self, view: SizingView) -> float:
        """See `Sizer`; needs volatility."""
        return capped(inverse_weight(self.target, view.volatility), self.cap)


@dataclass(frozen=True, slots=True)
class CvarBudget:
    """Hold so much that the position alone has a CVaR of `budget`, as a fraction of equity."""

    budget: float
    cap: float = 1.0

    def __post_init__(self) -> None:
        require_share("budget", self.budget)
        require_positive("cap", self.cap)

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
        require_share("share", self.share)
        require_positive("cap", self.cap)

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
        require_positive("floor", self.floor)
        require_positive("multiplier", self.multiplier)
        require_positive("cap", self.cap)

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
        require_share("kept", self.kept)
        for name in ("mean", "deviation", "aversion", "cap"):
            require_positive(name, getattr(self, name))

    @property
    def multiplier(self) -> float:
        """What the cushion is multiplied by: (mean / variance) / ((1 - kept) A + kept)."""
        return self.mean / self.deviation**2 / ((1.0 - self.kept) * self.aversion + self.kept)

    def weight(self, view: SizingView) -> float:
        """See `Sizer`; needs equity and peak_equity."""
        return capped(cushion_weight(self.multiplier, view.equity, self.kept * view.peak_equity), self.cap)


RULES: dict[str, Callable[..., Sizer]] = {
    "fixed": FixedFractional,
    "atr": RangeRisk,
    "volatility": VolatilityTarget,
    "cvar": CvarBudget,
    "kelly": FractionalKelly,
    "cppi": Cppi,
    "grossman-zhou": GrossmanZhou,
}
"""The rules by the names the command line and the stream know."""


def sizer_of(text: str) -> Sizer:
    """A rule as written on a command line: `volatility:target=0.01,cap=0.5`.

    Raises
    ------
    ConfigError
        For an unknown rule, a setting it does not have, or one that is no number.
    RiskError
        For a number out of range.
    """
    name, _, listed = text.partition(":")
    if name not in RULES:
        raise ConfigError(
            f"unknown sizing rule {name!r}", where="--sizer", remedy=f"use one of {', '.join(RULES)}"
        )
    values = {}
    for pair in filter(None, listed.split(",")):
        key, _, value = pair.partition("=")
        try:
            values[key.strip()] = float(value)
        except ValueError:
            raise ConfigError(
                f"cannot read {pair!r}", where="--sizer", remedy="write name:key=number,key=number"
            ) from None
    try:
        return RULES[name](**values)
    except TypeError as error:
        words = str(error).partition(") ")[2] or str(error)
        raise ConfigError(
            f"rule {name!r}: {words}", where="--sizer", remedy="see docs/explanation/risk-models.md, Sizing"
        ) from None
