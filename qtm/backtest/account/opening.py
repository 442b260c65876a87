"""What happens at a bar's open: coins that died are written off, funding is paid, working orders trade.

Orders trade one instrument after the other: those that sell on balance first, then those that buy, both in
the order of the instruments' keys. A spot buy that its sleeve's cash no longer covers at its limit price is
cut to what it covers.

The legs of one instrument trade as one: their orders cross each other, and only the net goes to the venue,
never on another side than the gate approved. All get the venue's price; lots that cross pay no commission.
What the venue fills, and its commission, is shared among the legs on the net's side in proportion to what
they wanted, in whole lots and whole 1e-8 of the fee's asset, the largest remainders first. A net order that
expires leaves every leg where it was. When the legs cross exactly, they trade at the open's nearest tick.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.account.depth import depth_at, take, taken_in_bar
from qtm.backtest.account.ledger import note_order
from qtm.backtest.account.memory import DELISTED, NOBODY, UNFUNDED, costs_of_quote, grid_of_quote
from qtm.backtest.account.wallets import follow_fill
from qtm.backtest.intrabar import ENTRY
from qtm.backtest.session import EXPIRED, FILLED, PARTIAL
from qtm.compiled import either_way
from qtm.trading.book import on_complete, on_refused, on_reported_fill
from qtm.trading.costs import (
    commission,
    fillable_lots,
    nearest_ticks,
    price_of,
    slippage_of,
    taker_price_ticks,
)
from qtm.trading.exits import disarm, trail_behind

_UNIT = 1e-8


@either_way
def is_dying(account: Any, quotes: Any, seen: Any, opened_ms: int) -> bool:
    """True when an instrument that is not written off has not traded for too long."""
    for n in range(seen.size):
        if seen[n] != 0 and opened_ms - seen[n] > account.write_off_ms and not quotes[n].gone:
            return True
    return False


@either_way
def write_off_dead(
    account: Any, sleeves: Any, quotes: Any, legs: Any, waiting: Any, orders: Any, opened_ms: int, i: int
) -> None:
    """Write off every instrument that has not traded for too long when bar `i` opens.

    The quotes show the last closes.
    """
    for n in range(quotes.size):
        quote = quotes[n]
        if quote.seen_ms != 0 and not quote.gone and opened_ms - quote.seen_ms > account.write_off_ms:
            account.dead += 1
            write_off(account, sleeves, quote, legs, orders, i)
            keep_waiting(account, waiting, n)


@either_way
def write_off(account: Any, sleeves: Any, quote: Any, legs: Any, orders: Any, i: int) -> None:
    """Close every leg of an instrument at its last price less the haircut.

    A short pays the haircut on top. Should the symbol trade again it counts as another coin: strategies
    begin afresh on it.
    """
    quote.gone = True
    quote.wallet = quote.cost = 0.0
    s = quote.first_leg
    while s != NOBODY:
        leg = legs[s]
        leg.relisted = True
        leg.desired = leg.achieved = leg.working_lots = leg.asked_lots = 0.0
        disarm(leg)
        if leg.qty != 0.0:
            price = quote.close * (1.0 - np.copysign(account.haircut, leg.qty))
            lots = -leg.qty / quote.step_size
            leg.working_sequence = leg.orders
            leg.delisting_cost += abs(leg.qty) * quote.close * account.haircut
            fee = book_fill(sleeves, quote, leg, lots, price, 0.0, 0.0)
            leg.qty = 0.0
            note_order(
                account, orders, i - 1, quote.seen_ms, lots, lots, np.nan, FILLED, DELISTED, 0, price, fee,
                0.0, s, leg, leg.cash,
            )  # fmt: skip
        s = leg.next


@either_way
def pay_funding(account: Any, sleeves: Any, quotes: Any, legs: Any, opens: Any, rates: Any) -> None:
    """Longs pay a positive rate on the position carried into the bar, shorts receive it; rows of one bar."""
    for s in range(legs.size):
        leg = legs[s]
        n = leg.instrument
        if rates[n] != 0.0 and leg.qty != 0.0:
            paid = leg.qty * opens[n] * rates[n]
            sleeves[leg.strategy].cash[quotes[n].purse] -= paid
            leg.funding_paid += paid
            leg.flow -= paid
            if account.isolated:
                quotes[n].wallet -= paid


@either_way
def keep_waiting(account: Any, waiting: Any, but: int) -> None:
    """Take instrument `but` off the list of those with an order, if it is on it."""
    kept = 0
    for at in range(account.working):
        if waiting[at] != but:
            waiting[kept] = waiting[at]
            kept += 1
    account.working = kept


@either_way
def trade_at_open(
    account: Any,
    sleeves: Any,
    quotes: Any,
    legs: Any,
    waiting: Any,
    orders: Any,
    opens: Any,
    volumes: Any,
    i: int,
) -> None:
    """Match every working order against the open of bar `i`; `opens` and `volumes` are its rows.

    The order of an instrument without a bar goes on waiting.
    """
    for buying in (False, True):
        for at in range(account.working):
            n = waiting[at]
            quote = quotes[n]
            if (quote.side > 0) == buying and not np.isnan(opens[n]):
                depth = depth_at(quote, volumes, n)
                trade(account, sleeves, quotes, quote, legs, orders, opens[n], depth, i)
    kept = 0
    for at in range(account.working):
        if np.isnan(opens[waiting[at]]):
            waiting[kept] = waiting[at]
            kept += 1
    account.working = kept


@either_way
def book_fill(
    sleeves: Any, quote: Any, leg: Any, lots: float, price: float, fee_base: float, fee_quote: float
) -> float:
    """Book a fill on a leg and its sleeve's purse; returns the fee in quote currency."""
    purse = sleeves[leg.strategy].cash
    before = purse[quote.purse]
    leg.cash = before
    fee = on_reported_fill(leg, lots, price, fee_base, fee_quote, grid_of_quote(quote))
    purse[quote.purse] = leg.cash
    leg.flow += leg.cash - before
    return fee


@either_way
def cut_to_cash(sleeves: Any, quote: Any, legs: Any) -> tuple[float, float]:
    """Cut each leg's spot buy to what its sleeve can pay; returns the lots wanted to buy and to sell."""
    bought = sold = 0.0
    s = quote.first_leg
    while s != NOBODY:
        leg = legs[s]
        if leg.working_lots > 0.0 and quote.spot:
            cash = max(0.0, sleeves[leg.strategy].cash[quote.purse])
            limit = quote.buy_limit * quote.tick_size
            affordable = np.floor(cash / (limit * quote.step_size) + 1e-9)
            if affordable < leg.working_lots:
                qty = affordable * quote.step_size
                if qty < quote.min_qty * (1 - 1e-12) or qty * limit < quote.min_notional:
                    affordable = 0.0
                leg.working_lots = affordable
        if leg.working_lots > 0.0:
            bought += leg.working_lots
        else:
            sold -= leg.working_lots
        s = leg.next
    return bought, sold


@either_way
def grant(quote: Any, legs: Any, side: int, wanted: float, given: float) -> None:
    """Share `given` lots among the legs on `side` of an instrument that want `wanted` in all."""
    left = given
    s = quote.first_leg
    while s != NOBODY:
        leg = legs[s]
        if leg.working_lots * side > 0.0:
            leg.granted, leg.fraction = abs(leg.working_lots), 0.0
            if given != wanted:
                share = leg.granted * given / wanted
                leg.granted = np.floor(share + 1e-9)
                leg.fraction = share - leg.granted
            left -= leg.granted
        s = leg.next
    while left >= 0.5:
        best, chosen = -1.0, NOBODY
        s = quote.first_leg
        while s != NOBODY:
            if legs[s].working_lots * side > 0.0 and legs[s].fraction > best:
                best, chosen = legs[s].fraction, s
            s = legs[s].next
        legs[chosen].granted += 1.0
        legs[chosen].fraction = -1.0
        left -= 1.0


@either_way
def trade(
    account: Any,
    sleeves: Any,
    quotes: Any,
    quote: Any,
    legs: Any,
    orders: Any,
    opened: float,
    volume: float,
    i: int,
) -> None:
    """Match the working order of an instrument and its crossing legs against the open of bar `i`."""
    costs, side = costs_of_quote(quote), quote.side
    bought, sold = cut_to_cash(sleeves, quote, legs)
    crossed, sent = min(bought, sold), max(0.0, (bought - sold) * side)
    limit, qty = (quote.buy_limit if side > 0 else quote.sell_limit), sent * quote.step_size
    if qty < quote.min_qty * (1 - 1e-12) or qty * limit * quote.tick_size < quote.min_notional:
        sent = 0.0
    filled = 0.0
    if sent > 0.0:
        filled = fillable_lots(sent, volume, quote.step_size, costs, taken_in_bar(account, quote))
    ticks, expired = nearest_ticks(opened, quote.tick_size), False
    if filled > 0.0:
        bps = slippage_of(filled * quote.step_size, volume, np.sqrt(quote.variance), costs)
        ticks = taker_price_ticks(side, opened, quote.tick_size, bps)
        expired = side * ticks > side * limit
    elif crossed > 0.0:
        expired = ticks > quote.buy_limit or ticks < quote.sell_limit
    if expired:
        filled = crossed = 0.0
    take(account, quote, filled)
    major = 1 if bought >= sold else -1
    grant(quote, legs, major, max(bought, sold), crossed + filled)
    if crossed > 0.0 or sold * bought > 0.0:
        grant(quote, legs, -major, min(bought, sold), crossed)
    paid = price_of(ticks, quote.tick_size)
    share_out(account, sleeves, quote, legs, orders, paid, crossed, filled, major, i)
    if account.isolated and not quote.spot:
        follow_fill(sleeves, quotes, quote, legs, major * filled, paid)


@either_way
def share_out(
    account: Any,
    sleeves: Any,
    quote: Any,
    legs: Any,
    orders: Any,
    paid: float,
    crossed: float,
    filled: float,
    major: int,
    i: int,
) -> None:
    """Book what each leg was granted: `crossed` lots between legs, `filled` at the venue for side `major`."""
    left_lots, left_base, left_quote = crossed + filled, 0.0, 0.0
    if filled > 0.0:
        left_base, left_quote = commission(
            major, filled * quote.step_size, paid, False, costs_of_quote(quote)
        )
    s, inner = quote.first_leg, crossed / left_lots if left_lots > 0.0 else 0.0
    while s != NOBODY:
        leg, which = legs[s], s
        s = leg.next
        asked, wanted = leg.asked_lots, leg.working_lots
        if asked == 0.0:
            continue
        limit = quote.buy_limit if asked > 0.0 else quote.sell_limit
        leg.asked_lots = leg.working_lots = 0.0
        status, lots, inside, fee, price = EXPIRED, 0.0, 0.0, 0.0, np.nan
        purse = sleeves[leg.strategy].cash[quote.purse]
        if wanted == 0.0:
            status = UNFUNDED
            on_refused(leg, asked, grid_of_quote(quote), False)
        elif leg.granted > 0.0:
            lots, price = np.copysign(leg.granted, wanted), paid
            base, quoted, inside = 0.0, 0.0, leg.granted
            if wanted * major > 0.0:
                # Each takes its part of what is left, so the last one takes the rest to the last unit.
                base, quoted, inside = left_base, left_quote, leg.granted * inner
                if leg.granted < left_lots:
                    base = np.rint(left_base * leg.granted / left_lots / _UNIT) * _UNIT
                    quoted = np.rint(left_quote * leg.granted / left_lots / _UNIT) * _UNIT
                left_lots, left_base, left_quote = (
                    left_lots - leg.granted,
                    left_base - base,
                    left_quote - quoted,
                )
            leg.crossed += inside
            fee = book_fill(sleeves, quote, leg, lots, paid, base, quoted)
            purse = leg.cash
            status = FILLED if lots == asked else PARTIAL
            if lots == wanted:
                on_complete(leg)
            account.watched = account.watched or leg.armed or not quote.spot
        note_order(
            account, orders, i - 1, quote.since_ms, asked, lots, limit, status, ENTRY, 0, price, fee, inside,
            which, leg, purse,
        )  # fmt: skip
        if lots != 0.0 and leg.armed:
            trail_behind(leg, leg.qty, paid)
