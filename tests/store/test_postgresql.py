"""The same schema, journal and chain on a real PostgreSQL: a private cluster, removed after the test."""

import dataclasses
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import make_url, select

from qtm.backtest.registry import DAILY_SHARPE, Trial, TrialRegistry
from qtm.clock import ManualClock
from qtm.errors import StoreError
from qtm.execution.chain import first_break
from qtm.execution.journal import Journal
from qtm.execution.updates import OrderUpdate
from qtm.risk.gate import Latch
from qtm.store.database import Database, open_database
from qtm.store.schema import decisions, metadata
from qtm.trading.orders import Fill, OrderStatus, Side
from tests.execution.support import NOW_MS, approve, open_run, order


def _binaries() -> Path | None:
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


BINARIES = _binaries()
pytestmark = pytest.mark.skipif(BINARIES is None, reason="PostgreSQL's server programs are not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """URL of a fresh cluster on loopback; PostgreSQL refuses to run as root, so root steps down first."""
    assert BINARIES is not None
    folder = Path(tempfile.mkdtemp(prefix="qtm-pg-"))
    as_user: dict[str, object] = {}
    if os.geteuid() == 0:
        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            account = pwd.getpwnam("nobody")
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_user = {
            "user": account.pw_uid,
            "group": account.pw_gid,
            "env": {"PATH": os.environ["PATH"], "HOME": str(folder)},
        }
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data = folder / "data"
    run = {"check": True, "capture_output": True, "cwd": folder, **as_user}
    subprocess.run([BINARIES / "initdb", "-D", data, "-A", "trust", "-U", "qtm", "--no-sync"], **run)  # type: ignore[call-overload]
    options = f"-h 127.0.0.1 -p {port} -k {folder}"
    log = folder / "log"
    subprocess.run([BINARIES / "pg_ctl", "-D", data, "-o", options, "-l", log, "-w", "start"], **run)  # type: ignore[call-overload]
    try:
        yield f"postgresql://qtm@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([BINARIES / "pg_ctl", "-D", data, "-m", "immediate", "stop"], **run)  # type: ignore[call-overload]
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(server: str) -> Iterator[Database]:
    database = open_database(server)
    yield database
    with database.engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    database.close()


@pytest.fixture
def journal(database: Database, tmp_path: Path) -> Journal:
    open_run(database, "run-1")
    return Journal(database, "paper", ManualClock(NOW_MS), tmp_path)


def test_migrations_build_exactly_the_declared_schema(database: Database) -> None:
    with database.read() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_first_starts_side_by_side_agree_on_one_schema(database: Database, server: str) -> None:
    fresh = make_url(server).set(database="fresh")
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE DATABASE fresh")
    url, failed = fresh.render_as_string(hide_password=False), []
    ready = threading.Barrier(4)

    def start() -> None:
        ready.wait()
        try:
            open_database(url).close()
        except StoreError as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_an_order_lives_its_whole_life_with_exact_amounts(journal: Journal) -> None:
    approved = approve(order(1, qty="0.10000000"))
    assert journal.record(approved, "run-1", sending=True)
    assert journal.approved("s-BTCUSDT-1") == approved
    fill = Fill(
        "s-BTCUSDT-1", 7, "BTCUSDT", Side.BUY, Decimal("0.10000000"), Decimal("59999.99"),
        Decimal("0.00010000"), "BTC", False, 5,
    )  # fmt: skip
    update = OrderUpdate("s-BTCUSDT-1", "BTCUSDT", OrderStatus.FILLED, (fill,), Decimal("0.1"))
    assert journal.apply(update).new_fills == (fill,)
    assert journal.apply(update).new_fills == ()
    assert journal.fills("s-BTCUSDT-1") == [fill]
    assert journal.open_orders() == []


def test_an_id_is_decided_once_even_by_two_processes_at_a_time(journal: Journal, server: str) -> None:
    failures: list[StoreError] = []
    outcomes = [approve(order(1)), approve(order(1))]

    def record(outcome: object) -> None:
        own = Journal(open_database(server), "paper", ManualClock(NOW_MS), journal.latches.folder)
        try:
            own.record(outcome, "run-1")  # type: ignore[arg-type]
        except StoreError as refused:
            failures.append(refused)

    writers = [threading.Thread(target=record, args=(outcome,)) for outcome in outcomes]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(failures) == 1
    assert journal.decided("s-BTCUSDT-1") == (True, "")


def test_the_chain_and_the_kill_hold_there_too(journal: Journal) -> None:
    journal.record(approve(order(1)), "run-1", sending=True)
    journal.latches.record(Latch("firm", ""), actor="me", reason="test", latched_ns=1)
    assert not journal.record(approve(order(2)), "run-1", sending=True)
    with journal.database.read() as connection:
        rows = connection.execute(
            select(decisions.c.record, decisions.c.hash).order_by(decisions.c.decision_id)
        )
        assert first_break([(row.record, row.hash) for row in rows]) is None


def test_trials_are_counted_there_too_and_a_resumed_run_knows_which(database: Database) -> None:
    registry = TrialRegistry(database, ManualClock(NOW_MS))
    found = [
        Trial("trend", "abc", {"fast": float(fast)}, "BTCUSDT", "1h", 0, 1_000, 3, {DAILY_SHARPE: 0.1 * fast})
        for fast in (1, 2, 3)
    ]
    run_id = registry.record(found[:2])
    assert registry.recorded(run_id) == [{"fast": 1.0}, {"fast": 2.0}]
    assert registry.record(found[2:], run_id) == run_id and registry.record(found[:1]) != run_id
    assert registry.count("trend").trials == 3 and len(registry.recorded(run_id)) == 3
    assert registry.count("trend").sharpe_variance == pytest.approx(0.01)
    registry.record(
        [
            dataclasses.replace(found[2], strategy="renamed"),
            dataclasses.replace(found[0], params={"fast": 3.0}, strategy="unlike"),
        ]
    )
    assert registry.count("trend").aliases == ("renamed",)
    assert registry.table("trend", newest=1)[DAILY_SHARPE].to_list() == [pytest.approx(0.1)]
    assert (registry.recorded_count(), registry.lake_versions("spot_bars_1h")) == (6, [3])


def test_a_server_that_is_not_there_is_said_so_without_the_password() -> None:
    with pytest.raises(StoreError) as refused:
        open_database("postgresql://qtm:hunter2@127.0.0.1:1/qtm")
    assert "hunter2" not in str(refused.value) and "127.0.0.1" in str(refused.value)
