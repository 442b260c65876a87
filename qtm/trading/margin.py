"""Margin of a futures account that holds one position: what may be opened, and where it is liquidated.

One maintenance tier: the bracket of the position's size. Source: Binance, "Leverage and Margin of USD-M
Futures" (isolated or single-position cross margin; liquidation when equity falls to maintenance margin).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.compiled import compiled


class Margin(NamedTuple):
    """Rates as fractions of notional.

    Attributes
    ----------
    leverage
        Largest notional over equity when a position is opened or enlarged; 0 means no margin account (spot).
    maintenance_rate
        Equity below this share of the position's notional is liquidated.
    liquidation_fee
        Charged on the notional that is liquidated.
    """

    leverage: float = 5.0
    maintenance_rate: float = 0.005
    liquidation_fee: float = 0.0125


NO_MARGIN = Margin(0.0, 0.0, 0.0)
"""A spot account."""

UM_MARGIN = Margin()
"""A cautious USD-M account; Binance's first bracket of the majors is looser."""


@compiled
def liquidation_price(qty: float, cash: float, margin: Any) -> float:
    """Price at which equity equals maintenance margin; 0.0 when there is none (flat, or covered by cash)."""
    if margin.leverage <= 0.0 or qty == 0.0:
        return 0.0
    if qty > 0.0:
        return float(max(0.0, -cash / (qty * (1.0 - margin.maintenance_rate))))
    return float(max(0.0, cash / (-qty * (1.0 + margin.maintenance_rate))))


@compiled
def is_covered(qty_before: float, qty_after: float, price: float, equity: float, margin: Any) -> bool:
    """True when equity carries the position an order may lead to; orders that shrink it always pass."""
    if margin.leverage <= 0.0 or (abs(qty_after) <= abs(qty_before) and qty_after * qty_before >= 0.0):
        return True
    return bool(abs(qty_after) * price <= equity * margin.leverage * (1.0 + 1e-12) and np.isfinite(equity))
