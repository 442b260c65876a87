"""What an order will cost: walking the book for market orders, pegged prices, commissions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from qtm.paper.errors import filter_failure, rejected
from qtm.paper.matching import BookOrder
from qtm.paper.wire import E8

if TYPE_CHECKING:
    from qtm.paper.spot.accounts import SpotAccount
    from qtm.paper.spot.orders import NewOrder, SpotOrder
    from qtm.paper.spot.symbols import SpotSymbol
    from qtm.paper.spot.venue import SpotVenue
    from qtm.paper.venue import SymbolMarket


def offers(venue: SpotVenue, order: SpotOrder) -> Iterator[tuple[int, int]]:
    """(price, quantity) the order could trade, best first.

    The account's own orders do not count when self-trade prevention will keep them apart.
    """
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
    empty = True
    for price, available in offers(venue, order):
        empty = False
        take = min(available, budget * E8 // price)
        qty += take
        budget -= -(-price * take // E8)
        if take < available:
            break
    if empty:
        raise rejected("Order book liquidity is less than symbol minimum quantity.")
    qty = qty // step * step
    if qty < rule["minQty"]:
        raise filter_failure("LOT_SIZE")
    order.qty = qty


def pegged_price(market: SymbolMarket, request: NewOrder) -> int:
    """The price a pegged order takes: the best price of its own side (PRIMARY_PEG) or of the other side."""
    own = (request.peg_type == "PRIMARY_PEG") == request.buy
    side = market.book.bids if own else market.book.asks
    prices = list(side.prices())
    level = request.peg_offset or 0
    if level >= len(prices):
        raise rejected("Order book liquidity is not sufficient for the pegged price.")
    return prices[level]


def commission(
    venue: SpotVenue,
    account: SpotAccount,
    symbol: SpotSymbol,
    buy: bool,
    got: int,
    quote: int,
    *,
    is_maker: bool,
) -> tuple[str, int]:
    """Commission asset and units of a fill.

    Taken from the asset received and truncated, or in BNB at a discount when the account chose that and holds
    enough of it.
    """
    fees = account.fees
    rate = fees.maker if is_maker else fees.taker
    received = symbol.base if buy else symbol.quote
    if fees.bnb_discount and rate:
        value = _in_bnb(venue, symbol.quote, quote)
        if value is not None:
            fee = value * rate // E8 * fees.discount // E8
            if received != "BNB" and account.balance("BNB").free >= fee:
                return "BNB", fee
            if received == "BNB":
                return "BNB", got * rate // E8 * fees.discount // E8
    return received, got * rate // E8


def _in_bnb(venue: SpotVenue, quote_asset: str, units: int) -> int | None:
    """Quote units valued in BNB at the last price, None without a market for it."""
    if quote_asset == "BNB":
        return units
    market = venue.markets.get(f"BNB{quote_asset}")
    if market is None or not market.last_price:
        return None
    return units * E8 // market.last_price
