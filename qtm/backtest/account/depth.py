"""What a bar's volume lets an account trade: one share of it for all orders of an instrument together.

It goes to the orders in the order in which they trade: the net order at the open, then the exits. Lots that
legs trade with each other take nothing of it, and a liquidation is not bound by it: the insurance fund takes
over what the bar does not carry.
"""

from __future__ import annotations

from typing import Any

from qtm.compiled import either_way


@either_way
def depth_at(quote: Any, volumes: Any, n: int) -> float:
    """The volume of instrument `n` in a bar; 0.0, without a look at it, where no cost depends on it."""
    return float(volumes[n]) if quote.impact > 0.0 or quote.participation > 0.0 else 0.0


@either_way
def taken_in_bar(account: Any, quote: Any) -> float:
    """Lots that earlier orders have taken of the present bar."""
    return float(quote.taken_lots) if quote.taken_bar == account.bars else 0.0


@either_way
def take(account: Any, quote: Any, lots: float) -> None:
    """Note that an order has taken (signed) `lots` of the present bar."""
    if quote.participation > 0.0:
        quote.taken_lots = taken_in_bar(account, quote) + abs(lots)
        quote.taken_bar = account.bars
