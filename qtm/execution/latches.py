"""Kill latches: on disk before anything is cancelled, released only by a person.

A kill is held twice. A small file beside the store works whatever the database does: a stream that hangs in
the middle of a transaction must not be able to keep its own kill out. The row in the store is the record,
and reaches processes on other machines. Either one blocks.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, insert, select, update

from qtm.clock import Clock
from qtm.errors import StoreError
from qtm.risk.gate import Latch
from qtm.store.database import Database
from qtm.store.schema import kills

SCOPES = ("firm", "strategy", "symbol")


@dataclass(frozen=True)
class LatchBoard:
    """The kills of one account: files in `folder`, rows in `database`."""

    database: Database
    account: str
    folder: Path
    clock: Clock

    def in_force(self, connection: Connection) -> list[Latch]:
        """Every kill that blocks, read inside the caller's transaction."""
        ours = (kills.c.account == self.account, kills.c.released_ns.is_(None))
        rows = connection.execute(select(kills.c.scope, kills.c.target).where(*ours))
        return [*(Latch(row.scope, row.target) for row in rows), *self.on_file()]

    def on_file(self) -> list[Latch]:
        """Kills held by files; a file that cannot be read blocks everything."""
        if not self.folder.is_dir():
            return []
        return [_read(file) for file in self.folder.glob(f"{self.account}.*.kill")]

    def hold(self, latch: Latch, *, actor: str, reason: str) -> Path:
        """Write a kill's file and force it to disk; from here on nothing of its scope is sent."""
        path = self.folder / f"{self.account}.{self.clock.now_ns()}.kill"
        words = {"scope": latch.scope, "target": latch.target, "actor": actor, "reason": reason}
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            with partial.open("w") as file:
                file.write(json.dumps(words))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise StoreError(f"the kill cannot be written: {error.strerror}", where=str(path)) from error
        return path

    def record(self, latch: Latch, *, actor: str, reason: str, latched_ns: int) -> int:
        """Write a kill's row; returns its id."""
        row = {
            "account": self.account,
            "scope": latch.scope,
            "target": latch.target,
            "actor": actor,
            "reason": reason,
            "latched_ns": latched_ns,
        }
        with self.database.write() as connection:
            key = connection.execute(insert(kills).values(row)).inserted_primary_key
        if key is None:
            raise RuntimeError("the database gave the kill no id")
        return int(key[0])

    def release(self, *, actor: str) -> int:
        """A person re-arms: lift every kill of the account; returns how many rows and files were in force."""
        values = {"released_ns": self.clock.now_ns(), "released_by": actor}
        with self.database.write() as connection:
            ours = update(kills).where(kills.c.account == self.account, kills.c.released_ns.is_(None))
            rows = int(connection.execute(ours.values(values)).rowcount)
        files = list(self.folder.glob(f"{self.account}.*.kill"))
        for file in files:
            file.unlink()
        return max(rows, len(files))


def _read(path: Path) -> Latch:
    try:
        words = json.loads(path.read_text())
        return Latch(str(words["scope"]), str(words["target"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Latch("firm", "")
