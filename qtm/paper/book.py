"""The price-time book of one symbol: the market's own depth and the orders of the accounts, side by side.

External depth has no identity; an account's order remembers how much of it stands ahead in the queue. That
quantity shrinks when trades consume the level or the market withdraws, and only then is the order reached.
All prices and quantities are whole 1e-8 units.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from typing import Protocol


class Resting(Protocol):
    """What the book needs to know of an account's order."""

    book_price: int
    display: int
    """Quantity shown and executable before the order loses its place (all of it unless iceberg)."""
    queue_mark: int
    """The level's consumption counter at which everything ahead has gone."""


class Level:
    """One price: external quantity, and the accounts' orders in time order."""

    __slots__ = ("consumed", "external", "orders")

    def __init__(self) -> None:
        self.external = 0
        self.consumed = 0
        self.orders: dict[int, Resting] = {}

    @property
    def quantity(self) -> int:
        """Everything shown at the level."""
        if not self.orders:
            return self.external
        return self.external + sum(order.display for order in self.orders.values())

    def front(self) -> tuple[Resting | None, int]:
        """Who is next in the queue (None for the market) and how much of it can trade."""
        for order in self.orders.values():
            ahead = min(order.queue_mark - self.consumed, self.external)
            return (None, ahead) if ahead > 0 else (order, order.display)
        return None, self.external

    def set_external(self, quantity: int) -> None:
        """Replace the market's quantity; what it withdraws leaves from behind the accounts' orders first."""
        if quantity < self.external:
            for order in self.orders.values():
                order.queue_mark = min(order.queue_mark, self.consumed + quantity)
        self.external = quantity

    def consume(self, quantity: int) -> None:
        """Trade away market quantity at the front."""
        self.external -= quantity
        self.consumed += quantity


class BookSide:
    """One side, best price first. `sign` is +1 for asks and -1 for bids."""

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.levels: dict[int, Level] = {}
        self._keys: list[int] = []
        self.touched: set[int] = set()
        """Prices changed since the last depth update was published."""

    def best(self) -> tuple[int, Level] | None:
        """Best price and its level."""
        if not self._keys:
            return None
        price = self._keys[0] * self.sign
        return price, self.levels[price]

    def depth(self, limit: int) -> list[tuple[int, int]]:
        """The best `limit` (price, quantity) pairs."""
        return [(key * self.sign, self.levels[key * self.sign].quantity) for key in self._keys[:limit]]

    def prices(self) -> Iterator[int]:
        """All prices, best first."""
        return (key * self.sign for key in self._keys)

    def level(self, price: int) -> Level:
        """The level at `price`, made when missing."""
        level = self.levels.get(price)
        if level is None:
            level = self.levels[price] = Level()
            insort(self._keys, price * self.sign)
        return level

    def quantity(self, price: int) -> int:
        """What is shown at `price`."""
        level = self.levels.get(price)
        return level.quantity if level is not None else 0

    def prune(self, price: int) -> None:
        """Forget the level when nothing is left; note the change either way."""
        self.touched.add(price)
        level = self.levels[price]
        if not level.external and not level.orders:
            del self.levels[price]
            del self._keys[bisect_left(self._keys, price * self.sign)]

    def reaches(self, price: int, limit: int | None) -> bool:
        """Whether a taker with `limit` (None for a market order) may trade at `price`."""
        return limit is None or price * self.sign <= limit * self.sign

    def replace_external(self, levels: Iterable[tuple[int, int]]) -> None:
        """Make the market's depth exactly `levels`."""
        wanted = dict(levels)
        for price in [p for p, level in self.levels.items() if level.external and p not in wanted]:
            self.levels[price].set_external(0)
            self.prune(price)
        for price, quantity in wanted.items():
            level = self.level(price)
            if level.external != quantity:
                level.set_external(quantity)
                self.prune(price)

    def set_external(self, price: int, quantity: int) -> None:
        """Set the market's quantity at one price (0 removes it)."""
        if quantity or price in self.levels:
            self.level(price).set_external(quantity)
            self.prune(price)


class Book:
    """Both sides of one symbol."""

    def __init__(self) -> None:
        self.bids = BookSide(-1)
        self.asks = BookSide(+1)
        self.update_id = 1

    def side(self, *, buy: bool) -> BookSide:
        """Where a resting buy (or sell) lives."""
        return self.bids if buy else self.asks

    def opposite(self, *, buy: bool) -> BookSide:
        """What a buy (or sell) trades against."""
        return self.asks if buy else self.bids

    def add(self, order_id: int, order: Resting, *, buy: bool) -> None:
        """Put an order at the back of its price's queue."""
        side = self.side(buy=buy)
        level = side.level(order.book_price)
        order.queue_mark = level.consumed + level.external
        level.orders[order_id] = order
        side.touched.add(order.book_price)
        self.update_id += 1

    def remove(self, order_id: int, order: Resting, *, buy: bool) -> None:
        """Take an order out of its queue."""
        side = self.side(buy=buy)
        side.levels[order.book_price].orders.pop(order_id)
        side.prune(order.book_price)
        self.update_id += 1

    def mid(self) -> int | None:
        """The middle of the spread, None while a side is empty."""
        bid, ask = self.bids.best(), self.asks.best()
        return (bid[0] + ask[0]) // 2 if bid and ask else None

    def take_changes(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """(price, quantity) pairs changed since the last call, bids then asks, best first."""
        changed = []
        for side in (self.bids, self.asks):
            prices = sorted(side.touched, reverse=side.sign < 0)
            changed.append([(price, side.quantity(price)) for price in prices])
            side.touched.clear()
        return changed[0], changed[1]
