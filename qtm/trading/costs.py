"""What trading costs: one model for the engine, the paper exchange and the execution report.

Compiled code receives the `CostModel` itself; it is a tuple of numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from qtm.compiled import compiled

FEE_IN_QUOTE = 0
FEE_IN_RECEIVED_ASSET = 1


class CostModel(NamedTuple):
    """Fees and slippage.

    Attributes
    ----------
    maker_rate, taker_rate
        Commission as a fraction of traded notional.
    slippage_bps
        Distance from the reference price (the next open, or the mid of the paper book) to the price a taker
        pays, in basis points; it stands for half the spread plus impact.
    fee_in
        `FEE_IN_RECEIVED_ASSET` for Binance spot (a buy pays in base), `FEE_IN_QUOTE` for USD-M futures.
    """

    maker_rate: float = 0.001
    taker_rate: float = 0.001
    slippage_bps: float = 1.0
    fee_in: int = FEE_IN_RECEIVED_ASSET


SPOT_COSTS = CostModel()
"""Binance spot, regular tier without BNB discount."""

UM_COSTS = CostModel(maker_rate=0.0002, taker_rate=0.0005, slippage_bps=1.0, fee_in=FEE_IN_QUOTE)
"""Binance USD-M futures, regular tier."""


@compiled
def nearest_ticks(price: float, tick_size: float) -> float:
    """`price` counted in ticks, as the nearest whole number: how every run fills `Bar.close_ticks`."""
    return float(np.rint(price / tick_size))


@compiled
def price_of(ticks: float, tick_size: float) -> float:
    """The price of whole ticks as the float nearest to the decimal: 100.1, not 100.10000000000001."""
    return float(np.rint(ticks * tick_size * 1e8) / 1e8)


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
