"""Self-trade prevention: what happens instead of a trade between two orders of one account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtm.paper.spot.orders import PreventedMatch, SpotOrder
from qtm.paper.wire import E8, text_of

if TYPE_CHECKING:
    from qtm.paper.spot.venue import SpotVenue

TRADE_GROUP = 1


def prevent(venue: SpotVenue, taker: SpotOrder, maker: SpotOrder) -> bool:
    """Apply the taker's mode to both orders; True when the taker may go on matching.

    TRANSFER between orders of the same account acts as DECREMENT.
    """
    account = venue.accounts[taker.account]
    qty = min(taker.remaining, maker.remaining)
    venue.last_prevented_id += 1
    match = PreventedMatch(
        venue.last_prevented_id, taker.id, maker.id, TRADE_GROUP, taker.stp, maker.price,
        maker.remaining, taker.remaining, venue.clock.now_us(), maker.symbol,
    )  # fmt: skip
    account.symbol(taker.symbol).prevented.append(match)
    mode = taker.stp
    decrement = mode in ("DECREMENT", "TRANSFER")
    ends_maker = mode in ("EXPIRE_MAKER", "EXPIRE_BOTH") or (decrement and maker.remaining == qty)
    ends_taker = mode in ("EXPIRE_TAKER", "EXPIRE_BOTH") or (decrement and taker.remaining == qty)
    for order, other, ends in ((maker, taker, ends_maker), (taker, maker, ends_taker)):
        if ends or decrement:
            _prevented(venue, order, other, match, qty if decrement else order.remaining, ends=ends)
    return not ends_taker


def _prevented(
    venue: SpotVenue, order: SpotOrder, other: SpotOrder, match: PreventedMatch, qty: int, *, ends: bool
) -> None:
    account = venue.accounts[order.account]
    resting = order.id == match.maker_order_id
    if resting and ends:
        venue.leave_book(order)
    order.prevented_id = match.id
    order.trade_group_id = TRADE_GROUP
    order.prevented.append(match)
    if match.mode in ("DECREMENT", "TRANSFER"):
        order.prevented_qty += qty
    order.update_us = match.time_us
    if ends:
        order.status = "EXPIRED_IN_MATCH"
    venue.report(
        account, order, "TRADE_PREVENTION",
        A=text_of(order.prevented_qty or qty), B=text_of(qty), U=other.id, Cs=other.symbol,
        pl=text_of(qty), pL=text_of(match.price), pY=text_of(match.price * qty // E8),
    )  # fmt: skip
    if ends:
        venue.close(account, order)
    elif resting:
        order.show()
        venue.markets[order.symbol].book.side(buy=order.buy).touched.add(order.book_price)
    if not ends and order.buy and order.price:
        surplus = order.locked - -(-order.price * order.remaining // E8)
        if surplus > 0:
            account.unlock(venue.symbols[order.symbol].quote, surplus)
            order.locked -= surplus
    elif not ends and not order.buy and order.locked > order.remaining:
        account.unlock(venue.symbols[order.symbol].base, order.locked - order.remaining)
        order.locked = order.remaining
