"""Liquidity-adjusted VaR: the spread, the cost of walking the book, and the days a position takes to sell.

VaR as usually computed assumes that a position can be closed at the mid price within its horizon. Three
additions drop that: half the spread in bad times (Bangia, Diebold, Schuermann and Stroughair 1999), the price
given away by an order larger than the best level, and a horizon as long as selling at a limited share of the
market's volume takes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from qtm.errors import RiskError

STRESSED_DEPTH: Final = 0.10
"""Share of the usual book depth that is left in a stress."""


def spread_cost(value: float, mean_spread: float, spread_deviation: float, multiple: float = 3.0) -> float:
    """Half the spread on a bad day, in the unit of `value`: V (mean + multiple * deviation) / 2.

    Parameters
    ----------
    value
        Position in quote currency, unsigned.
    mean_spread, spread_deviation
        Of the relative spread (ask - bid) / mid, as fractions.
    multiple
        Deviations above the mean; 2 to 4.5 in the source, the more the fatter the spread's tail.
    """
    _require_not_negative(
        value=value, mean_spread=mean_spread, spread_deviation=spread_deviation, multiple=multiple
    )
    return 0.5 * value * (mean_spread + multiple * spread_deviation)


def depth_cost(levels: Sequence[tuple[float, float]], qty: float, mid: float, *, depth: float = 1.0) -> float:
    """Relative cost of trading `qty` against one side of a book at once: |average price / mid - 1|.

    Parameters
    ----------
    levels
        (price, quantity) from the best level outwards: asks to buy, bids to sell.
    qty
        Base units, unsigned.
    mid
        Mid price.
    depth
        Share of every level's quantity that is there; `STRESSED_DEPTH` in a stress.

    Raises
    ------
    RiskError
        If the levels do not hold `qty`: the cost beyond them is unknown, not zero.
    """
    _require_not_negative(qty=qty)
    if not (mid > 0.0 and 0.0 < depth <= 1.0):
        raise RiskError("a book needs a mid price and a depth in (0, 1]", where=f"mid {mid}, depth {depth}")
    if qty == 0.0:
        return 0.0
    left, paid = qty, 0.0
    for price, available in levels:
        taken = min(left, available * depth)
        paid += taken * price
        left -= taken
        if left <= 0.0:
            return abs(paid / qty / mid - 1.0)
    raise RiskError(
        "the recorded book is too thin for this position",
        where=f"{qty - left:g} of {qty:g} units on {len(levels)} levels at {depth:.0%} depth",
        remedy="record deeper levels, or sell over several periods",
    )


def periods_to_sell(value: float, volume: float, participation: float) -> float:
    """Periods, at least one, that trading `value` takes at `participation` of the `volume` per period."""
    _require_not_negative(value=value)
    if not (volume > 0.0 and 0.0 < participation <= 1.0):
        raise RiskError(
            "selling needs volume and a participation in (0, 1]",
            where=f"volume {volume}, participation {participation}",
            remedy="a symbol that does not trade cannot be sold: write the position off instead",
        )
    return max(1.0, value / (participation * volume))


def horizon_factor(periods: float) -> float:
    """What selling evenly over `periods` multiplies one-period VaR by: sqrt((h + 1)(2h + 1) / 6h)."""
    if not periods >= 1.0:
        raise RiskError("a horizon has at least one period", where=f"periods={periods}")
    return math.sqrt((periods + 1.0) * (2.0 * periods + 1.0) / (6.0 * periods))


@dataclass(frozen=True, slots=True)
class LiquidityAdjusted:
    """A position's VaR and what illiquidity adds to it, in quote currency."""

    var: float
    periods: float
    longer_horizon: float
    exit_cost: float

    @property
    def total(self) -> float:
        """Liquidity-adjusted VaR."""
        return self.var + self.longer_horizon + self.exit_cost


def adjust_for_liquidity(
    var: float, value: float, *, volume: float, participation: float, relative_cost: float
) -> LiquidityAdjusted:
    """Add the selling horizon and the exit cost to a position's one-period VaR.

    Parameters
    ----------
    var, value
        One-period VaR and unsigned position, quote currency.
    volume
        Market volume per period, quote currency.
    participation
        Largest share of that volume one may be.
    relative_cost
        Cost of closing as a fraction of value: `depth_cost` at stressed depth, or `spread_cost` of one unit.
    """
    _require_not_negative(var=var, relative_cost=relative_cost)
    periods = periods_to_sell(value, volume, participation)
    return LiquidityAdjusted(var, periods, var * (horizon_factor(periods) - 1.0), value * relative_cost)


def _require_not_negative(**values: float) -> None:
    for name, value in values.items():
        if not (value >= 0.0 and math.isfinite(value)):
            raise RiskError(f"{name.replace('_', ' ')} must be zero or more", where=f"{name}={value}")
