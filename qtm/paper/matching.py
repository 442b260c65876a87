"""Price-time matching against a book that holds the market's depth and the accounts' orders.

Three things make trades: an account's order that crosses (`match`), market depth that moves across resting
orders (`sweep_crossed`), and a print on the market's tape (`print_through`). A resting order is filled only
when the market trades through its price or everything ahead of it in the queue has gone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from qtm.paper.book import Book, BookSide


class BookOrder:
    """An account's order as the matching needs it; markets add their own fields in subclasses.

    Quantities and prices in 1e-8 units. `display` is what stands in the queue now (less than `remaining` only
    for icebergs).
    """

    __slots__ = (
        "account",
        "book_price",
        "buy",
        "display",
        "executed",
        "iceberg",
        "id",
        "price",
        "qty",
        "queue_mark",
        "stp",
    )

    def __init__(
        self, order_id: int, account: str, *, buy: bool, qty: int, price: int, stp: str, iceberg: int = 0
    ) -> None:
        self.id = order_id
        self.account = account
        self.buy = buy
        self.qty = qty
        self.price = price
        self.stp = stp
        self.iceberg = iceberg
        self.executed = 0
        self.display = 0
        self.book_price = price
        self.queue_mark = 0

    @property
    def remaining(self) -> int:
        """Quantity still to trade."""
        return self.qty - self.executed

    def show(self) -> None:
        """Set what the queue shows: everything, or the next slice of an iceberg."""
        self.display = min(self.iceberg, self.remaining) if self.iceberg else self.remaining


class Matcher(ABC):
    """The matching rules; a market supplies what a trade does to the accounts."""

    @abstractmethod
    def settle(
        self,
        symbol: str,
        taker: BookOrder | None,
        maker: BookOrder | None,
        price: int,
        qty: int,
        *,
        taker_buys: bool,
    ) -> None:
        """Book one trade; an absent party is the market. `executed` is updated here, not by the matcher."""

    @abstractmethod
    def prevent_self_trade(self, symbol: str, taker: BookOrder, maker: BookOrder) -> bool:
        """Apply the taker's self-trade prevention mode; True when the taker may go on matching."""

    @abstractmethod
    def complete(self, symbol: str, order: BookOrder) -> None:
        """A resting order is filled in full and has left the book."""

    def match(self, symbol: str, book: Book, taker: BookOrder, limit: int | None) -> None:
        """Trade `taker` against the opposite side up to `limit` (None: any price)."""
        side = book.opposite(buy=taker.buy)
        while taker.remaining > 0:
            best = side.best()
            if best is None or not side.reaches(best[0], limit):
                return
            price, level = best
            resting, available = level.front()
            maker = resting if isinstance(resting, BookOrder) else None
            if maker is not None and maker.account == taker.account and taker.stp not in ("", "NONE"):
                if not self.prevent_self_trade(symbol, taker, maker):
                    return
                continue
            qty = min(taker.remaining, available)
            if maker is None:
                level.consume(qty)
                side.prune(price)
            book.update_id += 1
            self.settle(symbol, taker, maker, price, qty, taker_buys=taker.buy)
            if maker is not None:
                self.after_resting_fill(symbol, book, side, maker, qty)

    def sweep_crossed(self, symbol: str, book: Book) -> bool:
        """Fill resting orders that new depth has reached, at their own prices; whether there was one."""
        first = book.update_id
        for buy in (True, False):
            mine, theirs = book.side(buy=buy), book.opposite(buy=buy)
            while True:
                best, against = mine.best(), self._best_external(theirs)
                if best is None or against is None or not theirs.reaches(against, best[0]):
                    break
                price, level = best
                resting = next(iter(level.orders.values()), None)
                if not isinstance(resting, BookOrder):
                    level.set_external(0)
                    mine.prune(price)
                    continue
                opposite = theirs.level(against)
                qty = min(resting.display, opposite.external)
                opposite.consume(qty)
                theirs.prune(against)
                book.update_id += 1
                self.settle(symbol, None, resting, price, qty, taker_buys=not buy)
                self.after_resting_fill(symbol, book, mine, resting, qty)
        return book.update_id != first

    def print_through(
        self, symbol: str, book: Book, price: int, qty: int, *, aggressor_buys: bool, strict: bool
    ) -> None:
        """Let a trade of the market reach resting orders: better prices first, then its own price.

        With `strict` the trade's own price does not count, because the queue there is unknown (bar replay).
        """
        side = book.opposite(buy=aggressor_buys)
        left = qty
        while left > 0:
            reached = self._first_with_orders(side, price, strict)
            if reached is None:
                return
            level = side.levels[reached]
            resting, available = level.front()
            take = min(left, available)
            left -= take
            book.update_id += 1
            if not isinstance(resting, BookOrder):
                level.consume(take)
                side.prune(reached)
                continue
            self.settle(symbol, None, resting, reached, take, taker_buys=aggressor_buys)
            self.after_resting_fill(symbol, book, side, resting, take)

    def available(self, book: Book, taker: BookOrder, limit: int | None, wanted: int) -> int:
        """How much of `wanted` could trade now without touching the account's own orders (for FOK)."""
        side = book.opposite(buy=taker.buy)
        found = 0
        for price in side.prices():
            if found >= wanted or not side.reaches(price, limit):
                break
            level = side.levels[price]
            found += level.external + sum(
                order.remaining
                for order in level.orders.values()
                if isinstance(order, BookOrder)
                and (order.account != taker.account or taker.stp in ("", "NONE"))
            )
        return min(found, wanted)

    def after_resting_fill(self, symbol: str, book: Book, side: BookSide, order: BookOrder, qty: int) -> None:
        """A resting order has been filled by `qty`: take its place away, show its next slice, or end it."""
        order.display -= qty
        if order.display > 0:
            side.touched.add(order.book_price)
            return
        book.remove(order.id, order, buy=order.buy)
        if order.remaining > 0:
            order.show()
            book.add(order.id, order, buy=order.buy)
        else:
            self.complete(symbol, order)

    @staticmethod
    def _best_external(side: BookSide) -> int | None:
        return next((price for price in side.prices() if side.levels[price].external), None)

    @staticmethod
    def _first_with_orders(side: BookSide, price: int, strict: bool) -> int | None:
        for candidate in side.prices():
            beyond = (price - candidate) * side.sign
            if beyond < 0 or (strict and beyond == 0):
                return None
            if side.levels[candidate].orders:
                return candidate
        return None
