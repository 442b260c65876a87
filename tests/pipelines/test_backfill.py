"""The command that makes a range of days at once, and the reference it is documented beside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import dagster as dg
import pytest

from pipelines.backfill import calendar_months, require_partitions, selected_assets
from pipelines.catalogue import catalogue
from pipelines.definitions import defs
from qtm.errors import ConfigError

ROOT = Path(__file__).parents[2]


def run(folder, *words):
    """The command in a folder of its own, its source unreachable and so synthetic."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "QTM_HOME": str(folder / "var"),
        "QTM_MARKET__ARCHIVE": "http://127.0.0.1:9",
    }
    environment.pop("DAGSTER_HOME", None)
    command = [sys.executable, "-m", "pipelines.backfill", *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_range_is_cut_into_calendar_months():
    assert list(calendar_months(date(2024, 1, 30), date(2024, 3, 2))) == [
        (date(2024, 1, 30), date(2024, 1, 31)),
        (date(2024, 2, 1), date(2024, 2, 29)),
        (date(2024, 3, 1), date(2024, 3, 2)),
    ]


def test_a_selection_follows_the_graph():
    keys = selected_assets(defs, 'key:"bars_1d"+')
    assert {key.to_user_string() for key in keys} == {
        "bars_1d", "scenarios", "weights", "risk_report", "lake_coverage", "compacted_months",
        "risk_measures", "stress", "model_backtests", "risk_roll_ups",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ("bars_9m", "bars_9m.*were selected, but no"),
        ("key:(", "cannot be read"),
        ("backtest", "backtest is not made day by day"),
    ],
)
def test_a_selection_that_cannot_be_made_by_day_is_refused(selection, words):
    with pytest.raises(ConfigError, match=words):
        selected_assets(defs, selection)


def test_a_day_outside_history_is_refused_with_the_days_there_are():
    with pytest.raises(ConfigError, match=r"has no partition 1999-01-01.*market.history_start"):
        require_partitions(defs, [dg.AssetKey("bars_1d")], date(1999, 1, 1), date(2024, 1, 1))


def test_days_over_two_months_are_two_recorded_runs(tmp_path):
    (tmp_path / "dagster.yaml").write_text((ROOT / "dagster.yaml").read_text())
    done = run(tmp_path, "--from", "2024-01-31", "--to", "2024-02-01", "--select", "bars_1d", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["runs"] == 2
    assert sorted(path.name for path in (tmp_path / ".dagster").iterdir()) == ["logs", "storage"]
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert instance.telemetry_enabled is False
        assert instance.run_coordinator.dequeue_interval_seconds == 1
    assert (tmp_path / "var" / "lake" / "spot_bars_1d").is_dir()


def test_without_an_instance_the_command_says_where_to_run_it(tmp_path):
    done = run(tmp_path, "--from", "2024-01-01", "--to", "2024-01-01")
    assert done.returncode == 2
    assert "no Dagster instance here" in done.stderr and "--ephemeral" in done.stderr
    assert "Traceback" not in done.stderr


def test_dates_the_wrong_way_round_are_refused(tmp_path):
    done = run(tmp_path, "--from", "2024-01-02", "--to", "2024-01-01", "--ephemeral")
    assert done.returncode == 2
    assert "--to 2024-01-01 is before --from 2024-01-02" in done.stderr


def test_the_reference_of_assets_is_true():
    written = (ROOT / "docs" / "reference" / "assets.md").read_text()
    assert written == catalogue(), "run: python -m pipelines.catalogue > docs/reference/assets.md"
