"""`qtm backtest | sweep | strategies | check` on a small synthetic lake."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
import typer
from typer.testing import CliRunner, Result

from qtm.backtest.registry import TrialRegistry
from qtm.cli import capacity, research, sweep
from qtm.errors import QtmError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.market.synthetic import synthetic_bars, synthetic_instruments
from qtm.settings import settings

DAY_MS = 86_400_000
START_MS = 1_704_067_200_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    lake = Lake(str(folder / "lake"))
    lake.write_instruments(synthetic_instruments())
    end_ms = START_MS + 120 * DAY_MS
    frame = synthetic_bars("BTCUSDT", Interval.H1, START_MS, end_ms, 7)
    lake.write_bars(Market.SPOT, Interval.H1, frame, start_ms=START_MS, end_ms=end_ms)
    return folder


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("QTM_HOME", str(home))
    settings.cache_clear()
    app = typer.Typer()
    research.register(app)
    sweep.register(app)
    capacity.register(app)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    yield invoke
    settings.cache_clear()


def test_backtest_prints_one_json_object_and_writes_the_tear_sheet(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    report = tmp_path / "sheet.html"
    done = run("backtest", "trend", "-i", "1h", "--set", "fast=5", "--json", "--report", str(report))
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["lineage"]["params"]["fast"] == 5 and found["lineage"]["data_version"] is not None
    assert found["statistics"]["orders"] > 0 and found["verdict"] is None
    assert report.read_text().startswith("<!DOCTYPE html>")


def test_the_period_is_cut_to_the_days_asked_for(run) -> None:  # type: ignore[no-untyped-def]
    period = ("--from", "2024-02-01", "--to", "2024-03-01")
    done = run("backtest", "trend", "-s", "btcusdt", "-i", "1h", *period, "--json", "--ungated")
    made_from = json.loads(done.stdout)["lineage"]
    assert made_from["symbol"] == "BTCUSDT" and made_from["bars"] == 29 * 24 and made_from["limits"] is None


def test_sweep_ranks_every_combination_and_writes_them_all(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    output = tmp_path / "sweep.parquet"
    done = run(
        "sweep",
        "trend",
        "-i",
        "1h",
        "--grid",
        "fast=5:15:5",
        "--grid",
        "slow=30,60",
        "--json",
        "--output",
        str(output),
    )
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["combinations"] == 4
    sharpe = [row["sharpe"] for row in found["rows"]]
    assert sharpe == sorted(sharpe, reverse=True)
    assert pl.read_parquet(output).height == 4


def test_a_sweep_fits_a_terminal_of_80_characters_with_nothing_cut_off(run) -> None:  # type: ignore[no-untyped-def]
    done = run(
        "sweep", "trend", "-i", "1h", "--grid", "fast=5,10", "--grid", "slow=30,60", "--sort", "final_equity"
    )
    assert done.exit_code == 0, done.output
    table = done.stdout.partition("memory:")[0]
    assert "\N{HORIZONTAL ELLIPSIS}" not in table and "e+" not in table
    (best,) = [line for line in table.splitlines() if line.split()[:2] == ["10", "60"]]
    assert best.count("%") == 3, "return, drawdown and win rate are shown as shares of a hundred"


def test_refused_orders_are_told_with_the_names_of_the_controls(run) -> None:  # type: ignore[no-untyped-def]
    done = run("backtest", "trend", "-i", "1h", "--set", "fast=5", "--cash", "1000000")
    assert "PT-03 (maximum order value)" in done.stdout, done.output


def test_strategies_lists_the_bundled_ones_with_their_bounds(run) -> None:  # type: ignore[no-untyped-def]
    found = json.loads(run("strategies", "--json").stdout)["strategies"]
    assert {"trend", "mean-reversion", "breakout"} <= {one["name"] for one in found}
    assert next(one for one in found if one["name"] == "trend")["parameters"]["fast"] == {
        "default": 20, "bounds": [1, 1024],
    }  # fmt: skip


def test_check_proves_a_strategy(run) -> None:  # type: ignore[no-untyped-def]
    done = run("check", "trend", "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["passed"] is True


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("backtest", "trand", "-i", "1h"), "did you mean 'trend'"),
        (("backtest", "trend", "-i", "1h", "--set", "fast"), "cannot read 'fast'"),
        (("backtest", "trend", "-i", "1h", "--from", "2024-13-01"), "is not a date"),
        (
            ("backtest", "trend", "-i", "1h", "--from", "2024-02-01", "--to", "2024-01-01"),
            "the period is empty",
        ),
        (("backtest", "trend", "-i", "7h"), "unknown interval"),
        (("backtest", "trend", "-i", "1h", "--cash", "-5"), "cash must be"),
        (("backtest", "trend", "-i", "1h", "--cash", "1e300"), "cash must be a positive amount up to"),
        (("backtest", "trend", "-i", "1h", "--set", "fast=inf"), "cannot read 'fast=inf'"),
        (("backtest", "trend", "-i", "1h", "-s", "NOPE"), "NOPE"),
        (("backtest", "trend", "-i", "1h", "-s", "BTCUSD"), "did you mean BTCUSDT?"),
        (("backtest", "trend", "-i", "1h", "-s", ""), "a symbol is missing"),
        (("sweep", "trend", "-i", "1h", "--grid", "fast=9:3"), "cannot read"),
        (("sweep", "trend", "-i", "1h", "--grid", "fast=5", "--sort", "luck"), "no figure 'luck'"),
    ],
)
def test_bad_input_ends_in_one_clear_message(run, arguments: tuple[str, ...], message: str) -> None:  # type: ignore[no-untyped-def]
    done = run(*arguments)
    assert isinstance(done.exception, QtmError), done.output
    assert message in str(done.exception)


def test_capacity_says_what_a_strategy_bears_whatever_the_firm_allows_and_counts_no_trial(  # type: ignore[no-untyped-def]
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QTM_RISK__MAX_ORDER_VALUE", "1")
    settings.cache_clear()
    report = tmp_path / "capacity.html"
    counted = TrialRegistry.open(settings().database).recorded_count("trend")
    asked = ("capacity", "trend", "-i", "1h", "--cash", "1000", "--most", "1e5", "--report", str(report))
    found = json.loads(run(*asked, "--json").stdout)
    assert found["steps"][0]["cash"] == 1_000.0 and found["impact"] == 1.0
    assert found["says"] in report.read_text() and found["free"]["filled"] == 1.0
    printed = run(*asked, "--impact", "0.5", "--participation", "0.05")
    assert printed.exit_code == 0 and "where its own trades move no price" in printed.stdout
    assert TrialRegistry.open(settings().database).recorded_count("trend") == counted
