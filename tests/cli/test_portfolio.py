"""`qtm optimize` and `qtm report` as a user runs them."""

import json
from decimal import Decimal

import pytest
import typer
from typer.testing import CliRunner

from qtm.cli import portfolio
from qtm.errors import ConfigError, DataError
from qtm.market.synthetic import synthetic_instruments
from qtm.settings import settings
from tests.portfolio.lake import daily_lake


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return daily_lake(tmp_path_factory.mktemp("lake"))


@pytest.fixture
def run(lake, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QTM_HOME", str(tmp_path))
    monkeypatch.setenv("QTM_LAKE", lake.uri)
    settings.cache_clear()
    app = typer.Typer()
    portfolio.register(app)
    yield lambda *words: CliRunner().invoke(app, words, catch_exceptions=True)
    settings.cache_clear()


def test_optimize_prints_one_json_object_within_the_cap(run):
    answer = run("optimize", "--cap", "0.03", "--max-weight", "0.4", "--window", "365", "--json")
    body = json.loads(answer.stdout)
    assert body["cvar"] <= 0.03 + 1e-7
    assert max(body["weights"].values()) <= 0.4 + 1e-7
    assert "ADAUSDT" in body["excluded"]


def test_optimize_reads_for_a_person(run):
    answer = run("optimize", "--cap", "0.03", "--max-weight", "0.4")
    assert "share of CVaR" in answer.stdout and "proven gap" in answer.stdout
    assert "left out: ADAUSDT" in answer.stdout


def test_an_impossible_mandate_says_what_to_relax(run):
    answer = run("optimize", "--cap", "0.001", "--fully-invested", "--max-weight", "0.4", "--json")
    body = json.loads(answer.stdout)
    assert body["outcome"] == "fallback"
    assert "CVaR 95 % cap" in body["relaxations"][0]


def test_report_writes_page_and_data(run, tmp_path):
    answer = run("report", "--json", "--max-weight", "0.4", "--out", str(tmp_path / "reports"))
    body = json.loads(answer.stdout)
    assert (tmp_path / "reports" / "risk-2023-06-19.html").read_text().startswith("<!DOCTYPE html>")
    assert body["limits"] and body["page"].endswith("risk-2023-06-19.html")


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (["optimize", "--cap", "-1"], ConfigError, "out of range"),
        (["optimize", "--objective", "luck"], ConfigError, "max-return, min-cvar"),
        (["optimize", "--as-of", "yesterday"], ConfigError, "YYYY-MM-DD"),
        (["optimize", "--held", "missing.json"], ConfigError, "missing.json"),
        (["report", "--as-of", "2019-01-01"], DataError, "up to 2019"),
    ],
)
def test_bad_input_ends_in_one_clear_error(run, words, error, message):
    answer = run(*words)
    assert isinstance(answer.exception, error)
    assert message in str(answer.exception)


def test_a_walk_forward_compares_three_books(run):
    words = (
        "optimize",
        "--walk-forward",
        "--window",
        "365",
        "--max-weight",
        "0.4",
        "--every",
        "90",
        "--cost-bps",
        "10",
    )
    body = json.loads(run(*words, "--json").stdout)
    assert [book["book"] for book in body["books"]] == ["cvar-capped", "equal-weight", "minimum-variance"]
    assert "realised over cap" in run(*words).stdout


def test_lots_are_the_book_at_the_last_close(run, lake):
    lake.write_instruments(synthetic_instruments())
    body = json.loads(run("optimize", "--max-weight", "0.4", "--lots", "--json").stdout)
    assert set(body["positions"]) == set(body["weights"])
    total = sum(Decimal(entry["value"]) for entry in body["positions"].values()) + Decimal(body["lot_cash"])
    assert total == Decimal(100_000)
    assert "In lots" in run("optimize", "--max-weight", "0.4", "--lots").stdout


def test_scenario_model_further_cap_rival_and_radius_reach_the_answer(run):
    words = ("--scenarios", "t-copula", "--draws", "800", "--seed", "3", "--cap-at", "0.99:0.08")
    robust = ("--also", "filtered", "--radius", "0.0002", "--window", "365", "--max-weight", "0.4", "--json")
    body = json.loads(run("optimize", *words, *robust).stdout)
    assert body["scenario_model"].startswith("t copula")
    assert body["scenario_seed"] == 3 and body["scenarios"] == 800
    assert body["tail_risk"] > body["cvar"]
    assert body["scenario_parameters"]["draws"] == 800


def test_a_cap_that_names_no_level_is_refused(run):
    answer = run("optimize", "--cap-at", "0.07")
    assert isinstance(answer.exception, ConfigError) and "0.99:0.07" in str(answer.exception)


def test_a_view_and_the_mean_it_moves_reach_the_answer(run):
    words = ("optimize", "--mean", "equilibrium", "--covariance", "oas", "--window", "365", "--json")
    plain = json.loads(run(*words).stdout)
    first, second = list(plain["weights"])[:2]
    told = json.loads(run(*words, "--view", f"{first}-{second}:-0.05@1").stdout)
    assert told["weights"].get(first, 0.0) < plain["weights"][first]
    wrong = run(*words, "--view", "much of BTCUSDT")
    assert isinstance(wrong.exception, ConfigError) and "SOLUSDT-BTCUSDT:0.001@0.6" in str(wrong.exception)


def test_what_stands_in_for_an_impossible_mandate_shows_no_gap_and_a_least_cvar_no_cap(run):
    words = ("--window", "365", "--max-weight", "0.4")
    fallback = run("optimize", "--cap", "0.0001", "--fully-invested", *words).stdout
    assert "relax CVaR 95 % cap" in fallback.replace("\n", " ") and "gap" not in fallback
    least = run("optimize", "--objective", "min-cvar", *words).stdout
    assert "proven gap" in least and "(cap" not in least


def test_what_was_printed_can_be_held_and_traded_from(run, tmp_path):
    words = ("optimize", "--window", "365", "--max-weight", "0.4", "--json")
    first = run(*words, "--objective", "min-cvar").stdout
    (tmp_path / "book.json").write_text(first)
    held = ("--held", str(tmp_path / "book.json"))
    idle = json.loads(run(*words, *held, "--cost-bps", "500", "--every", "1").stdout)
    assert idle["weights"] == pytest.approx(json.loads(first)["weights"], abs=1e-6)
    moved = json.loads(run(*words, *held, "--cost-bps", "500", "--every", "3000").stdout)
    assert moved["weights"] != pytest.approx(idle["weights"], abs=1e-3)
