"""What trading costs: one model for the engines, the paper exchange and the execution report.

A taker pays `slippage_bps` plus square-root impact: `impact` x volatility of a bar x sqrt(quantity / its
volume) (Torre and Ferrari, "Market Impact Model Handbook", BARRA, 1997). All orders of an account on a symbol
together take at most `participation` of the volume of the bar they fill in. Compiled code receives the
`CostModel` itself; it is a tuple of numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.compiled import compiled
from qtm.errors import ConfigError

FEE_IN_QUOTE = 0
FEE_IN_RECEIVED_ASSET = 1
FEE_IN_BNB = 2

VARIANCE_DECAY = 0.94
"""Weight of the past in the running variance of bar returns (RiskMetrics Technical Document, 1996)."""


class CostModel(NamedTuple):
    """Fees and slippage.

    Attributes
    ----------
    maker_rate, taker_rate
        Commission as a fraction of traded notional.
    slippage_bps
        Distance from the reference price (the next open, or the mid of the paper book) to the price a taker
        pays, in basis points; it stands for half the spread.
    fee_in
        `FEE_IN_RECEIVED_ASSET` for Binance spot (a buy pays in base), `FEE_IN_QUOTE` for USD-M futures,
        `FEE_IN_BNB` for an account that burns BNB; the rates are then those after the discount.
    impact
        Square-root impact: a taker pays `impact` x sigma x sqrt(qty / volume) more, sigma and volume being
        those of a bar; 0 for none.
    participation
        Largest share of a bar's volume that all orders on a symbol together may take; 0 means no bound.
    bnb_price
        Quote currency a BNB costs. Fees in BNB are booked in quote at this price, as if the BNB were bought
        when it is burnt.
    """

    maker_rate: float = 0.001
    taker_rate: float = 0.001
    slippage_bps: float = 1.0
    fee_in: int = FEE_IN_RECEIVED_ASSET
    impact: float = 0.0
    participation: float = 0.0
    bnb_price: float = 0.0


SPOT_COSTS = CostModel()
"""Binance spot, regular tier without BNB discount."""

UM_COSTS = CostModel(maker_rate=0.0002, taker_rate=0.0005, slippage_bps=1.0, fee_in=FEE_IN_QUOTE)
"""Binance USD-M futures, regular tier."""


_BOUNDS = {
    "maker_rate": (-0.01, 0.1),
    "taker_rate": (-0.01, 0.1),
    "slippage_bps": (0.0, 1_000.0),
    "impact": (0.0, 100.0),
    "participation": (0.0, 1.0),
    "bnb_price": (0.0, 1e6),
}
"""Far beyond anything a venue asks; what lies outside is a slip of the decimal point."""


def numbers_of(costs: CostModel) -> CostModel:
    """`costs` with every number as the float or integer the machine code was compiled for.

    Raises
    ------
    ConfigError
        When a number is none that a venue asks: 10 % for 0.1 %, basis points for a fraction, a NaN.
    """
    for name, (least, most) in _BOUNDS.items():
        if not least <= getattr(costs, name) <= most:
            raise ConfigError(
                f"{name} of the costs is {getattr(costs, name)!r}",
                where="CostModel",
                remedy=f"it lies between {least:g} and {most:g}; rates are fractions, 0.001 for 0.1 %",
            )
    given = {name: float(value) for name, value in costs._asdict().items()}
    return CostModel(**given)._replace(fee_in=int(costs.fee_in))  # type: ignore[arg-type]


@compiled
def nearest_ticks(price: float, tick_size: float) -> float:
    """`price` counted in ticks, as the nearest whole number: how every run fills `Bar.close_ticks`."""
    return float(np.rint(price / tick_size))


@compiled
def price_of(ticks: float, tick_size: float) -> float:
    """The price of whole ticks as the float nearest to the decimal: 100.1, not 100.10000000000001."""
    return float(np.rint(ticks * tick_size * 1e8) / 1e8)


@compiled
def truncated(amount: float) -> float:
    """`amount` of an asset without anything beyond its eighth decimal."""
    return float(np.floor(amount * 1e8 + 1e-6) / 1e8)


@compiled
def taker_price_ticks(side: int, reference: float, tick_size: float, slippage_bps: float) -> float:
    """The price in whole ticks at which a taker trades around `reference`, rounded against the taker.

    `side` is +1 for a buy and -1 for a sell. A reference already on the grid with no slippage stays put.
    """
    ticks = reference * (1.0 + side * slippage_bps * 1e-4) / tick_size
    nearest = np.rint(ticks)
    if abs(ticks - nearest) <= 1e-12 * abs(ticks):
        return float(nearest)
    return float(np.ceil(ticks) if side > 0 else np.floor(ticks))


@compiled
def slippage_of(qty: float, volume: float, sigma: float, costs: Any) -> float:
    """What a taker of `qty` pays beyond the reference price, in basis points.

    `volume` is that of the bar it trades in, both in base units; `sigma` is the standard deviation of a bar's
    return as a fraction. A bar without volume has no depth to measure impact by: only the fixed part is paid.
    """
    if costs.impact <= 0.0 or volume <= 0.0:
        return float(costs.slippage_bps)
    return float(costs.slippage_bps + costs.impact * sigma * 1e4 * np.sqrt(abs(qty) / volume))


@compiled
def fillable_lots(lots: float, volume: float, step_size: float, costs: Any, taken: float = 0.0) -> float:
    """How much of an order for signed `lots` a bar of `volume` base units can fill, in whole lots.

    `taken` lots of the bar have gone to earlier orders.
    """
    if costs.participation <= 0.0:
        return float(lots)
    most = max(0.0, np.floor(costs.participation * volume / step_size + 1e-9) - taken)
    return float(np.copysign(min(abs(lots), most), lots))


@compiled
def next_variance(variance: float, before: float, close: float) -> float:
    """The running variance of bar returns after a close; 0.0 starts it, as does a `before` of 0.0."""
    if before <= 0.0:
        return float(variance)
    moved = close / before - 1.0
    if variance == 0.0:
        return float(moved * moved)
    return float(VARIANCE_DECAY * variance + (1.0 - VARIANCE_DECAY) * moved * moved)


@compiled
def commission(side: int, qty: float, price: float, maker: bool, costs: Any) -> tuple[float, float]:
    """The fee of a fill of `qty` base units as (base units, quote currency); one of them is zero.

    A commission is truncated to 1e-8 of its asset, as Binance does. With `FEE_IN_RECEIVED_ASSET` a buy's is
    taken from the base received and a sell's from the quote received.
    """
    rate = costs.maker_rate if maker else costs.taker_rate
    if costs.fee_in == FEE_IN_RECEIVED_ASSET and side > 0:
        return truncated(qty * rate), 0.0
    if costs.fee_in == FEE_IN_BNB:
        return 0.0, truncated(qty * price * rate / costs.bnb_price) * costs.bnb_price
    return 0.0, truncated(qty * price * rate)
