"""An account's orders and trades on one symbol: the recent ones in memory, older ones in the archive."""

from __future__ import annotations

from collections import deque

from qtm.paper.errors import archived_order, client_id_mismatch, no_such_order
from qtm.paper.spot.archive import OrderArchive, Page
from qtm.paper.spot.orders import PreventedMatch, SpotOrder, SpotTrade

KEPT = 5_000
"""Closed orders, trades, allocations and prevented matches kept in memory per account and symbol."""

BATCH = 32
"""How many leave memory at once."""

ARCHIVED_AFTER_US = 90 * 86_400_000_000
"""When the venue stops showing an order that ended without a fill."""


class SymbolHistory:
    """Orders by id and by client id, trades in the order they happened."""

    def __init__(self, account: str, symbol: str, archive: OrderArchive) -> None:
        self.account = account
        self.symbol = symbol
        self.orders: dict[int, SpotOrder] = {}
        self.by_client_id: dict[str, SpotOrder] = {}
        self.trades: deque[SpotTrade] = deque()
        self.allocations: deque[SpotTrade] = deque(maxlen=KEPT)
        self.prevented: deque[PreventedMatch] = deque(maxlen=KEPT)
        self._archive = archive
        self._archived = 0
        self._closed: deque[SpotOrder] = deque()

    def add(self, order: SpotOrder) -> None:
        """A new order."""
        self.orders[order.id] = order
        self.by_client_id[order.client_id] = order

    def note(self, trade: SpotTrade) -> None:
        """Keep a trade, or an allocation."""
        if trade.allocation_id >= 0:
            self.allocations.append(trade)
            return
        self.trades.append(trade)
        if len(self.trades) >= KEPT + BATCH:
            oldest = [self.trades.popleft() for _ in range(BATCH)]
            self._archive.add_trades(self.account, self.symbol, oldest)

    def close(self, order: SpotOrder) -> None:
        """Note that an order is closed; the ones closed longest ago go to the archive."""
        self._closed.append(order)
        if len(self._closed) < KEPT + BATCH:
            return
        oldest = [self._closed.popleft() for _ in range(BATCH)]
        self._archive.add_orders(oldest)
        self._archived += BATCH
        for old in oldest:
            del self.orders[old.id]
            if self.by_client_id.get(old.client_id) is old:
                del self.by_client_id[old.client_id]

    def find(self, order_id: int | None, client_id: str | None, now_us: int) -> SpotOrder:
        """An order by id, or by client id; both must fit when both are given.

        Raises
        ------
        ApiError
            -2013 when there is none, -2039 when the ids belong to different orders, -2026 when it ended
            without a fill more than 90 days ago.
        """
        by_client = self.by_client_id.get(client_id or "")
        order = self.orders.get(order_id) if order_id is not None else by_client
        if order is None and self._archived:
            order = self._archive.order(self.account, self.symbol, order_id, client_id)
        if order is None:
            raise no_such_order()
        if order_id is not None and client_id is not None and order.client_id != client_id:
            raise client_id_mismatch()
        if not order.is_open and not order.executed and now_us - order.update_us > ARCHIVED_AFTER_US:
            raise archived_order()
        return order

    def page_of_orders(self, page: Page) -> list[SpotOrder]:
        """Orders within the page's bounds, ascending by id."""
        recent = [order for order in self.orders.values() if page.holds(order.id, order.id, order.time_us)]
        older = self._archive.orders(self.account, self.symbol, page) if self._archived else []
        return page.cut(sorted([*older, *recent], key=lambda order: order.id))

    def page_of_trades(self, page: Page) -> list[SpotTrade]:
        """Trades within the page's bounds, in the order they happened."""
        recent = [trade for trade in self.trades if page.holds(trade.id, trade.order_id, trade.time_us)]
        if not page.oldest_first and len(recent) >= page.limit:
            return page.cut(recent)
        return page.cut([*self._archive.trades(self.account, self.symbol, page), *recent])
