"""`qtm overfit`, `walk-forward` and `trials` as a user runs them, on a made-up lake."""

import json

import pytest
import typer
from typer.testing import CliRunner

from qtm.backtest.overfitting.verdict import verdict_of
from qtm.cli import honesty, promote
from qtm.cli.where import Where
from qtm.errors import ConfigError, RiskError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.market.synthetic import synthetic_bars, synthetic_instruments
from qtm.research import backtest
from qtm.settings import settings
from qtm.sweep import sweep

START_MS, DAY_MS = 1_577_836_800_000, 86_400_000
GRID = ("--grid", "fast=4,8", "--grid", "slow=20,40")


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    lake.write_instruments([one for one in synthetic_instruments() if one.symbol in ("BTCUSDT", "ETHUSDT")])
    for symbol in ("BTCUSDT", "ETHUSDT"):
        end_ms = START_MS + 120 * DAY_MS
        frame = synthetic_bars(symbol, Interval.H4, START_MS, end_ms, 7)
        lake.write_bars(Market.SPOT, Interval.H4, frame, start_ms=START_MS, end_ms=end_ms)
    return lake


@pytest.fixture
def run(lake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QTM_HOME", str(tmp_path))
    monkeypatch.setenv("QTM_LAKE", lake.uri)
    settings.cache_clear()
    app = typer.Typer()
    honesty.register(app)
    promote.register(app)
    yield lambda *words: CliRunner().invoke(app, words, catch_exceptions=True)
    settings.cache_clear()


def test_overfit_prints_one_json_object_with_verdict_and_report(run, tmp_path):
    answer = run("overfit", "trend", *GRID, "-i", "4h", "--json")
    assert answer.exit_code == 0, answer.exception
    body = json.loads(answer.stdout)
    assert not verdict_of(body).passed and body["subject"]["trials"] == 4
    page = (tmp_path / "reports" / "overfitting-trend-BTCUSDT-4h.html").read_text()
    assert body["report"].endswith("overfitting-trend-BTCUSDT-4h.html")
    assert body["summary"] in page and "Deflated Sharpe ratio" in page


def test_overfit_reads_for_a_person(run):
    answer = run("overfit", "trend", *GRID, "-i", "4h", "--set", "fast=8", "--set", "slow=40")
    assert answer.exit_code == 0, answer.exception
    assert "fast=8, slow=40" in answer.stdout and "trend fails" in answer.stdout


def test_a_tear_sheet_shows_the_verdict_on_record_of_its_parameters_only(run, lake):
    answer = run("overfit", "trend", *GRID, "-i", "4h", "--set", "fast=8", "--set", "slow=40", "--json")
    summary = json.loads(answer.stdout)["summary"]
    examined, other = (
        backtest("trend", "BTCUSDT", "4h", params={"fast": fast, "slow": 40}, lake=lake) for fast in (8, 4)
    )
    assert examined.verdict is not None and summary in examined.page
    assert repr(examined).startswith("<trend on BTCUSDT 4h, ") and len(repr(examined)) < 150
    assert other.verdict is None and "how much of the result is luck is unknown" in other.page
    assert "Examined were below 0, fast 8, slow 40" in other.page and "Examined were" not in examined.page


def test_walk_forward_tells_every_refit(run):
    answer = run(
        "walk-forward", "trend", *GRID, "-s", "BTCUSDT", "-s", "ETHUSDT", "-i", "4h",
        "--train-days", "60", "--test-days", "30", "--json",
    )  # fmt: skip
    assert answer.exit_code == 0, answer.exception
    body = json.loads(answer.stdout)
    assert body["refits"] == 2 and body["days"] == 60
    assert body["steps"][0]["traded_from"] == "2020-03-01"
    growth = (1 + body["steps"][0]["test_return"]) * (1 + body["steps"][1]["test_return"])
    assert growth == pytest.approx(1 + body["total_return"])
    words = run("walk-forward", "trend", *GRID, "-i", "4h", "--train-days", "60", "--test-days", "30").stdout
    assert "Out of sample" in words


def test_trials_counts_what_every_command_tried(run):
    run("overfit", "trend", *GRID, "-i", "4h")
    run("walk-forward", "trend", "--grid", "fast=4,6", "-s", "ETHUSDT", "-i", "4h", "--train-days", "60")
    body = json.loads(run("trials", "trend", "--json").stdout)
    assert body["counts"][0]["trials"] == body["recorded"] == 6
    assert "Distinct trials" in run("trials").stdout


def test_an_empty_registry_says_so(run):
    assert json.loads(run("trials", "--json").stdout) == {"counts": [], "recorded": 0, "rows": []}


def test_mistakes_are_explained(run):
    assert isinstance(run("overfit", "trend", "--grid", "fast", "-i", "4h").exception, ConfigError)
    not_tried = run("overfit", "trend", *GRID, "-i", "4h", "--set", "fast=5").exception
    assert isinstance(not_tried, RiskError) and "not one of the 4 trials" in str(not_tried)
    too_long = run("walk-forward", "trend", *GRID, "-i", "4h", "--train-days", "120").exception
    assert isinstance(too_long, RiskError) and "nothing to test" in str(too_long)


def test_promote_shows_the_pack_and_refuses_with_reasons(run, monkeypatch):
    chosen = ("promote", "trend", "-i", "4h", "--set", "fast=8", "--set", "slow=40")
    before = json.loads(run(*chosen, "--json").stdout)
    assert (before["standing"], before["to"], before["complete"]) == ("RESEARCH", "BACKTEST", False)
    run("overfit", "trend", *GRID, "-i", "4h", "--set", "fast=8", "--set", "slow=40")
    assert json.loads(run(*chosen, "--json").stdout)["complete"]
    people = ("--author", "ann", "--authoriser", "bob")
    assert "designated" in str(run(*chosen, "--to", "BACKTEST", *people).exception)
    monkeypatch.setenv("QTM_CONTROL__AUTHORISERS", '["bob"]')
    settings.cache_clear()
    granted = run(*chosen, "--to", "backtest", *people)
    assert granted.exit_code == 0 and "stands at BACKTEST" in granted.stdout
    refused = run(*chosen, "--to", "REPLAY", *people).exception
    assert isinstance(refused, RiskError) and "Deflated Sharpe ratio" in str(refused)
    words = run(*chosen).stdout
    assert "BACKTEST to REPLAY" in words and "not met" in words


def test_promote_explains_mistakes(run):
    wrong = run("promote", "trend", "--to", "MOON", "--author", "a", "--authoriser", "b").exception
    assert isinstance(wrong, ConfigError) and "RESEARCH, BACKTEST" in str(wrong)
    wrong = run("promote", "trend", "--waive", "luck").exception
    assert isinstance(wrong, ConfigError) and "deflated_sharpe" in str(wrong)


def test_plain_backtests_and_sweeps_are_counted_too(run, lake):
    backtest("trend", "BTCUSDT", "4h", params={"fast": 4, "slow": 20}, lake=lake)
    sweep("trend", "BTCUSDT", "4h", grid={"fast": [4, 8], "slow": [20]}, lake=lake)
    body = json.loads(run("trials", "--json").stdout)
    assert (body["recorded"], body["counts"][0]["trials"]) == (3, 2)


def test_an_account_of_many_symbols_is_examined_walked_and_promoted(run):
    place = ("-s", "BTCUSDT,ETHUSDT", "-i", "4h")
    grid = ("--grid", "lookback=12,30", "--grid", "hold=1")
    chosen = ("--set", "lookback=12", "--set", "hold=1")
    answer = run("overfit", "cross-momentum", *grid, *place, *chosen, "--json")
    assert answer.exit_code == 0, answer.exception
    subject = json.loads(answer.stdout)["subject"]
    assert subject["symbols"] == ["BTCUSDT", "ETHUSDT"] and subject["trials"] == 2
    pack = json.loads(run("promote", "cross-momentum", *place, *chosen, "--json").stdout)
    assert pack["complete"] and pack["candidate"]["symbol"] == "BTCUSDT+ETHUSDT"
    other = json.loads(
        run("promote", "cross-momentum", "-s", "BTCUSDT", "-i", "4h", *chosen, "--json").stdout
    )
    assert not other["complete"]
    walked = run("walk-forward", "cross-momentum", *grid, *place, "--train-days", "60", "--json")
    assert json.loads(walked.stdout)["steps"][0]["symbol"] == "BTCUSDT+ETHUSDT"


def test_a_choice_among_symbols_and_an_account_of_them_are_reported_in_files_of_their_own():
    names = [Where(choices, "1d", {}).file_name for choices in (("A", "B"), ("A,B",), ("A", "um:B,C"))]
    assert names == ["A-or-B-1d", "A+B-1d", "A-or-um-B+C-1d"]
