"""The operational database: its migrations, its durability, and its failures in words."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import insert, select

import qtm.store
from qtm.errors import ConfigError, StoreError
from qtm.store.database import open_database
from qtm.store.schema import metadata, openings, trials


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'state' / 'qtm.db'}"


def test_migrations_build_exactly_the_declared_schema(tmp_path: Path) -> None:
    database = open_database(sqlite_url(tmp_path))
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_opening_again_keeps_what_was_written(tmp_path: Path) -> None:
    row = {"account": "a", "asset": "BTC", "qty": "0.10000000", "recorded_ms": 1}
    with open_database(sqlite_url(tmp_path)).write() as connection:
        connection.execute(insert(openings).values(row))
    with open_database(sqlite_url(tmp_path)).read() as connection:
        assert connection.execute(select(openings)).mappings().one() == row


def test_commits_wait_for_the_disk(tmp_path: Path) -> None:
    with open_database(sqlite_url(tmp_path)).read() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2  # FULL


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    database = open_database(sqlite_url(tmp_path))
    row = {"account": "a", "asset": "BTC", "qty": "1", "recorded_ms": 1}
    with pytest.raises(StoreError, match="UNIQUE"), database.write() as connection:
        connection.execute(insert(openings).values(row | {"asset": "ETH"}))
        connection.execute(insert(openings).values(row))
        connection.execute(insert(openings).values(row))
    with database.read() as connection:
        assert connection.execute(select(openings)).all() == []


def test_a_database_file_that_is_no_database_is_refused_in_words(tmp_path: Path) -> None:
    file = tmp_path / "qtm.db"
    file.write_text("not a database, however long it may be " * 50)
    with pytest.raises(StoreError, match="file is not a database"):
        open_database(f"sqlite:///{file}")


def test_an_unreadable_url_is_refused_without_showing_its_password() -> None:
    with pytest.raises(ConfigError, match="database URL"):
        open_database("nosuchdb://user:hunter2@host/name")


def test_two_processes_writing_at_once_both_commit(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path)
    open_database(url).close()
    program = (
        "import sys\nfrom sqlalchemy import insert\nfrom qtm.store.database import open_database\n"
        "from qtm.store.schema import openings\ndatabase = open_database(sys.argv[1])\n"
        "for number in range(60):\n    with database.write() as connection:\n"
        "        connection.execute(insert(openings).values(account=sys.argv[2], asset=str(number), qty='1',"
        " recorded_ms=1))\n"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, url, name]) for name in ("one", "two")]
    assert [writer.wait(timeout=60) for writer in writers] == [0, 0]
    with open_database(url).read() as connection:
        assert len(connection.execute(select(openings)).all()) == 120


def test_an_older_database_learns_the_sharpe_ratio_of_its_trials_to_the_last_bit(tmp_path: Path) -> None:
    url, ratios = f"sqlite:///{tmp_path / 'qtm.db'}", [0.1 + 1e-17, -3.9e-05, 0.30000000000000004]
    database = open_database(url)
    with database.write() as connection:
        texts = [*(json.dumps({"daily_sharpe": ratio}) for ratio in ratios), "{"]
        connection.execute(
            insert(trials),
            [
                {"run_id": "r", "strategy": "trend", "strategy_version": "v", "params": "{}", "symbol": "B",
                 "interval": "1h", "start_ms": 0, "end_ms": 1, "statistics": text, "created_ms": 0}
                for text in texts
            ],
        )  # fmt: skip
    with database.write() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(qtm.store.__file__).with_name("migrations")))
        config.attributes["connection"] = connection
        command.downgrade(config, "0003")
    with open_database(url).read() as connection:
        found = connection.execute(select(trials.c.daily_sharpe).order_by(trials.c.trial_id)).scalars()
        assert found.all() == [*ratios, None]
