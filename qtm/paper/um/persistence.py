"""Futures accounts, positions, orders, conditional orders, trades and income on disk.

Everything one event changed is committed in one transaction before its answer leaves. Open orders go back
into the book in the order they came; the market they meet may have moved on.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtm.paper.matching import BookOrder
from qtm.paper.state_file import StateFile
from qtm.paper.um.accounts import Income, MarginChange, SymbolSettings, UmAccount
from qtm.paper.um.orders import AlgoOrder, Amendment, NewUmOrder, UmOrder, UmTrade
from qtm.paper.um.positions import Position

if TYPE_CHECKING:
    from qtm.paper.um.venue import UmVenue

VERSION = 1

_SCHEMA = """
create table if not exists accounts (name text primary key, state text not null);
create table if not exists orders (id integer primary key, account text not null, state text not null);
create table if not exists algos (id integer primary key, account text not null, state text not null);
create table if not exists trades (
    account text not null, symbol text not null, id integer not null, order_id integer not null,
    state text not null,
    primary key (account, symbol, id, order_id)
);
create table if not exists income (id integer primary key, account text not null, state text not null);
"""

_SETTINGS = ("hedge", "multi_assets", "fee_burn", "maker", "taker", "uid", "update_us")
_ORDER_FIELDS = (*BookOrder.__slots__, *(name for name in UmOrder.__slots__ if name != "request"))
_COUNTERS = ("last_order_id", "last_algo_id", "last_amendment_id", "last_transaction")


class UmStore:
    """The state file of one futures venue (a `VenueStore`)."""

    def __init__(self, path: Path) -> None:
        self._file = StateFile(path, _SCHEMA, market="um", version=VERSION)
        self._accounts: set[str] = set()
        self._orders: dict[int, UmOrder] = {}
        self._algos: dict[int, AlgoOrder] = {}
        self._trades: list[tuple[str, UmTrade]] = []
        self._income: list[tuple[str, Income]] = []

    # --- what an event changes -----------------------------------------------------------------------------
    def note_account(self, account: UmAccount) -> None:
        """Remember that an account's wallets, positions or settings have changed."""
        self._accounts.add(account.name)

    def note_order(self, order: UmOrder, trade: UmTrade | None) -> None:
        """Remember an order's new state, and its fill."""
        self._accounts.add(order.account)
        self._orders[order.id] = order
        if trade is not None:
            self._trades.append((order.account, trade))

    def note_algo(self, order: AlgoOrder) -> None:
        """Remember a conditional order's new state."""
        self._accounts.add(order.account)
        self._algos[order.id] = order

    def note_income(self, account: UmAccount, entry: Income) -> None:
        """Remember an entry of the ledger."""
        self._accounts.add(account.name)
        self._income.append((account.name, entry))

    @property
    def pending(self) -> bool:
        """Whether anything waits to be written."""
        return bool(self._accounts)

    def commit(self, venue: UmVenue) -> None:
        """Write everything changed since the last commit, in one transaction."""
        db = self._file.db
        with db:
            db.executemany(
                "insert or replace into accounts values (?, ?)",
                [(name, json.dumps(_account_state(venue.accounts[name]))) for name in self._accounts],
            )
            db.executemany(
                "insert or replace into orders values (?, ?, ?)",
                [(o.id, o.account, json.dumps(_order_state(o))) for o in self._orders.values()],
            )
            db.executemany(
                "insert or replace into algos values (?, ?, ?)",
                [(o.id, o.account, json.dumps(asdict(o))) for o in self._algos.values()],
            )
            db.executemany(
                "insert or replace into trades values (?, ?, ?, ?, ?)",
                [(name, t.symbol, t.id, t.order_id, json.dumps(t)) for name, t in self._trades],
            )
            db.executemany(
                "insert or replace into income values (?, ?, ?)",
                [(entry.transaction, name, json.dumps(entry)) for name, entry in self._income],
            )
            self._file.put_meta(_venue_state(venue))
        for changed in (self._accounts, self._orders, self._algos, self._trades, self._income):
            changed.clear()

    # --- after a restart -----------------------------------------------------------------------------------
    def restore(self, venue: UmVenue) -> bool:
        """Bring a venue (with its symbols listed) to what the file says; False for an empty file."""
        meta, db = self._file.meta(), self._file.db
        if not meta:
            return False
        for name, text in db.execute("select name, state from accounts order by rowid"):
            _restore_account(venue.open_account(name), json.loads(text))
        _restore_venue(venue, meta)
        for name, text in db.execute("select account, state from trades order by rowid"):
            venue.accounts[name].trades.append(UmTrade(*json.loads(text)))
        for name, text in db.execute("select account, state from income order by id"):
            venue.accounts[name].income.append(Income(*json.loads(text)))
        for name, text in db.execute("select account, state from orders order by id"):
            _restore_order(venue, venue.accounts[name], json.loads(text))
        for name, text in db.execute("select account, state from algos order by id"):
            _restore_algo(venue, venue.accounts[name], json.loads(text))
        for symbol, market in venue.markets.items():
            venue.sweep_crossed(symbol, market.book)
            venue.conclude(symbol)
        return True

    def close(self) -> None:
        """Release the file."""
        self._file.close()


def _account_state(account: UmAccount) -> dict[str, Any]:
    return {
        **{name: getattr(account, name) for name in _SETTINGS},
        "wallets": account.wallets,
        "positions": [asdict(position) for position in account.positions.values()],
        "settings": {name: [s.leverage, s.isolated] for name, s in account.settings.items()},
        "amendments": list(account.amendments),
        "margin_changes": list(account.margin_changes),
    }


def _restore_account(account: UmAccount, state: dict[str, Any]) -> None:
    for name in _SETTINGS:
        setattr(account, name, state[name])
    account.wallets.update(state["wallets"])
    for row in state["positions"]:
        account.positions[row["symbol"], row["side"]] = Position(**row)
    for name, (leverage, isolated) in state["settings"].items():
        account.settings[name] = SymbolSettings(leverage, isolated)
    for row in state["amendments"]:
        number, symbol, order_id, client_id, time_us, before, after, count = row
        change = tuple(before), tuple(after)
        account.amendments.append(Amendment(number, symbol, order_id, client_id, time_us, *change, count))
    account.margin_changes.extend(MarginChange(*row) for row in state["margin_changes"])


def _order_state(order: UmOrder) -> dict[str, Any]:
    state = {name: getattr(order, name) for name in _ORDER_FIELDS}
    return {**state, "request": asdict(order.request)}


def _restore_order(venue: UmVenue, account: UmAccount, state: dict[str, Any]) -> None:
    order = UmOrder(state["id"], account.name, NewUmOrder(**state["request"]), state["time_us"])
    for name in _ORDER_FIELDS:
        setattr(order, name, state[name])
    account.orders[order.id] = order
    if not order.is_open:
        return
    account.open_orders[order.id] = order
    account.open_client_ids[order.client_id] = order
    if order.symbol in venue.markets:
        order.show()
        venue.markets[order.symbol].book.add(order.id, order, buy=order.buy)


def _restore_algo(venue: UmVenue, account: UmAccount, state: dict[str, Any]) -> None:
    order = AlgoOrder(**{**state, "request": NewUmOrder(**state["request"])})
    account.algos[order.id] = order
    if order.status == "NEW" and order.request.symbol in venue.markets:
        account.open_algos[order.id] = order


def _venue_state(venue: UmVenue) -> list[tuple[str, str]]:
    fund = venue.fund
    return [
        ("pots", json.dumps([[*key, amount] for key, amount in venue.treasury.pots.items()])),
        (
            "fund",
            json.dumps([fund.endowment, fund.cash, [asdict(p) for p in fund.positions.values()]]),
        ),
        ("counters", json.dumps([getattr(venue, name) for name in _COUNTERS])),
        ("trade_ids", json.dumps({name: market.next_trade_id for name, market in venue.markets.items()})),
    ]


def _restore_venue(venue: UmVenue, meta: dict[str, str]) -> None:
    for pot, asset, amount in json.loads(meta["pots"]):
        venue.treasury.pots[pot, asset] = amount
    fund = venue.fund
    fund.endowment, fund.cash, positions = json.loads(meta["fund"])
    fund.positions = {row["symbol"]: Position(**row) for row in positions}
    for name, value in zip(_COUNTERS, json.loads(meta["counters"]), strict=True):
        setattr(venue, name, value)
    for name, next_id in json.loads(meta["trade_ids"]).items():
        if name in venue.markets:
            venue.markets[name].next_trade_id = next_id
