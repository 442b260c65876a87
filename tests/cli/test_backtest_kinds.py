"""`qtm backtest`, `strategies` and `check` for every kind of strategy, on a small synthetic lake."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from qtm.backtest.account.result import AccountResult
from qtm.backtest.account.seats import Seat
from qtm.backtest.engine import BacktestResult
from qtm.backtest.registry import TrialRegistry
from qtm.cli import research
from qtm.errors import QtmError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.market.synthetic import synthetic_bars, synthetic_funding, synthetic_instruments
from qtm.research import backtest
from qtm.settings import settings
from qtm.strategies.registry import load_strategy

DAY_MS = 86_400_000
START_MS = 1_704_067_200_000
SYMBOLS = ("BTCUSDT", "ETHUSDT")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    lake = Lake(str(folder / "lake"))
    end_ms = START_MS + 40 * DAY_MS
    for market in (Market.SPOT, Market.UM):
        lake.write_instruments(synthetic_instruments(market))
        for symbol in SYMBOLS:
            frame = synthetic_bars(symbol, Interval.H1, START_MS, end_ms, 7)
            lake.write_bars(market, Interval.H1, frame, start_ms=START_MS, end_ms=end_ms)
    for symbol in SYMBOLS:
        rows = synthetic_funding(symbol, START_MS, end_ms, 7)
        lake.write_funding(Market.UM, rows, start_ms=START_MS, end_ms=end_ms)
    return folder


@pytest.fixture
def run(home: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("QTM_HOME", str(home))
    settings.cache_clear()
    app = typer.Typer()
    research.register(app)

    def invoke(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    yield invoke
    settings.cache_clear()


def figures(done: Result) -> dict:  # type: ignore[type-arg]
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    found: dict = json.loads(done.stdout)  # type: ignore[type-arg]
    return found


@pytest.fixture
def unfunded_tail(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """The lake with the bars of BTCUSDT's future going on for nine days after its last funding."""
    shutil.copytree(home, tmp_path / "home")
    monkeypatch.setenv("QTM_HOME", str(tmp_path / "home"))
    settings.cache_clear()
    lake, end_ms = Lake(str(tmp_path / "home" / "lake")), START_MS + 31 * DAY_MS
    rows = synthetic_funding("BTCUSDT", START_MS, end_ms, 7)
    lake.write_funding(Market.UM, rows, start_ms=START_MS, end_ms=START_MS + 40 * DAY_MS)
    return end_ms


def test_bars_whose_funding_is_not_published_yet_are_left_out_and_named(run, unfunded_tail) -> None:  # type: ignore[no-untyped-def]
    pairs = ("backtest", "pairs", "--symbols", "um:BTCUSDT,um:ETHUSDT", "-i", "1h", "--json", "--ungated")
    lineage = figures(run(*pairs))["lineage"]
    assert lineage["last_ms"] == unfunded_tail - Interval.H1.ms
    assert lineage["waivers"] == [
        "bars from 2024-02-01T00:00:00Z on left out: the funding of um:BTCUSDT ends before"
    ]
    asked = run(*pairs, "--to", "2024-02-09")
    assert asked.exit_code == 1 and "funding rates are missing" in str(asked.exception)


def test_many_symbols_share_an_account_and_a_sheet(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    report = tmp_path / "sheet.html"
    done = run("backtest", "trend", "--symbols", "BTCUSDT,ETHUSDT", "-i", "1h", "--json",
               "--report", str(report),
               "--out", str(tmp_path / "run"), "--ungated")  # fmt: skip
    found = figures(done)
    assert found["lineage"]["symbol"] == "BTCUSDT+ETHUSDT" and found["statistics"]["trades"] > 2
    page = report.read_text()
    for text in ("BTCUSDT", "ETHUSDT", "Contribution", "sells first", "after 7 days without a bar"):
        assert text in page, text
    assert (tmp_path / "run" / "result.json").is_file()


def test_several_strategies_are_netted_and_shown_side_by_side(run) -> None:  # type: ignore[no-untyped-def]
    done = run("backtest", "trend,cross-momentum", "--symbols", "BTCUSDT,ETHUSDT", "-i", "1h", "--json",
               "--set", "trend.fast=5", "--set", "cross-momentum.lookback=48", "--ungated")  # fmt: skip
    lines = figures(done)["lineage"]["strategies"]
    assert [line["name"] for line in lines] == ["trend", "cross-momentum"]
    assert lines[0]["params"]["fast"] == 5 and lines[1]["share"] == 0.5


def test_a_basis_trade_runs_on_two_markets_at_once(run) -> None:  # type: ignore[no-untyped-def]
    done = run("backtest", "basis-carry", "--symbols", "spot:BTCUSDT,um:BTCUSDT", "-i", "1h", "--json",
               "--set", "enter=-0.01", "--set", "leave=-0.05", "--ungated")  # fmt: skip
    found = figures(done)
    assert found["lineage"]["market"] == "spot+um" and found["statistics"]["funding"] != 0.0


def test_the_funding_charged_is_named_by_its_version_and_its_content(run, unfunded_tail) -> None:  # type: ignore[no-untyped-def]
    lake, asked = Lake.from_settings(settings()), {"end": "2024-01-20", "gated": False}
    kinds = [("trend", "um:BTCUSDT"), ("grid", "um:BTCUSDT"), ("pairs", "um:BTCUSDT,um:ETHUSDT")]
    first = [backtest(name, symbols, "1h", **asked) for name, symbols in kinds]
    versions = {name: lake.version(name) for name in ("um_bars_1h", "um_funding")}
    assert [one.result.lineage.data_versions for one in first] == 3 * [versions]
    assert {one.result.lineage.data_version for one in first} == {versions["um_bars_1h"]}
    kept = TrialRegistry.open(settings().database).lake_versions("um_funding")
    assert versions["um_funding"] in kept, "so that `qtm lake vacuum` keeps it"
    assert "um_funding" in first[0].page and str(first[0].result.lineage.funding) in first[0].page
    rows = synthetic_funding("BTCUSDT", START_MS, unfunded_tail, 8)
    lake.write_funding(Market.UM, rows, start_ms=START_MS, end_ms=unfunded_tail)
    again = [backtest(name, symbols, "1h", **asked) for name, symbols in kinds]
    for old, new in zip(first, again, strict=True):
        assert new.result.lineage.data_versions["um_funding"] == versions["um_funding"] + 1
        assert None is not old.result.lineage.funding != new.result.lineage.funding is not None
    assert first[0].result.lineage.funding == first[1].result.lineage.funding
    assert backtest("trend", "BTCUSDT", "1h", **asked).result.lineage.funding is None


def test_debugging_gives_the_same_figures(run) -> None:  # type: ignore[no-untyped-def]
    arguments = ("backtest", "trend", "-s", "BTCUSDT", "-i", "1h", "--set", "fast=5", "--json")
    quick, slow = figures(run(*arguments)), figures(run(*arguments, "--debug"))
    assert slow["statistics"] == pytest.approx(quick["statistics"], rel=1e-9)


def test_notebooks_have_one_call_for_every_kind_and_every_run_is_counted(run) -> None:  # type: ignore[no-untyped-def]
    trials = TrialRegistry.open(settings().database)
    before = trials.count("pairs").trials
    pair = backtest("pairs", ["um:BTCUSDT", "um:ETHUSDT"], "1h", params={"window": 48}, gated=False)
    assert isinstance(pair.result, AccountResult) and "iframe" in pair._repr_html_()
    assert trials.count("pairs").trials == before + 1
    assert isinstance(backtest("trend", "BTCUSDT", "1h").result, BacktestResult)
    seats = [
        Seat(load_strategy("trend"), share=0.6, symbols=("BTCUSDT",)),
        Seat(load_strategy("trend"), share=0.4),
    ]
    assert backtest(seats, "BTCUSDT,ETHUSDT", "1h", gated=False).result.sleeves.shape[1] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("pairs", "-s", "um:BTCUSDT"), "trades 2 symbols, not 1"),
        (("basis-carry", "-s", "um:BTCUSDT,um:ETHUSDT"), "the legs must be on spot and on um"),
        (("trend,cross-momentum", "-s", "BTCUSDT", "--set", "fast=5"), "whose parameter is 'fast'"),
        (("trend", "-s", "BTCUSDT,,ETHUSDT"), "a symbol is missing"),
        (("trend", "-s", "moon:BTCUSDT"), "unknown market 'moon'"),
        (("trend", "-s", "BTCUSDT,BTCUSDT"), "given twice"),
    ],
)
def test_what_cannot_be_run_is_refused_in_words(run, arguments, message) -> None:  # type: ignore[no-untyped-def]
    done = run("backtest", *arguments, "-i", "1h")
    assert isinstance(done.exception, QtmError) and message in str(done.exception)


def test_the_list_names_every_kind(run) -> None:  # type: ignore[no-untyped-def]
    kinds = {one["name"]: one["kind"] for one in figures(run("strategies", "--json"))["strategies"]}
    assert kinds["trend"] == "step" and kinds["pairs"] == "python"
    assert kinds["cross-momentum"] == kinds["cvar-allocator"] == "allocator"


def test_check_proves_an_allocator(run) -> None:  # type: ignore[no-untyped-def]
    done = run(
        "check", "cross-momentum", "--set", "lookback=12", "--set", "skip=1", "--set", "every=6", "--json"
    )
    assert figures(done)["passed"]
