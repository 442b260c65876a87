"""The account's position in an instrument, and the wallet it lives on where margin is isolated.

The legs of an instrument make one position, their net. What opens or enlarges it brings its initial margin
into the wallet, as far as there is free cash; what closes a part of it takes the same part of the wallet out;
funding is paid from it. Profit and commission go to the free cash: what the account holds beside its wallets.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.account.memory import MARGIN, NOBODY, margin_of_quote
from qtm.compiled import either_way
from qtm.trading.margin import leverage_at


@either_way
def net_position(quote: Any, legs: Any) -> float:
    """The account's position in an instrument, all legs together."""
    net, s = 0.0, quote.first_leg
    while s != NOBODY:
        net += legs[s].qty
        s = legs[s].next
    return net


@either_way
def initial_margin(quote: Any, notional: float) -> float:
    """Margin that opens a position of `notional` quote currency."""
    return float(notional / leverage_at(notional, margin_of_quote(quote))) if notional > 0.0 else 0.0


@either_way
def margin_to_add(quote: Any, qty: float, lots: float) -> float:
    """Margin that an order of signed `lots` adds to that of a position of `qty` base units, at the close."""
    after = initial_margin(quote, abs(qty + lots * quote.step_size) * quote.close)
    return max(0.0, after - initial_margin(quote, abs(qty) * quote.close))


@either_way
def free_cash(sleeves: Any, quotes: Any) -> float:
    """What the account's margin purses hold beside its wallets; open profits are no part of it."""
    free = 0.0
    for k in range(sleeves.size):
        free += sleeves[k].cash[MARGIN]
    for n in range(quotes.size):
        if not quotes[n].spot:
            free += quotes[n].cost - quotes[n].wallet
    return free


@either_way
def free_cash_of(sleeves: Any, quotes: Any, legs: Any, k: int) -> float:
    """The same of strategy `k`, with its parts of the wallets."""
    free = float(sleeves[k].cash[MARGIN])
    for s in range(sleeves[k].first, sleeves[k].last):
        leg = legs[s]
        quote = quotes[leg.instrument]
        if leg.qty != 0.0 and not quote.spot:
            free += leg.qty * leg.entry_price - part_of_wallet(quote, legs, leg)
    return free


@either_way
def part_of_wallet(quote: Any, legs: Any, leg: Any) -> float:
    """A leg's part of the wallet: in proportion among the legs on the position's side."""
    net = net_position(quote, legs)
    if leg.qty * net <= 0.0:
        return 0.0
    return float(quote.wallet * abs(leg.qty) / qty_on_side(quote, legs, net))


@either_way
def qty_on_side(quote: Any, legs: Any, net: float) -> float:
    """Base units held by the legs on the side of the position `net`."""
    total, s = 0.0, quote.first_leg
    while s != NOBODY:
        if legs[s].qty * net > 0.0:
            total += abs(legs[s].qty)
        s = legs[s].next
    return total


@either_way
def follow_fill(sleeves: Any, quotes: Any, quote: Any, legs: Any, lots: float, price: float) -> None:
    """Let the wallet follow a fill of signed `lots` at the venue, which the legs have already booked."""
    if lots == 0.0:
        return
    traded, after = lots * quote.step_size, net_position(quote, legs)
    before, opened = np.rint((after - traded) * 1e8) / 1e8, abs(traded)
    if before * traded < 0.0:
        closed = min(abs(before), abs(traded))
        kept = 1.0 - closed / abs(before)
        quote.cost *= kept
        quote.wallet *= kept
        opened -= closed
    if opened > 0.5 * quote.step_size:
        quote.cost += np.copysign(opened * price, traded)
        needed = opened * price / leverage_at(abs(after) * price, margin_of_quote(quote))
        quote.wallet += max(0.0, min(needed, free_cash(sleeves, quotes)))
