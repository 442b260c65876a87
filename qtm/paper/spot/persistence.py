"""Accounts, orders, lists and trades on disk (SQLite), so that a paper exchange can go on after a restart.

Everything one event changed is committed in one transaction before its answer leaves. Open orders go back
into the book in the order they came; the market they meet may have moved on.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtm.paper.spot.lists import OrderList
from qtm.paper.spot.order_records import order_of, record_of
from qtm.paper.spot.orders import STOP_TYPES, SpotOrder, SpotTrade
from qtm.paper.state_file import StateFile

if TYPE_CHECKING:
    from qtm.paper.spot.venue import SpotVenue

VERSION = 2

_SCHEMA = """
create table if not exists accounts (name text primary key, state text not null);
create table if not exists orders (id integer primary key, account text not null, state text not null);
create table if not exists trades (
    account text not null, symbol text not null, id integer not null, order_id integer not null,
    state text not null,
    primary key (account, symbol, id, order_id)
);
create table if not exists lists (id integer primary key, state text not null);
"""


class SpotStore:
    """The file behind one spot venue.

    Raises
    ------
    StoreError
        When the file cannot be opened or was written by another version.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._orders: dict[int, SpotOrder] = {}
        self._trades: list[tuple[str, str, SpotTrade]] = []
        self._file = StateFile(path, _SCHEMA, market="spot", version=VERSION)
        self._db = self._file.db

    def note(self, order: SpotOrder, trade: SpotTrade | None) -> None:
        """Remember what the running event changes."""
        self._orders[order.id] = order
        if trade is not None:
            self._trades.append((order.account, order.symbol, trade))

    @property
    def pending(self) -> bool:
        """Whether anything waits to be written."""
        return bool(self._orders)

    def commit(self, venue: SpotVenue) -> None:
        """Write everything changed since the last commit, in one transaction."""
        with self._db:
            self._db.executemany(
                "insert or replace into orders values (?, ?, ?)",
                [(o.id, o.account, json.dumps(record_of(o))) for o in self._orders.values()],
            )
            self._db.executemany(
                "insert or replace into trades values (?, ?, ?, ?, ?)",
                [(a, s, _key(t), t.order_id, json.dumps(t)) for a, s, t in self._trades],
            )
            touched = {order.list_id for order in self._orders.values() if order.list_id >= 0}
            self._db.executemany(
                "insert or replace into lists values (?, ?)",
                [
                    (i, json.dumps(_list_state(venue.lists.lists[i])))
                    for i in touched
                    if i in venue.lists.lists
                ],
            )
            self._db.executemany(
                "insert or replace into accounts values (?, ?)",
                [(name, json.dumps(_account_state(venue, name))) for name in venue.accounts],
            )
            self._file.put_meta(_meta(venue))
        self._orders.clear()
        self._trades.clear()

    def restore(self, venue: SpotVenue) -> bool:
        """Bring a venue (with its symbols listed) to what the file says; False for an empty file."""
        meta = self._file.meta()
        if not meta:
            return False
        for name, text in self._db.execute("select name, state from accounts"):
            _restore_account(venue, name, json.loads(text))
        _restore_meta(venue, meta)
        orders = {
            order_id: order_of(account, json.loads(text))
            for order_id, account, text in self._db.execute(
                "select id, account, state from orders order by id"
            )
        }
        for list_id, text in self._db.execute("select id, state from lists order by id"):
            _restore_list(venue, list_id, json.loads(text), orders)
        for order in orders.values():
            _enter(venue, order)
        for account, symbol, text in self._db.execute(
            "select account, symbol, state from trades order by rowid"
        ):
            venue.accounts[account].symbol(symbol).note(SpotTrade(*json.loads(text)))
        for symbol, market in venue.markets.items():
            venue.sweep_crossed(symbol, market.book)
            venue.conclude(symbol)
        return True

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def _key(trade: SpotTrade) -> int:
    """What tells a trade of an order from its others; allocations have no trade id and count downwards."""
    return trade.id if trade.allocation_id < 0 else -1 - trade.allocation_id


def _enter(venue: SpotVenue, order: SpotOrder) -> None:
    account = venue.accounts[order.account]
    history = account.symbol(order.symbol)
    history.add(order)
    history.prevented.extend(match for match in order.prevented if match.taker_order_id == order.id)
    if not order.is_open:
        history.close(order)
        return
    account.open_orders[order.id] = order
    account.open_client_ids[order.symbol, order.client_id] = order
    if order.symbol not in venue.markets or order.status == "PENDING_NEW":
        return
    if order.type in STOP_TYPES and not order.working:
        venue.stops[order.symbol][order.id] = order
    else:
        order.show()
        venue.markets[order.symbol].book.add(order.id, order, buy=order.buy)


def _list_state(group: OrderList) -> dict[str, Any]:
    return {
        "account": group.account, "symbol": group.symbol, "client_id": group.client_id,
        "contingency": group.contingency, "time_us": group.time_us, "status_type": group.status_type,
        "order_status": group.order_status, "working": group.working.id if group.working else None,
        "pending": [order.id for order in group.pending], "legs": [order.id for order in group.legs],
        "pays": group.pays,
    }  # fmt: skip


def _restore_list(
    venue: SpotVenue, list_id: int, state: dict[str, Any], orders: dict[int, SpotOrder]
) -> None:
    working = state.pop("working")
    pending, legs = state.pop("pending"), state.pop("legs")
    venue.lists.lists[list_id] = OrderList(
        id=list_id,
        working=None if working is None else orders[working],
        pending=[orders[i] for i in pending],
        legs=[orders[i] for i in legs],
        **state,
    )


def _account_state(venue: SpotVenue, name: str) -> dict[str, Any]:
    account = venue.accounts[name]
    return {
        "uid": account.uid,
        "fees": [account.fees.maker, account.fees.taker, account.fees.bnb_discount, account.fees.discount],
        "balances": {asset: [b.free, b.locked] for asset, b in account.balances.items()},
        "update_time_ms": account.update_time_ms,
    }


def _restore_account(venue: SpotVenue, name: str, state: dict[str, Any]) -> None:
    account = venue.open_account(name)
    account.uid = state["uid"]
    account.fees.maker, account.fees.taker, account.fees.bnb_discount, account.fees.discount = state["fees"]
    account.update_time_ms = state["update_time_ms"]
    for asset, (free, locked) in state["balances"].items():
        balance = account.balance(asset)
        balance.free, balance.locked = free, locked


def _meta(venue: SpotVenue) -> list[tuple[str, str]]:
    pots = venue.treasury
    return [
        ("treasury", json.dumps([pots.market, pots.fees, pots.deposited])),
        (
            "counters",
            json.dumps(
                [
                    venue.last_order_id,
                    venue.last_execution_id,
                    venue.last_prevented_id,
                    venue.last_allocation_id,
                    venue.lists.last_id,
                ]
            ),
        ),
        ("trade_ids", json.dumps({name: market.next_trade_id for name, market in venue.markets.items()})),
    ]


def _restore_meta(venue: SpotVenue, meta: dict[str, str]) -> None:
    pots = venue.treasury
    pots.market, pots.fees, pots.deposited = json.loads(meta["treasury"])
    (
        venue.last_order_id,
        venue.last_execution_id,
        venue.last_prevented_id,
        venue.last_allocation_id,
        venue.lists.last_id,
    ) = json.loads(meta["counters"])
    for name, next_id in json.loads(meta["trade_ids"]).items():
        if name in venue.markets:
            venue.markets[name].next_trade_id = next_id
