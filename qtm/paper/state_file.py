"""The SQLite file behind a venue that goes on after a restart: opening, versions, what is kept."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from qtm.errors import StoreError

_META = "create table if not exists meta (name text primary key, value text not null);"


class StateFile:
    """An opened state file; `schema` creates the market's own tables.

    Raises
    ------
    StoreError
        When the file cannot be opened, or was written by another version or market.
    """

    def __init__(self, path: Path, schema: str, *, market: str, version: int) -> None:
        self.path = path
        self._stamp = [("market", market), ("version", str(version))]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.db = sqlite3.connect(path)
            self.db.execute("pragma journal_mode = wal")
            self.db.execute("pragma synchronous = normal")
            self.db.executescript(_META + schema)
            found = self.meta()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(
                f"the paper exchange's state cannot be opened: {error}",
                where=str(path),
                remedy="give another file with --state, or delete this one",
            ) from error
        if found and (found.get("market", market), found.get("version")) != (market, str(version)):
            raise StoreError(
                f"the state was written by version {found.get('version')} of "
                f"the {found.get('market', market)} market",
                where=str(path),
                remedy="start with another file",
            )

    def meta(self) -> dict[str, str]:
        """Everything kept under a name; empty for a new file."""
        return dict(self.db.execute("select name, value from meta"))

    def put_meta(self, rows: Iterable[tuple[str, str]]) -> None:
        """Keep texts under names (inside the caller's transaction)."""
        self.db.executemany("insert or replace into meta values (?, ?)", [*self._stamp, *rows])

    def close(self) -> None:
        """Release the file."""
        self.db.close()
