"""Kill latches in the store: committed before anything is cancelled, released only by a person."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from qtm.clock import Clock
from qtm.risk.gate import Latch
from qtm.store.database import Database
from qtm.store.schema import kills

SCOPES = ("firm", "strategy", "symbol")


def read_latches(connection: Connection, account: str) -> list[Latch]:
    """The kills in force for an account."""
    query = select(kills.c.scope, kills.c.target).where(
        kills.c.account == account, kills.c.released_ns.is_(None)
    )
    return [Latch(row.scope, row.target) for row in connection.execute(query)]


def latch(
    database: Database, clock: Clock, account: str, *, scope: str, target: str, actor: str, reason: str
) -> int:
    """Commit a kill; every order that has not started to be sent is stopped from here on. Returns its id."""
    with database.write() as connection:
        row = {
            "account": account,
            "scope": scope,
            "target": target,
            "actor": actor,
            "reason": reason,
            "latched_ns": clock.now_ns(),
        }
        key = connection.execute(insert(kills).values(row)).inserted_primary_key
    if key is None:
        raise RuntimeError("the database gave the kill no id")
    return int(key[0])


def release(database: Database, clock: Clock, account: str, *, actor: str) -> int:
    """A person re-arms: release every kill of the account; returns how many were in force."""
    values = {"released_ns": clock.now_ns(), "released_by": actor}
    with database.write() as connection:
        rows = update(kills).where(kills.c.account == account, kills.c.released_ns.is_(None)).values(values)
        return int(connection.execute(rows).rowcount)
