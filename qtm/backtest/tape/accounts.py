"""The account's books in whole units: what is locked, what a fill moves, what a margin account must keep.

Cash falls by what is bought and rises by what is sold, on spot and futures alike, so equity is cash plus the
position marked at the price. A spot account locks quote for its buys and lots for its sells; a margin account
must carry the larger position its working orders could lead to, with the leverage of the bracket it falls in.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from qtm.backtest.tape.units import unit
from qtm.compiled import either_way
from qtm.trading.costs import FEE_IN_BNB, FEE_IN_RECEIVED_ASSET
from qtm.trading.desk import BUY, REDUCE_ONLY, RESTING, SELL, WAITING
from qtm.trading.exact import UNITS, share_of, value_of

DAY_NS = 86_400_000_000_000


@either_way
def lots_held(books: Any, rules: Any) -> int:
    """The position in whole lots, towards zero."""
    return books.lots  # type: ignore[no-any-return]


@either_way
def count_lots(books: Any, rules: Any) -> None:
    """Count the whole lots in the position (a division, so once per fill and not per look)."""
    books.lots = books.base // rules.step if books.base >= 0 else -(-books.base // rules.step)


@either_way
def value_held(books: Any, ticks: int, rules: Any) -> int:
    """The position in quote units at a price, dust below a lot included."""
    lots = books.lots
    value = value_of(lots, ticks, rules)
    dust = books.base - lots * rules.step
    if dust != 0:
        value += dust * (ticks * rules.tick) // UNITS
    return value


@either_way
def equity_of(books: Any, ticks: int, rules: Any) -> int:
    """Cash plus the position marked at a price, in units."""
    return books.cash + value_held(books, ticks, rules)  # type: ignore[no-any-return]


@either_way
def price_of_order(order: Any, desk: Any) -> int:
    """The price an order is valued at: its limit, else its trigger, else the market's."""
    if order.ticks != 0:
        return order.ticks  # type: ignore[no-any-return]
    if order.trigger_ticks != 0:
        return order.trigger_ticks  # type: ignore[no-any-return]
    best = desk.ask_ticks if order.side == BUY else desk.bid_ticks
    if best != 0:
        return best  # type: ignore[no-any-return]
    return desk.last_ticks  # type: ignore[no-any-return]


# --- setting aside ---------------------------------------------------------------------------------------
@either_way
def free_quote(desk: Any) -> int:
    """Cash not locked, in units."""
    return desk.books.cash - desk.books.locked_quote  # type: ignore[no-any-return]


@either_way
def lock(desk: Any, rules: Any, order: Any, needed: int) -> bool:
    """Set aside what a spot order may spend (quote units of a buy, lots of a sell); False when it is missing.

    Orders of one group lock once: the first that trades ends the others.
    """
    books = desk.books
    already = 0
    if order.group != 0:
        for k in range(desk.count):
            other = desk.orders[desk.active[k]]
            if other.group == order.group and other.side == order.side and other.locked > already:
                already = other.locked
    extra = needed - already if needed > already else 0
    if order.side == BUY:
        if books.cash - books.locked_quote < extra:
            return False
        books.locked_quote += extra
    else:
        if lots_held(books, rules) - books.locked_lots < extra:
            return False
        books.locked_lots += extra
    order.locked = extra
    return True


@either_way
def unlock(desk: Any, order: Any) -> None:
    """Release what an order still holds; within a group it passes to an order that stays."""
    if order.locked == 0:
        return
    if order.group != 0:
        for k in range(desk.count):
            other = desk.orders[desk.active[k]]
            stays = other.group == order.group and other.side == order.side and other.handle != order.handle
            if stays and (other.status == RESTING or other.status == WAITING):
                other.locked += order.locked
                order.locked = 0
                return
    release(desk, order, order.locked)


@either_way
def release(desk: Any, order: Any, amount: int) -> None:
    """Give back part of what an order holds."""
    amount = min(amount, order.locked)
    order.locked -= amount
    if order.side == BUY:
        desk.books.locked_quote -= amount
    else:
        desk.books.locked_lots -= amount


# --- fills -----------------------------------------------------------------------------------------------
@either_way
def fee_of(side: int, lots: int, value: int, maker: int, rules: Any) -> tuple[int, int]:
    """The fee of a fill as (base units, quote units), one of them zero; as `qtm.trading.costs.commission`."""
    rate = rules.maker if maker != 0 else rules.taker
    if rules.fee_in == FEE_IN_RECEIVED_ASSET and side == BUY and rate > 0:
        return share_of(lots * rules.step, rate), 0
    if rules.fee_in == FEE_IN_BNB and rate > 0:
        bnb = int(share_of(value, rate) * (UNITS / rules.bnb))
        while bnb * rules.bnb > share_of(value, rate) * UNITS:  # the float quotient may be one too high
            bnb -= 1
        while (bnb + 1) * rules.bnb <= share_of(value, rate) * UNITS:
            bnb += 1
        return 0, bnb * rules.bnb // UNITS
    return 0, share_of(value, rate)


@either_way
def book_fill(desk: Any, rules: Any, side: int, lots: int, ticks: int, maker: int) -> int:
    """Book a fill; answers with its fee in quote units."""
    books = desk.books
    value = value_of(lots, ticks, rules)
    fee_base, fee_quote = fee_of(side, lots, value, maker, rules)
    fee = fee_quote + fee_base * (ticks * rules.tick) // UNITS
    _move(books, side, lots * rules.step, value, fee_base, fee_quote)
    count_lots(books, rules)
    books.fees += fee
    books.traded += value
    return fee  # type: ignore[no-any-return]


@either_way
def _move(books: Any, side: int, base: int, value: int, fee_base: int, fee_quote: int) -> None:
    """Move base and quote, and the cost of what is held."""
    before = books.base
    books.cash += -side * value - fee_quote
    books.base += side * base - fee_base
    if before == 0 or (before > 0) == (side > 0):
        books.cost += side * value
        return
    held, moved = abs(before), base
    if moved < held:
        part = int(np.rint(books.cost * (moved / held)))
        books.realised += -side * value - part
        books.cost -= part
    else:
        left = moved - held
        closing = value if left == 0 else int(np.rint(value * (held / moved)))
        books.realised += -side * closing - books.cost
        books.cost = side * (value - closing)


# --- margin ----------------------------------------------------------------------------------------------
@either_way
def maintenance_of(notional: int, rules: Any) -> int:
    """Maintenance margin of a notional, in units, rounded up; brackets join, so the largest line is right."""
    needed = 0
    for at in range(rules.brackets):
        bracket = rules.bracket[at]
        line = share_of(notional, bracket.rate) + 1 - bracket.cum
        if (notional % UNITS) * bracket.rate % UNITS == 0:
            line -= 1
        if at == 0 or line > needed:
            needed = line
    return needed if notional > 0 else 0


@either_way
def leverage_of(notional: int, rules: Any) -> int:
    """The largest leverage for a notional: the account's or its bracket's."""
    allowed = rules.leverage
    for at in range(rules.brackets):
        if notional > rules.bracket[at].floor:
            allowed = min(rules.leverage, rules.bracket[at].leverage)
    return allowed  # type: ignore[no-any-return]


@either_way
def working_lots(desk: Any, side: int) -> int:
    """Lots of one side that may still enlarge the position; orders of one group count once."""
    total = 0
    for k in range(desk.count):
        order = desk.orders[desk.active[k]]
        if order.side != side or (order.flags & REDUCE_ONLY) != 0:
            continue
        if order.status != RESTING and order.status != WAITING:
            continue
        counted = False
        if order.group != 0:
            for j in range(k):
                other = desk.orders[desk.active[j]]
                counted = counted or (other.group == order.group and other.side == side)
        if not counted:
            total += order.left
    return total


@either_way
def is_carried(desk: Any, rules: Any, side: int, lots: int, ticks: int) -> bool:
    """True when equity carries the position that this order and all working ones of its side lead to."""
    if rules.leverage == 0:
        return True
    books = desk.books
    held = lots_held(books, rules)
    after = held * side + working_lots(desk, side) + lots
    if after <= abs(held) and held * side <= 0:
        return True  # it can only shrink the position
    mark = desk.mark_ticks if rules.marked and desk.mark_ticks != 0 else desk.last_ticks
    notional = value_of(max(after, 0), max(ticks, mark) if side == SELL else ticks, rules)
    allowed = leverage_of(notional, rules)
    needed = -(-notional // allowed)
    return needed <= equity_of(books, mark, rules)


@unit
def find_ruin(desk: Any, rules: Any) -> None:
    """Set the prices in ticks at which the position no longer covers its maintenance margin.

    Each bracket's line gives a price in floats; the tick is then found with whole units, so that the order of
    liquidation never hangs on a rounding.
    """
    books = desk.books
    books.ruin_low = books.ruin_high = 0
    if rules.leverage == 0 or books.base == 0:
        return
    long = books.base > 0
    qty = abs(float(books.base)) * rules.tick / UNITS  # units of quote per tick
    guess = 0.0
    for at in range(rules.brackets):
        rate, cum = rules.bracket[at].rate / UNITS, float(rules.bracket[at].cum)
        if long:
            guess = max(guess, -(books.cash + cum) / (qty * (1.0 - rate)))
        else:
            edge = max(0.0, (books.cash + cum) / (qty * (1.0 + rate)))
            guess = edge if at == 0 else min(guess, edge)
    ticks = int(guess)
    if long:
        while is_ruined(books, ticks + 1, rules):
            ticks += 1
        while ticks > 0 and not is_ruined(books, ticks, rules):
            ticks -= 1
        books.ruin_low = ticks
    else:
        ticks = max(ticks, 1)
        while ticks > 1 and is_ruined(books, ticks - 1, rules):
            ticks -= 1
        while not is_ruined(books, ticks, rules):
            ticks += 1
        books.ruin_high = ticks


@either_way
def is_ruined(books: Any, ticks: int, rules: Any) -> bool:
    """True when equity at a price is below the maintenance margin of the position."""
    value = value_held(books, ticks, rules)
    return books.cash + value < maintenance_of(abs(value), rules)  # type: ignore[no-any-return]


@either_way
def mark_account(desk: Any, rules: Any) -> None:
    """Bring what the strategy sees of its account up to date."""
    books, account = desk.books, desk.account
    ticks = desk.last_ticks
    account.lots = lots_held(books, rules)
    account.qty = books.base / UNITS
    account.cash = books.cash / UNITS
    account.free = (books.cash - books.locked_quote) / UNITS
    account.equity = equity_of(books, ticks, rules) / UNITS
    account.entry_price = books.cost / books.base if books.base != 0 else 0.0


@either_way
def roll_day(desk: Any, rules: Any, ts_ns: int) -> None:
    """Keep the peak of equity and its last value before 00:00 UTC, for the gate."""
    books = desk.books
    if desk.last_ticks == 0:
        return
    worth = equity_of(books, desk.last_ticks, rules)
    day = ts_ns // DAY_NS
    if day != books.day:
        books.day = day
        books.day_start = books.last_worth
    books.last_worth = worth
    if worth > books.peak:
        books.peak = worth
