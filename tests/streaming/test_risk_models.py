"""A CVaR budget in the limit file is in force in the running stream, and live needs a promotion."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qtm.execution.day_record import read_day
from qtm.market.lake import Lake
from qtm.portfolio.scenarios.scenario_set import ScenarioSet
from qtm.portfolio.scenarios.storage import store_scenarios
from qtm.settings import RiskSettings
from qtm.store.database import open_database
from tests.parity.market import START_MS, Exchange, Stream, minute_bars
from tests.streaming.test_stream_process import TREND, command

DAY = 86_400_000
YESTERDAY = START_MS - DAY


def keep_scenarios(home: Path, day_ms: int = YESTERDAY) -> None:
    returns = np.random.default_rng(5).standard_t(4, size=(400, 1)) * 0.02
    days = (day_ms - DAY * np.arange(400)[::-1]).astype(np.int64)
    store_scenarios(Lake(str(home / "lake")), ScenarioSet(("BTCUSDT",), days, returns), day_ms)


def keep_light(home: Path, light: str) -> None:
    frame = pl.DataFrame(
        {"open_time_ms": [YESTERDAY], "model": ["m"], "light": [light], "month": ["2024-12"]}
    )
    lake = Lake(str(home / "lake"))
    lake.tables.overwrite("model_backtests", frame, predicate=None, partition_by=["month"])


def limit_file(home: Path, budget: str) -> tuple[str, str]:
    home.mkdir(parents=True, exist_ok=True)
    file = home / "limits.toml"
    file.write_text(f"[tail]\ncvar_budget = {budget}\n")
    return "--limits", str(file)


def test_a_budget_nobody_can_measure_ends_the_start_in_one_sentence(tmp_path: Path) -> None:
    with Exchange([minute_bars("BTCUSDT", 30, history=20)]) as exchange:
        stream = Stream(tmp_path, exchange, *TREND, "--lockstep", *limit_file(tmp_path, "0.03"))
        done = subprocess.run(stream.command, env=stream.environment, capture_output=True, text=True)
        assert exchange.trades() == []
    assert done.returncode == 2 and "no scenarios were known" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("budget", "traded"), [("0.5", True), ("0.0001", False)])
def test_every_order_is_held_against_the_budget_and_explained(
    tmp_path: Path, budget: str, traded: bool
) -> None:
    keep_scenarios(tmp_path)
    keep_light(tmp_path, "green")
    with Exchange([minute_bars("BTCUSDT", 60, history=20)]) as exchange:
        summary = Stream(tmp_path, exchange, *TREND, "--lockstep", *limit_file(tmp_path, budget)).run()
        assert bool(exchange.trades()) is traded
        stream = Stream(tmp_path, exchange, *TREND)
    told = command(stream, "explain", "trend-BTCUSDT-0000001", "--json")
    found = [f for f in told["findings"] if "CVaR" in f["set_by"]]  # type: ignore[attr-defined]
    assert len(found) == 1 and found[0]["passed"] is traded and float(found[0]["measured"]) > 0
    assert f"budget of {budget} of equity" in found[0]["set_by"]
    assert (summary["orders"]["refused"] > 0) is not traded


def test_red_lights_let_the_stream_only_shrink_positions(tmp_path: Path) -> None:
    keep_scenarios(tmp_path)
    keep_light(tmp_path, "red")
    with Exchange([minute_bars("BTCUSDT", 60, history=20)]) as exchange:
        stream = Stream(tmp_path, exchange, *TREND, "--lockstep", *limit_file(tmp_path, "0.5"))
        summary = stream.run()
        assert exchange.trades() == []
    assert summary["state"] == "REDUCING" and summary["orders"]["refused"] > 0
    told = command(stream, "explain", "trend-BTCUSDT-0000001", "--json")
    broken = [f["control"] for f in told["findings"] if not f["passed"]]  # type: ignore[attr-defined]
    assert broken == ["PT-20"]
    assert str(told["limits_version"]).endswith("x0.85")


def test_yellow_lights_tighten_the_running_stream_and_the_record_of_the_day_says_so(tmp_path: Path) -> None:
    keep_scenarios(tmp_path)
    keep_light(tmp_path, "yellow")
    with Exchange([minute_bars("BTCUSDT", 60, history=20)]) as exchange:
        stream = Stream(tmp_path, exchange, *TREND, "--lockstep", *limit_file(tmp_path, "0.5"))
        summary = stream.run()
    assert summary["state"] == "ACTIVE"
    told = command(stream, "explain", "trend-BTCUSDT-0000001", "--json")
    position = next(f for f in told["findings"] if f["control"] == "PT-07")  # type: ignore[attr-defined]
    assert float(position["bound"]) == 0.85 * float(RiskSettings().max_position_value)
    with open_database(f"sqlite:///{tmp_path / 'state' / 'qtm.db'}").read() as connection:
        (word,) = read_day(connection, START_MS, START_MS + DAY).gates
    assert word.tightened and word.state == "ACTIVE"


def test_live_starts_only_with_a_promoted_strategy(tmp_path: Path) -> None:
    environment = {
        **os.environ, "QTM_HOME": str(tmp_path), "QTM_LIVE__VENUE": "binance", "QTM_LIVE__ARMED": "true",
        "QTM_LIVE__API_KEY": "k" * 16, "QTM_LIVE__API_SECRET": "s" * 16,
    }  # fmt: skip
    with Exchange([minute_bars("BTCUSDT", 5, history=5)]) as exchange:
        words = Stream(tmp_path, exchange, *TREND).command
    words = [word for word in words if word not in ("--spot-url", exchange.url)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "trend stands at RESEARCH, LIVE_LIMITED is needed" in done.stderr
    assert "Traceback" not in done.stderr
    assert json.dumps("qtm promote")[1:-1] in done.stderr
