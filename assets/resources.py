"""What an asset may ask for: lake, history, operational store, report folder. `pipelines` binds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
from sqlalchemy import Connection, make_url

from qtm.market.choose import ChosenSource, choose_source
from qtm.market.lake import Lake
from qtm.settings import settings
from qtm.store.database import Database, open_database


class MarketLake(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The lake every dataset is read from and written to."""

    uri: str

    def open(self) -> Lake:
        """The lake; nothing is touched until a dataset is read or written."""
        return Lake(self.uri)


class MarketHistory(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Where history comes from: Binance's archive, a mirror of it, or the synthetic market."""

    archive: str
    """An https URL or a folder in the archive's layout; `QTM_MARKET__ARCHIVE` sets it."""
    synthetic_seed: int

    @contextmanager
    def open(self) -> Iterator[ChosenSource]:
        """The first source that answers, with the reason in words; closed when the block ends."""
        market = settings().market.model_copy(
            update={"archive": self.archive, "synthetic_seed": self.synthetic_seed}
        )
        chosen = choose_source(settings().model_copy(update={"market": market}))
        try:
            yield chosen
        finally:
            chosen.source.close()


class ReportFolder(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The folder HTML reports are written to."""

    folder: str

    def path(self, *parts: str) -> Path:
        """A file below the folder, its parents made."""
        file = Path(self.folder, *parts)
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


class OperationalStore(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The operational database: orders, gate decisions, fills."""

    url: str = ""
    """Empty means the settings' database, so that a password never shows in Dagster's UI."""

    @property
    def effective_url(self) -> str:
        """The database in use, password and all: for opening it, never for showing."""
        return self.url or settings().database

    def exists(self) -> bool:
        """False while no stream has ever made the SQLite file; a server's database is always tried."""
        url = make_url(self.effective_url)
        return url.get_backend_name() != "sqlite" or Path(url.database or "").is_file()

    @contextmanager
    def database(self) -> Iterator[Database | None]:
        """The store, closed afterwards; None while no stream has ever made it."""
        if not self.exists():
            yield None
            return
        opened = open_database(self.effective_url)
        try:
            yield opened
        finally:
            opened.close()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A consistent view of the store, for reading."""
        database = open_database(self.effective_url)
        try:
            with database.read() as connection:
                yield connection
        finally:
            database.close()
