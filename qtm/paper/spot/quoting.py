"""What an order will cost: walking the book for market orders, sizing by quote amount, pegged prices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qtm.paper.errors import filter_failure, rejected
from qtm.paper.matching import BookOrder
from qtm.paper.spot import smart_routing
from qtm.paper.wire import E8

if TYPE_CHECKING:
    from qtm.paper.spot.orders import NewOrder, SpotOrder
    from qtm.paper.spot.venue import SpotVenue
    from qtm.paper.venue import SymbolMarket


def offers(venue: SpotVenue, order: SpotOrder) -> Iterator[tuple[int, int]]:
    """(price, quantity) the order could trade, best first.

    The account's own orders do not count when self-trade prevention will keep them apart.
    """
    if order.used_sor:
        yield from ((price, quantity) for price, quantity, _ in smart_routing.offers(venue, order))
        return
    side = venue.markets[order.symbol].book.opposite(buy=order.buy)
    own_count = order.stp in ("", "NONE")
    for price in side.prices():
        level = side.levels[price]
        yield (
            price,
            level.external
            + sum(
                resting.remaining
                for resting in level.orders.values()
                if isinstance(resting, BookOrder) and (own_count or resting.account != order.account)
            ),
        )


def market_cost(venue: SpotVenue, order: SpotOrder) -> int:
    """Quote units a market buy of what remains will spend at most on the present book."""
    left, cost = order.remaining, 0
    for price, available in offers(venue, order):
        take = min(left, available)
        cost += -(-price * take // E8)
        left -= take
        if left <= 0:
            break
    return cost


def size_market_order(venue: SpotVenue, order: SpotOrder) -> None:
    """Turn quoteOrderQty into a quantity: as much as the amount buys (or as must be sold for it), never more.

    Raises
    ------
    ApiError
        -2010 when the book is empty, -1013 LOT_SIZE when the amount buys less than the smallest quantity.
    """
    if not order.quote_qty:
        return
    symbol = venue.symbols[order.symbol]
    rule = symbol.filter("LOT_SIZE") or {"stepSize": 1, "minQty": 1}
    budget, qty = order.quote_qty, 0
    step = rule["stepSize"] or 1
    empty, exhausted = True, True
    for price, available in offers(venue, order):
        empty = False
        take = min(available, budget * E8 // price)
        qty += take
        budget -= -(-price * take // E8)
        if take < available:
            exhausted = False
            break
    if empty:
        raise rejected("Order book liquidity is less than symbol minimum quantity.")
    qty = qty // step * step
    if qty < rule["minQty"]:
        if exhausted:
            raise rejected("Order book liquidity is less than `LOT_SIZE` filter minimum quantity.")
        raise filter_failure("LOT_SIZE")
    order.qty = qty


def pegged_price(market: SymbolMarket, request: NewOrder) -> int:
    """The price a pegged order takes: the best price of its own side (PRIMARY_PEG) or of the other side."""
    own = (request.peg_type == "PRIMARY_PEG") == request.buy
    side = market.book.bids if own else market.book.asks
    prices = list(side.prices())
    level = request.peg_offset or 0
    if level >= len(prices):
        raise rejected("Order book liquidity is too low for this pegged order.")
    return prices[level]
