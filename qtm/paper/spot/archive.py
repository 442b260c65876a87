"""Closed orders and trades that have left memory, in a temporary database on disk that SQLite deletes itself.

The venue answers for an account's whole history; keeping a million orders in memory would cost a gigabyte.
Whatever `qtm.paper.spot.history` pushes out is written here in small batches (no batch holds up an order) and
read back when a query reaches that far.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from qtm.paper.spot.order_records import order_of, record_of
from qtm.paper.spot.orders import SpotOrder, SpotTrade

CACHE_KIB = 8_192

_SCHEMA = """
create table orders (
    account text, symbol text, id integer, client_id text, time_us integer, record blob,
    primary key (account, symbol, id)
) without rowid;
create index orders_by_client on orders (account, symbol, client_id);
create table trades (
    account text, symbol text, id integer, order_id integer, time_us integer, record blob,
    primary key (account, symbol, id, order_id)
) without rowid;
create index trades_by_order on trades (account, symbol, order_id);
"""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a history is wanted; bounds are inclusive, times in microseconds.

    `oldest_first` takes the first `limit` within the bounds, otherwise the newest ones; either way the answer
    is in ascending order.
    """

    limit: int
    oldest_first: bool
    from_id: int | None = None
    order_id: int | None = None
    start_us: int | None = None
    end_us: int | None = None

    def holds(self, number: int, order_id: int, time_us: int) -> bool:
        """Whether something with these values lies within the bounds."""
        return (
            (self.from_id is None or number >= self.from_id)
            and (self.order_id is None or order_id == self.order_id)
            and (self.start_us is None or time_us >= self.start_us)
            and (self.end_us is None or time_us <= self.end_us)
        )

    def cut(self, rows: list[Any]) -> list[Any]:
        """The part of ascending rows that the page shows."""
        return rows[: self.limit] if self.oldest_first else rows[-self.limit :]


class OrderArchive:
    """What one venue's accounts have closed long ago."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("")
        self._db.execute("pragma journal_mode = off")
        self._db.execute("pragma synchronous = off")
        self._db.execute(f"pragma cache_size = -{CACHE_KIB}")
        self._db.executescript(_SCHEMA)

    def add_orders(self, orders: Sequence[SpotOrder]) -> None:
        """Keep closed orders."""
        with self._db:
            self._db.executemany(
                "insert or replace into orders values (?, ?, ?, ?, ?, ?)",
                [
                    (o.account, o.symbol, o.id, o.client_id, o.time_us, orjson.dumps(record_of(o)))
                    for o in orders
                ],
            )

    def add_trades(self, account: str, symbol: str, trades: Sequence[SpotTrade]) -> None:
        """Keep trades of an account."""
        with self._db:
            self._db.executemany(
                "insert or replace into trades values (?, ?, ?, ?, ?, ?)",
                [
                    (account, symbol, trade.id, trade.order_id, trade.time_us, orjson.dumps(list(trade)))
                    for trade in trades
                ],
            )

    def order(
        self, account: str, symbol: str, order_id: int | None, client_id: str | None
    ) -> SpotOrder | None:
        """An order by id, or the newest with a client id."""
        by, key = ("id", order_id) if order_id is not None else ("client_id", client_id)
        row = self._db.execute(
            f"select record from orders where account = ? and symbol = ? and {by} = ? "
            "order by id desc limit 1",
            (account, symbol, key),
        ).fetchone()
        return None if row is None else order_of(account, orjson.loads(row[0]))

    def orders(self, account: str, symbol: str, page: Page) -> list[SpotOrder]:
        """A page of orders, ascending by id."""
        return [order_of(account, record) for record in self._page("orders", account, symbol, page)]

    def trades(self, account: str, symbol: str, page: Page) -> list[SpotTrade]:
        """A page of trades, ascending by id."""
        return [SpotTrade(*record) for record in self._page("trades", account, symbol, page)]

    def close(self) -> None:
        """Let go of the disk space."""
        self._db.close()

    def _page(self, table: str, account: str, symbol: str, page: Page) -> list[Any]:
        bounds: list[tuple[str, object]] = [("account = ?", account), ("symbol = ?", symbol)]
        for condition, value in (
            ("id >= ?", page.from_id),
            ("time_us >= ?", page.start_us),
            ("time_us <= ?", page.end_us),
        ):
            if value is not None:
                bounds.append((condition, value))
        if page.order_id is not None:
            bounds.append(("order_id = ?", page.order_id))
        where = " and ".join(condition for condition, _ in bounds)
        order = "asc" if page.oldest_first else "desc"
        rows = self._db.execute(
            f"select record from {table} where {where} order by id {order} limit ?",
            (*(value for _, value in bounds), page.limit),
        ).fetchall()
        found = [orjson.loads(row[0]) for row in rows]
        return found if page.oldest_first else found[::-1]
