"""`qtm ingest`, `quality` and `sql` as a user runs them: from archive files to a waiver."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from qtm.cli import ingest, lake, quality
from qtm.errors import ConfigError, DataError
from qtm.market.lake import Lake
from qtm.settings import settings
from tests.market.archive_files import minutes, put

MONTH = ("--from", "2024-01-01", "--to", "2024-02-01")


@pytest.fixture
def archive(tmp_path) -> Path:
    """January 2024 of two symbols; ETHUSDT misses the two days after its first hour."""
    root = tmp_path / "archive"
    put(root, "BTCUSDT", "2024-01", minutes("2024-01", 6000))
    put(root, "ETHUSDT", "2024-01", minutes("2024-01", 60) + minutes("2024-01", 3000, first=3000))
    return root


@pytest.fixture
def run(tmp_path, archive, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QTM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("QTM_MARKET__ARCHIVE", str(archive))
    settings.cache_clear()
    app = typer.Typer()
    for group in (ingest, quality, lake):
        group.register(app)
    yield lambda *words: CliRunner().invoke(app, words, catch_exceptions=True)
    settings.cache_clear()


def body(answer) -> dict:
    assert answer.exit_code == 0, answer.exception
    return json.loads(answer.stdout)


def test_from_files_to_answers(run):
    taken = body(run("ingest", "bars", *MONTH, "--json"))
    assert taken["rows"] == 9060 and taken["synthetic"] is False
    assert taken["reason"].endswith("is there") and taken["filters_unknown"] == []
    again = body(run("ingest", "bars", *MONTH, "--json"))
    assert (again["rows"], again["parts_unchanged"]) == (0, 2)
    counted = body(run("sql", "SELECT count(*) AS n FROM spot_bars_1m", "--json"))
    assert counted == {"columns": ["n"], "rows": [{"n": 9060}]}
    assert [one.symbol for one in Lake.from_settings(settings()).instruments()] == ["BTCUSDT", "ETHUSDT"]


def test_ingestion_reads_for_a_person(run):
    answer = run("ingest", "bars", *MONTH)
    assert "spot_bars_1m version 0: 9,060 rows" in " ".join(answer.stdout.split())
    assert "BTCUSDT" in answer.stdout and "2024-01-05T03:59" in answer.stdout


def test_quality_blocks_shows_and_lets_a_named_waiver_pass(run):
    run("ingest", "bars", *MONTH)
    judged = run("quality", "run", "--json")
    assert judged.exit_code == 3
    report = json.loads(judged.stdout)
    assert report["blocking_failures"] == 1 and not report["passed"]
    (failure,) = [one for one in report["failures"] if one["severity"] == "blocking"]
    assert (failure["symbol"], failure["check"]) == ("ETHUSDT", "no_long_gap")
    assert failure["spans"] == [{"from": "2024-01-01T01:00:00Z", "to": "2024-01-03T02:00:00Z", "rows": 1}]
    shown = body(run("quality", "show", "--json"))
    assert [one["symbol"] for one in shown["quarantine"]] == ["ETHUSDT"] and shown["waivers"] == []
    waived = run(
        "quality", "waive", "ETHUSDT", "no_long_gap", "--who", "A. Quant", "--why", "listed twice",
        "--from", "2024-01-01", "--to", "2024-01-04", "--until", "2999-01-01",
    )  # fmt: skip
    assert waived.exit_code == 0, waived.exception
    assert body(run("quality", "show", "--json"))["waivers"][0]["in_force"] is True


def test_a_passing_symbol_exits_with_0_and_reads_for_a_person(run):
    run("ingest", "bars", *MONTH)
    answer = run("quality", "run", "-s", "BTCUSDT")
    assert answer.exit_code == 0
    assert "passed; 6,000 rows, 1 symbols" in " ".join(answer.stdout.split())
    blocked = run("quality", "run", "-s", "ETHUSDT")
    assert blocked.exit_code == 3 and "blocking no_long_gap" in blocked.stdout
    assert "ETHUSDT: 49.0 h at 2024-01-01T01:00:00Z to 2024-01-03T02:00:00Z" in blocked.stdout


def test_synthetic_history_says_that_it_is(run):
    taken = body(
        run("ingest", "bars", "--from", "2024-01-01", "--to", "2024-01-02", "--source", "synthetic", "--json")
    )
    assert taken["synthetic"] is True and taken["source"] == "synthetic market, seed 7"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("ingest", "bars", "--from", "2024-02-30"), "'2024-02-30' is not a date"),
        (("ingest", "bars", "--from", "2024-02-01", "--to", "2024-01-01"), "is empty"),
        (("ingest", "bars", "--to", "2999-01-01"), "lies in the future"),
        (("ingest", "bars", "-i", "7m"), "unknown interval '7m'"),
        (
            ("ingest", "bars", "--market", "margin"),
            "unknown value 'margin' [--market] -> use one of spot, um",
        ),
        (("ingest", "bars", "--source", "rumour"), "unknown source 'rumour'"),
        (("ingest", "bars", "-s", " , "), "no symbols given"),
        (("ingest", "bars", "--archive", "nowhere"), "the archive folder does not exist"),
        (("ingest", "bars", *MONTH, "-s", "NOPEUSDT"), "the source has nothing for NOPEUSDT"),
        (("quality", "run"), "dataset 'spot_bars_1m' is not in the lake"),
        (("sql", "SELECT 1 FROM nowhere"), "the query cannot be answered"),
    ],
)
def test_what_cannot_be_done_is_one_message(run, words, message):
    answer = run(*words)
    assert isinstance(answer.exception, ConfigError | DataError), answer.exception
    assert message in str(answer.exception)
    assert "\n" not in str(answer.exception)
