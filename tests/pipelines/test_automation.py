"""Ticks of schedules and sensors against an instance that forgets, on a real journal."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest
from sqlalchemy import insert

from assets.resources import OperationalStore
from pipelines.definitions import defs
from pipelines.sensors import journal_sensor
from qtm.store.database import open_database
from qtm.store.schema import decisions, fills, order_events, orders, runs


def journal(url, events=1, first=1):
    """A journal with one order that filled, and a number of events about it."""
    database = open_database(url)
    with database.write() as connection:
        if first == 1:
            connection.execute(insert(runs).values(
                run_id="r1", account="A", strategy="trend", strategy_version="v", symbols="BTCUSDT",
                settings="{}", pid=1, started_ms=0, heartbeat_ms=0, state="ACTIVE"))  # fmt: skip
            connection.execute(insert(orders).values(
                client_order_id="trend-1", account="A", run_id="r1", strategy="trend", symbol="BTCUSDT",
                side="BUY", type="LIMIT", qty="0.3", price="60000", reduce_only=False, decided_ms=1,
                status="FILLED", reason="", attempts=1, created_ns=1, updated_ns=1))  # fmt: skip
            for number, (side, qty) in enumerate((("BUY", "0.1"), ("BUY", "0.2"), ("SELL", "0.05"))):
                connection.execute(insert(fills).values(
                    account="A", symbol="BTCUSDT", trade_id=number, client_order_id="trend-1", side=side,
                    qty=qty, price="60000.01", fee="0.0001", fee_asset="BTC", maker=False,
                    ts_ms=1_700_000_000_000 + number))  # fmt: skip
            connection.execute(insert(decisions).values(
                client_order_id="trend-2", account="A", run_id="r1", strategy="trend", symbol="BTCUSDT",
                verdict="REFUSED", controls="PT-03", decided_ms=1, recorded_ns=1, record="{}", hash="h",
            ))  # fmt: skip
        for number in range(first, first + events):
            connection.execute(insert(order_events).values(
                client_order_id="trend-1", ts_ns=number, status="FILLED", detail=""))  # fmt: skip
    database.close()


def tick(store, cursor=None):
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance, cursor=cursor) as context,
    ):
        return journal_sensor(context, store=store)


@pytest.fixture
def store(tmp_path):
    return OperationalStore(url=f"sqlite:///{tmp_path / 'state' / 'qtm.db'}")


def test_no_stream_has_run_so_the_sensor_waits_and_makes_no_database(store, tmp_path):
    result = tick(store)
    assert not result.run_requests
    assert "no stream has run here" in result.skip_reason.skip_message
    assert not (tmp_path / "state").exists()


def test_an_empty_journal_asks_for_nothing(store):
    open_database(store.url).close()
    assert "no order event yet" in tick(store).skip_reason.skip_message


def test_new_order_events_ask_for_one_run_and_only_once(store):
    journal(store.url, events=3)
    first = tick(store)
    assert len(first.run_requests) == 1
    assert "no order event after number 3" in tick(store, first.cursor).skip_reason.skip_message
    journal(store.url, events=2, first=4)
    second = tick(store, first.cursor)
    assert second.run_requests[0].run_key != first.run_requests[0].run_key


def test_a_database_that_was_replaced_is_read_from_its_start(store, tmp_path):
    journal(store.url, events=5)
    cursor = tick(store).cursor
    for file in (tmp_path / "state").iterdir():
        file.unlink()
    journal(store.url, events=2)
    assert len(tick(store, cursor).run_requests) == 1


def test_the_run_the_sensor_asks_for_sums_the_fills_exactly(store):
    journal(store.url)
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def("live_record").execute_in_process(
            instance=instance, resources={"store": store}
        )
    shown = result.asset_materializations_for_node("live_trading")[0].metadata
    assert (shown["orders"].value, shown["refused"].value, shown["fills"].value) == (1, 1, 3)
    assert "| A | BTCUSDT | 0.25 | 21000.00 | 0.0003 BTC |" in shown["bought and sold"].value
    assert "| trend | BTCUSDT | PT-03 | 1 |" in shown["refusals by control"].value


def test_the_daily_schedule_makes_the_day_that_just_closed():
    schedule = defs.resolve_schedule_def("daily_close_schedule")
    at = datetime(2025, 3, 31, 3, 15, tzinfo=UTC)
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(
            instance, scheduled_execution_time=at, repository_def=defs.get_repository_def()
        )
        (request,) = schedule.evaluate_tick(context).run_requests
    assert request.partition_key == "2025-03-30"
    assert schedule.cron_schedule == "15 3 * * *"


def test_the_daily_job_runs_from_the_venue_to_the_report():
    job = defs.resolve_job_def("daily_close")
    made = {key.to_user_string() for key in job.asset_layer.executable_asset_keys}
    assert made == {
        "instruments", "bars_1m", "bars_1h", "bars_1d", "um_bars_5m", "um_funding", "scenarios", "weights",
        "risk_report", "risk_measures", "stress", "model_backtests",
    }  # fmt: skip


def test_schedules_that_touch_the_venue_wait_for_a_person():
    stopped = {s.name for s in defs.schedules or [] if s.default_status is dg.DefaultScheduleStatus.STOPPED}
    assert stopped == {"daily_close_schedule", "coverage_schedule", "upkeep_schedule", "roll_up_schedule"}
    assert journal_sensor.default_status is dg.DefaultSensorStatus.RUNNING
