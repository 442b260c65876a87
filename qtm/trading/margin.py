"""Margin of a futures position: what may be opened, and where it is liquidated.

A position that is alone on its account lives on all of its cash, an isolated one on the wallet that was set
aside for it. Source: Binance, "Leverage and Margin of USD-M Futures" (liquidation when equity falls to
maintenance margin).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.compiled import compiled
from qtm.market.instruments import Instrument, Market
from qtm.trading.brackets import bracket_array, rows_of

NO_BRACKETS: npt.NDArray[np.float64] = np.empty((0, 4))


class MarginMode(StrEnum):
    """What a futures position lives on: all of the margin account, or a wallet of its own."""

    CROSS = "cross"
    ISOLATED = "isolated"


USUAL_LEVERAGE = 5.0


def margin_as_params(mode: MarginMode, leverages: Mapping[str, float]) -> dict[str, float]:
    """Margin terms as parameters of a trial: another mode or leverage makes another one.

    Cross margin at the usual leverage has none.

    Parameters
    ----------
    leverages
        Of every future of the account; empty on spot.
    """
    isolated = mode is MarginMode.ISOLATED
    params = {"margin.isolated": 1.0} if isolated else {}
    chosen = set(leverages.values())
    if len(chosen) > 1:
        return params | {f"margin.leverage.{key}": float(leverage) for key, leverage in leverages.items()}
    if chosen and (isolated or chosen != {USUAL_LEVERAGE}):
        params["margin.leverage"] = float(chosen.pop())
    return params


class Margin(NamedTuple):
    """Rates as fractions of notional.

    Attributes
    ----------
    leverage
        Largest notional over equity when a position is opened or enlarged; 0 means no margin account (spot).
    maintenance_rate
        Equity below this share of the position's notional is liquidated; for positions of any size when there
        are no brackets, else the brackets say it.
    liquidation_fee
        Charged on the notional that is liquidated.
    brackets
        Rows of `qtm.trading.brackets.bracket_array`, shape (B, 4); none by default.
    """

    leverage: float = USUAL_LEVERAGE
    maintenance_rate: float = 0.005
    liquidation_fee: float = 0.0125
    brackets: npt.NDArray[np.float64] = NO_BRACKETS

    def for_machine_code(self) -> Margin:
        """The same with every number as the float the machine code was compiled for."""
        table = np.ascontiguousarray(self.brackets, dtype=np.float64).reshape(-1, 4)
        return Margin(float(self.leverage), float(self.maintenance_rate), float(self.liquidation_fee), table)

    def as_dict(self) -> dict[str, Any]:
        """Name to value, for a run's lineage."""
        return {**self._asdict(), "brackets": self.brackets.tolist()}


NO_MARGIN = Margin(0.0, 0.0, 0.0)
"""A spot account."""

UM_MARGIN = Margin()
"""A cautious USD-M account with one bracket."""


def margin_of(instrument: Instrument, leverage: float = USUAL_LEVERAGE) -> Margin:
    """The account an instrument is traded on: none on spot, the contract's brackets on USD-M."""
    if instrument.market is Market.SPOT:
        return NO_MARGIN
    return Margin(leverage=leverage, brackets=bracket_array(rows_of(instrument.base)))


@compiled
def maintenance_margin(notional: float, margin: Any) -> float:
    """Equity a position of `notional` quote currency needs to live on."""
    needed = notional * margin.maintenance_rate
    for row in margin.brackets:
        # Rates rise with the notional and `cum` joins the pieces, so the largest line is the bracket's own.
        value = notional * row[1] - row[2]
        needed = value if row[0] == 0.0 else max(needed, value)
    return float(needed)


@compiled
def leverage_at(notional: float, margin: Any) -> float:
    """The largest leverage for a position of `notional` quote currency: the account's or the bracket's."""
    allowed = margin.leverage
    for row in margin.brackets:
        if notional > row[0]:
            allowed = min(margin.leverage, row[3])
    return float(allowed)


@compiled
def liquidation_price(qty: float, cash: float, margin: Any) -> float:
    """Price at which equity equals maintenance margin; 0.0 when there is none (flat, or covered by cash).

    `cash` is what is left of the account, or of an isolated position's wallet, after paying for the position.
    Each bracket's line gives a price; a long is liquidated at the highest of them, a short at the lowest.
    """
    if margin.leverage <= 0.0 or qty == 0.0:
        return 0.0
    price, rate, cum = 0.0, margin.maintenance_rate, 0.0
    for at in range(max(1, margin.brackets.shape[0])):
        if margin.brackets.shape[0] > 0:
            rate, cum = margin.brackets[at, 1], margin.brackets[at, 2]
        if qty > 0.0:
            price = max(price, -(cash + cum) / (qty * (1.0 - rate)))
        else:
            edge = max(0.0, (cash + cum) / (-qty * (1.0 + rate)))
            price = edge if at == 0 else min(price, edge)
    return float(price)


@compiled
def is_covered(qty_before: float, qty_after: float, price: float, equity: float, margin: Any) -> bool:
    """True when equity carries the position an order may lead to; orders that shrink it always pass."""
    if margin.leverage <= 0.0 or (abs(qty_after) <= abs(qty_before) and qty_after * qty_before >= 0.0):
        return True
    notional = abs(qty_after) * price
    return bool(notional <= equity * leverage_at(notional, margin) * (1.0 + 1e-12) and np.isfinite(equity))
