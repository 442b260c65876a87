"""Open the operational database: SQLite beside the process by default, PostgreSQL by its URL.

SQLite runs in WAL mode with `synchronous=FULL`: a committed order intent survives a power cut. Writers take
the write lock when they begin (`BEGIN IMMEDIATE`), so a transaction never fails half way for want of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError

from qtm.errors import ConfigError, StoreError

_MIGRATIONS = Path(__file__).with_name("migrations")
_MIGRATION_LOCK = 0x71746D
"""Key of PostgreSQL's advisory lock, "qtm" in ASCII."""


class Database:
    """A connection pool whose transactions are either `read` or `write`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One atomic transaction; commits when the block ends, rolls back if it raises."""
        with _in_words(self.engine), self.engine.execution_options(writes=True).begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A consistent view for reading."""
        with _in_words(self.engine), self.engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Connect to `url` and bring its schema to the version this release needs.

    Raises
    ------
    ConfigError
        When the URL cannot be read.
    StoreError
        When the database cannot be reached or written, or was migrated by a newer release.
    """
    engine = _engine(url)
    with _in_words(engine):
        _migrate(engine)
    return Database(engine)


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        options: dict[str, Any] = {}
        if parsed.get_backend_name() == "postgresql":
            timely = {"client_encoding": "utf8", "connect_timeout": 5}
            options = {"pool_pre_ping": True, "connect_args": timely}
        engine = create_engine(parsed, **options)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise ConfigError(
            f"the database URL cannot be used: {error}",
            where="database_url",
            remedy="sqlite:///PATH or postgresql://USER@HOST/NAME",
        ) from None
    except OSError as error:
        raise StoreError(f"the database folder cannot be made: {error.strerror}", where=url) from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions begin when we say so, not when sqlite3 guesses
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    head = ScriptDirectory.from_config(config).get_current_head()
    with engine.connect() as connection:
        if MigrationContext.configure(connection).get_current_revision() == head:
            return  # without a write lock: a hung writer must not keep a kill or a status from opening
    with engine.execution_options(writes=True).begin() as connection:
        if engine.dialect.name == "postgresql":  # of several first starts one migrates and the others wait
            connection.execute(select(func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


@contextmanager
def _in_words(engine: Engine) -> Iterator[None]:
    try:
        yield
    except DatabaseError as error:
        raise StoreError(
            f"the operational database failed: {error.orig}",
            where=engine.url.render_as_string(hide_password=True),
            remedy="check that it is reachable, writable and not full",
        ) from error
