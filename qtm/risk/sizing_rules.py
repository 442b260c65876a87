"""The sizing rules by name: fixed fractional, average true range, volatility, CVaR, Kelly, and two floors.

Each checks its settings and is a row of numbers to `qtm.risk.sizing.weight_of`, which holds the arithmetic.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

from qtm.errors import ConfigError, RiskError
from qtm.risk.kelly import CAUTIOUS_KELLY
from qtm.risk.sizing import (
    CUSHION,
    CVAR,
    DRAWDOWN,
    KELLY,
    RANGE_RISK,
    STOP_RISK,
    VOLATILITY,
    Sizer,
    SizingRule,
    SizingView,
    require_positive,
    require_share,
    weight_of,
)
from qtm.risk.sizing_view import LEAST_RETURNS

WINDOW = 365
"""Bars a rule measures unless it is told otherwise."""

RESIZED_BEYOND = 0.1
"""A position further than this share of its size from it is resized, by the rules that follow the market."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """What all rules share: numbers for `weight_of`, and the checks of the common settings."""

    @property
    def rule(self) -> SizingRule:
        """See `qtm.risk.sizing.Sizer`."""
        raise NotImplementedError

    def weight(self, view: SizingView) -> float:
        """See `qtm.risk.sizing.Sizer`."""
        return float(weight_of(self.rule, view))

    def settings(self) -> dict[str, float]:
        """See `qtm.risk.sizing.Sizer`."""
        return {name: float(value) for name, value in dataclasses.asdict(self).items()}

    def __str__(self) -> str:
        """As `sizer_of` reads it."""
        name = next(name for name, kind in RULES.items() if isinstance(kind, type) and type(self) is kind)
        return f"{name}:" + ",".join(f"{key}={value:g}" for key, value in self.settings().items())

    def __post_init__(self) -> None:
        numbers = self.rule
        require_positive("cap", numbers.cap)
        if not 0.0 <= numbers.drift < 1.0:
            raise RiskError("drift must lie inside [0, 1)", where=f"drift={numbers.drift}")
        if not LEAST_RETURNS < numbers.window < 1e6 or numbers.window != math.floor(numbers.window):
            raise RiskError(
                f"window must be a whole number of bars above {LEAST_RETURNS}",
                where=f"window={numbers.window}",
            )


@dataclass(frozen=True, slots=True)
class FixedFractional(_Rule):
    """Lose `risk` of equity if the stop is hit; needs price, stop price and slippage."""

    risk: float
    cap: float = 1.0
    drift: float = 0.0

    def __post_init__(self) -> None:
        require_share("risk", self.risk)
        _Rule.__post_init__(self)

    @property
    def rule(self) -> SizingRule:
        """See `qtm.risk.sizing.Sizer`."""
        return SizingRule(STOP_RISK, float(self.risk), 0.0, float(self.cap), float(self.drift), WINDOW)


@dataclass(frozen=True, slots=True)
class RangeRisk(_Rule):
    """Lose `risk` of equity on a move of `multiple` average true ranges; needs price and atr."""

    risk: float
    multiple: float = 2.0
    cap: float = 1.0
    drift: float = 0.0
    window: float = WINDOW

    def __post_init__(self) -> None:
        require_share("risk", self.risk)
        require_positive("multiple", self.multiple)
        _Rule.__post_init__(self)

    @property
    def rule(self) -> SizingRule:
        """See `qtm.risk.sizing.Sizer`."""
        return SizingRule(
            RANGE_RISK, float(self.risk), float(self.multiple), float(self.cap), float(self.drift),
            _whole(self.window),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class VolatilityTarget(_Rule):
    """Hold so much that the position's deviation over one bar is `target`; needs volatility."""

    target: float
    cap: float = 1.0
    drift: float = RESIZED_BEYOND
    window: float = WINDOW

    def __post_init__(self) -> None:
        require_positive("target", self.target)
        _Rule.__post_init__(self)

    @property
    def rule(self) -> SizingRule:
        """See `qtm.risk.sizing.Sizer`."""
        return SizingRule(
            VOLATILITY, float(self.target), 0.0, float(self.cap), float(self.drift), _whole(self.window)
        )


@dataclass(frozen=True, slots=True)
class CvarBudget(_Rule):
    """Hold so much that the position alone has a CVaR of `budget` of equity over one bar; needs unit_cvar."""

    budget: float
    cap: float = 1.0
    drift: float = RESIZED_BEYOND
    window: float = WINDOW

    def __post_init__(self) -> None:
        require_share("budget", self.budget)
        _Rule.__post_init__(self)

    @property
    def rule(self) -> SizingRule:
        """See `qtm.risk.sizing.Sizer`."""
        return SizingRule(
            CVAR, float(self.budget), 0.0, float(self.cap), float(self.drift), _whole(self.window)
        )


@dataclass(frozen=True, slots=True)
class FractionalKelly(_Rule):
    """A share of the Kelly bet mean / variance, with the mean shrunk for its sampling error.

    Needs mean, deviation and observations. The weight is unsigned: a negative mean sizes a short position,
    which the caller's direction must ask for.
    """

    share: float = CAUTIOUS_KELLY
    cap: float = 1.0
    drift: float = RESIZED_BEYOND
    window: float = WINDOW

    def __post_init__(self) -> None:
        require_share("share", self.share)
        _Rule.__post_init__(self)

    @property
    def rule(self) -> SizingRule:
        """See `qtm.risk.sizing.Sizer`."""
        return SizingRule(
            KELLY, float(self.share), 0.0, float(self.cap), float(self.drift), _whole(self.window)
        )


@dataclass(frozen=True, slots=True)
class Cppi(_Rule):
    """Constant proportion portfolio insurance: `multiplier` times the cushion above a fixed `floor`.

    Needs equity. Source: Black and Jones (1987). The floor holds unless one move between two rebalancings
    exceeds `survives_gap`; altcoins have gapped by 55 to 70 %, which asks for a multiplier below 1.4.
    """

    floor: float
    multiplier: float
    cap: float = 1.0
    drift: float = RESIZED_BEYOND

    def __post_init__(self) -> None:
        require_positive("floor", self.floor)
        require_positive("multiplier", self.multiplier)
        _Rule.__post_init__(self)

    @property
    def rule(self) -> SizingRule:
        """See `qtm.risk.sizing.Sizer`."""
        return SizingRule(
            CUSHION, float(self.floor), float(self.multiplier), float(self.cap), float(self.drift), WINDOW
        )

    @property
    def survives_gap(self) -> float:
        """The largest single fall, as a fraction, that leaves equity at the floor."""
        return min(1.0, 1.0 / self.multiplier)


@dataclass(frozen=True, slots=True)
class GrossmanZhou(_Rule):
    """Drawdown control: a bet on the cushion above `kept` times the running maximum of equity.

    Needs equity and peak_equity. Source: Grossman and Zhou, "Optimal investment strategies for controlling
    drawdowns" (1993). In continuous trading equity never falls below `kept` times its maximum; only gaps can
    break it.

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
    drift: float = RESIZED_BEYOND

    def __post_init__(self) -> None:
        require_share("kept", self.kept)
        for name in ("mean", "deviation", "aversion"):
            require_positive(name, getattr(self, name))
        _Rule.__post_init__(self)

    @property
    def rule(self) -> SizingRule:
        """See `qtm.risk.sizing.Sizer`."""
        return SizingRule(
            DRAWDOWN, float(self.kept), float(self.multiplier), float(self.cap), float(self.drift), WINDOW
        )

    @property
    def multiplier(self) -> float:
        """What the cushion is multiplied by: (mean / variance) / ((1 - kept) A + kept)."""
        return self.mean / self.deviation**2 / ((1.0 - self.kept) * self.aversion + self.kept)


def _whole(window: float) -> int:
    """A number of bars as machine code takes it; what is no number is refused later as out of range."""
    return int(window) if math.isfinite(window) and window == math.floor(window) else -1


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
            f"unknown sizing rule {name!r}", where="--sizing", remedy=f"use one of {', '.join(RULES)}"
        )
    values = {}
    for pair in filter(None, listed.split(",")):
        key, _, value = pair.partition("=")
        try:
            values[key.strip()] = float(value)
        except ValueError:
            raise ConfigError(
                f"cannot read {pair!r}", where="--sizing", remedy="write name:key=number,key=number"
            ) from None
    try:
        return RULES[name](**values)
    except TypeError as error:
        words = str(error).partition(") ")[2] or str(error)
        raise ConfigError(
            f"rule {name!r}: {words}", where="--sizing", remedy="see docs/explanation/risk-models.md, Sizing"
        ) from None
