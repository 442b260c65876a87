"""`qtm dossier` as a user runs it: a template, then everything on record beside what was written."""

import json

import pytest
import typer
from sqlalchemy import insert
from typer.testing import CliRunner

from qtm.cli import dossier
from qtm.errors import ConfigError
from qtm.settings import settings
from qtm.store.database import open_database
from qtm.store.schema import kills, runs
from qtm.strategies.registry import load_strategy
from tests.control.support import fill_in


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("QTM_HOME", str(tmp_path))
    settings.cache_clear()
    app = typer.Typer()
    dossier.register(app)
    yield lambda *words: CliRunner().invoke(app, words, catch_exceptions=True)
    settings.cache_clear()


def test_the_template_goes_where_promotion_looks_and_is_never_overwritten(run, tmp_path):
    answer = run("trend", "--new", "--json")
    assert json.loads(answer.stdout) == {"file": str(tmp_path / "dossiers" / "trend.toml")}
    again = run("trend", "--new").exception
    assert isinstance(again, ConfigError) and "nothing was overwritten" in str(again)


def test_the_whole_dossier_is_written_words_and_records(run, tmp_path):
    database = open_database(settings().database)
    setup = json.dumps({"params": {"fast": "3", "slow": "20"}, "interval": "1h"})
    row = {
        "account": "paper", "strategy": "trend", "strategy_version": load_strategy("trend").version, "pid": 1,
        "settings": setup, "started_ms": 0, "heartbeat_ms": 0, "ended_ms": 9, "state": "STOPPED",
        "summary": json.dumps({"bars": 77, "fills": 2}),
    }  # fmt: skip
    kill = {"account": "paper", "actor": "ann", "latched_ns": 1}
    with database.write() as connection:
        connection.execute(insert(runs).values(run_id="ours", symbols="BTCUSDT", **row))
        connection.execute(insert(runs).values(run_id="another", symbols="ETHUSDT", **row))
        connection.execute(insert(kills).values(scope="strategy", target="trend", reason="drill", **kill))
        connection.execute(insert(kills).values(scope="symbol", target="ETHUSDT", reason="no", **kill))
    chosen = ("trend", "--set", "fast=3", "--set", "slow=20")
    before = json.loads(run(*chosen, "--json").stdout)
    assert not before["dossier"]["complete"] and "there is no dossier" in before["dossier"]["problem"]
    fill_in(tmp_path / "dossiers")
    page = tmp_path / "page.html"
    body = json.loads(run(*chosen, "--json", "-o", str(page)).stdout)
    assert body["dossier"]["complete"] and body["dossier"]["says"]["owner"] == "the desk head"
    known = body["on_record"]
    assert known["candidate"]["code"] == load_strategy("trend").digest
    assert [(one["run_id"], one["bars"]) for one in known["runs"]] == [("ours", 77)]
    assert [one["reason"] for one in known["kills"]] == ["drill"]
    assert known["limits"]["BTCUSDT"]["max_order_value"] == {"value": "150000", "set_by": "firm"}
    assert known["standing"] == "RESEARCH" and known["verdict"] is None and known["promotions"] == []
    assert all(one["passed"] for one in known["proofs"])
    shown = run(*chosen).stdout
    for words in ("earns where a trend lasts", "150000", "bit for bit", "drill", "qtm overfit"):
        assert words in shown and words in page.read_text()
