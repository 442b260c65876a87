"""Smart order routing: an order takes the best prices of every book with the same base and an equal quote.

What it takes reaches the account as allocations, not trades: the venue trades on its behalf and hands over at
the same prices, in the quote asset of the symbol the order named. Quotes are equal when they are coins of one
currency. What is left of a GTC limit order rests in its own book. Source: Binance, "Smart Order Routing FAQ".
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from qtm.paper.errors import ApiError
from qtm.paper.matching import BookOrder
from qtm.paper.spot import settlement
from qtm.paper.spot.orders import SpotOrder

if TYPE_CHECKING:
    from qtm.paper.spot.symbols import SpotSymbol
    from qtm.paper.spot.venue import SpotVenue

EQUAL_QUOTES = frozenset({"USDT", "USDC", "FDUSD", "TUSD", "USDP"})
"""Dollar coins, exchanged one to one."""


def configurations(symbols: Iterable[SpotSymbol]) -> list[dict[str, object]]:
    """The `sors` of exchangeInfo: base assets with more than one book in dollar coins."""
    by_base: dict[str, list[str]] = {}
    for symbol in symbols:
        if symbol.quote in EQUAL_QUOTES:
            by_base.setdefault(symbol.base, []).append(symbol.instrument.symbol)
    return [{"baseAsset": base, "symbols": names} for base, names in by_base.items() if len(names) > 1]


def routed_symbols(venue: SpotVenue, symbol: str) -> list[str]:
    """The books an order on `symbol` may take from, its own first; empty when nothing is routed there."""
    listing = venue.symbols[symbol]
    if listing.quote not in EQUAL_QUOTES:
        return []
    others = [
        name
        for name, other in venue.symbols.items()
        if other.base == listing.base
        and other.quote in EQUAL_QUOTES
        and name != symbol
        and venue.markets[name].status == "TRADING"
    ]
    return [symbol, *others] if others else []


def require_routing(venue: SpotVenue, symbol: str) -> None:
    """-1013 when no books are routed together with the symbol's."""
    if not routed_symbols(venue, symbol):
        raise ApiError(-1013, "SOR orders are not supported for this symbol.")


def offers(venue: SpotVenue, order: SpotOrder) -> Iterator[tuple[int, int, str]]:
    """(price, quantity, symbol) an order could take in all its books, best first, at equal prices at home."""
    own_count = order.stp in ("", "NONE")
    sign = 1 if order.buy else -1

    def of(rank: int, name: str) -> Iterator[tuple[int, int, int, str]]:
        side = venue.markets[name].book.opposite(buy=order.buy)
        for price in side.prices():
            level = side.levels[price]
            theirs = sum(
                resting.remaining
                for resting in level.orders.values()
                if isinstance(resting, BookOrder) and (own_count or resting.account != order.account)
            )
            yield price * sign, rank, level.external + theirs, name

    books = [of(rank, name) for rank, name in enumerate(routed_symbols(venue, order.symbol))]
    for key, _, quantity, name in heapq.merge(*books):
        yield key * sign, quantity, name


def route(venue: SpotVenue, order: SpotOrder, limit: int | None) -> None:
    """Take the best prices of all books up to `limit` (None: any price)."""
    names = routed_symbols(venue, order.symbol)
    touched: set[str] = set()
    while order.remaining > 0 and order.id in venue.accounts[order.account].open_orders:
        name = _best(venue, order, names, limit)
        if name is None:
            break
        touched.add(name)
        if not _take(venue, order, name):
            break
    for name in touched - {order.symbol}:
        venue.conclude(name)


def _best(venue: SpotVenue, order: SpotOrder, names: list[str], limit: int | None) -> str | None:
    """The book with the best price within the limit; the order's own where prices are equal."""
    found: tuple[int, int] | None = None
    for rank, name in enumerate(names):
        side = venue.markets[name].book.opposite(buy=order.buy)
        best = side.best()
        if best is not None and side.reaches(best[0], limit):
            key = (best[0] * side.sign, rank)
            found = key if found is None else min(found, key)
    return None if found is None else names[found[1]]


def _take(venue: SpotVenue, order: SpotOrder, name: str) -> bool:
    """Take what stands first in a book; False when the order must not go on."""
    book = venue.markets[name].book
    side = book.opposite(buy=order.buy)
    best = side.best()
    assert best is not None
    price, level = best
    resting, available = level.front()
    maker = resting if isinstance(resting, SpotOrder) else None
    if maker is not None and maker.account == order.account and order.stp not in ("", "NONE"):
        return venue.prevent_self_trade(name, order, maker)
    qty = min(order.remaining, available)
    if maker is None:
        level.consume(qty)
        side.prune(price)
    book.update_id += 1
    venue.settle(name, None, maker, price, qty, taker_buys=order.buy)
    venue.last_allocation_id += 1
    order.working_floor = "SOR"
    settlement.fill(venue, order, price, qty, is_maker=False, allocation_id=venue.last_allocation_id)
    if maker is not None:
        venue.after_resting_fill(name, book, side, maker, qty)
    return True
