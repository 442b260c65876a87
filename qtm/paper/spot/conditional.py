"""Stop-loss, take-profit and trailing orders: when they may be placed, what they follow, when they fire.

STOP_LOSS BUY and TAKE_PROFIT SELL wait above the market, the other two below. A trailing order waits for its
stop price (when it has one), then follows the best price since and fires when the last price comes back by
`trailing_delta` basis points.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtm.paper.errors import rejected
from qtm.paper.spot.orders import NewOrder, SpotOrder
from qtm.paper.spot.quoting import market_cost

if TYPE_CHECKING:
    from qtm.paper.spot.venue import SpotVenue
    from qtm.paper.venue import SymbolMarket

BASIS = 10_000


def waits_above(kind: str, buy: bool) -> bool:
    """Whether the trigger lies above the market."""
    return buy == kind.startswith("STOP_LOSS")


def refuse_immediate_trigger(market: SymbolMarket, request: NewOrder) -> None:
    """-2010 when the stop price has already been passed (a trailing order's stop price may be)."""
    if request.stop_price is None or not market.trigger_price or request.trailing_delta is not None:
        return
    if _passed(request.stop_price, market.trigger_price, above=waits_above(request.type, request.buy)):
        raise rejected("Order would trigger immediately.")


def start(market: SymbolMarket, order: SpotOrder) -> None:
    """Begin to wait; a trailing order without a stop price follows from now."""
    if order.trailing_delta is not None and not order.stop_price:
        order.trailing_time_us = order.time_us
        order.trailing_extreme = market.last_price


def trigger(venue: SpotVenue, symbol: str) -> None:
    """Fire what the last price has reached, and what those executions reach in turn."""
    market = venue.markets[symbol]
    waiting = venue.stops[symbol]
    while waiting:
        fired = [
            order for order in waiting.values() if _fires(order, market.trigger_price, venue.clock.now_us())
        ]
        if not fired:
            return
        for order in fired:
            if waiting.pop(order.id, None) is not None:
                _fire(venue, order)


def _fires(order: SpotOrder, last: int, now_us: int) -> bool:
    if not last:
        return False
    above = waits_above(order.type, order.buy)
    if order.trailing_delta is None:
        return _passed(order.stop_price, last, above=above)
    if not order.trailing_time_us:
        # The activation price is approached from the side opposite to the trigger's direction.
        if (last <= order.stop_price) if above else (last >= order.stop_price):
            order.trailing_time_us = now_us
            order.trailing_extreme = last
        return False
    if above:
        order.trailing_extreme = min(order.trailing_extreme, last)
        return last * BASIS >= order.trailing_extreme * (BASIS + order.trailing_delta)
    order.trailing_extreme = max(order.trailing_extreme, last)
    return last * BASIS <= order.trailing_extreme * (BASIS - order.trailing_delta)


def _fire(venue: SpotVenue, order: SpotOrder) -> None:
    account = venue.accounts[order.account]
    venue.lists.before_trigger(order)
    order.working = True
    order.working_us = order.update_us = venue.clock.now_us()
    venue.report(account, order, "NEW")
    if order.buy and order.type in ("STOP_LOSS", "TAKE_PROFIT"):
        _fund_market_buy(venue, order)
    venue.work(account, order)


def _fund_market_buy(venue: SpotVenue, order: SpotOrder) -> None:
    """A market buy that fires above its stop price needs more than it locked: take it from free, if there."""
    account = venue.accounts[order.account]
    asset = venue.symbols[order.symbol].quote
    needed = market_cost(venue, order)
    short = needed - order.locked
    if short > 0:
        extra = min(short, account.balance(asset).free)
        account.lock(asset, extra)
        order.locked += extra
        if extra < short:
            step = (venue.symbols[order.symbol].filter("LOT_SIZE") or {}).get("stepSize", 1) or 1
            affordable = order.remaining * order.locked // needed // step * step
            order.qty = order.executed + order.prevented_qty + affordable


def _passed(stop: int, last: int, *, above: bool) -> bool:
    return last >= stop if above else last <= stop
