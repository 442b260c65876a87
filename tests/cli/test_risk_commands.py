"""`qtm stress` and `qtm model-backtest` on a small lake of their own."""

import json

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from qtm.cli import risk, stress
from qtm.errors import ConfigError, DataError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.market.schemas import BAR_SCHEMA
from qtm.settings import settings

DAY = 86_400_000
START = 1_609_459_200_000  # 2021-01-01
DAYS = 700
SYMBOLS = ("BTCUSDT", "ETHUSDT")


def bars(symbol, seed):
    closes = 100 * np.cumprod(1 + np.random.default_rng(seed).normal(size=DAYS) * 0.02)
    crash = (1_621_382_400_000 - START) // DAY  # 2021-05-19
    closes[crash:] *= 0.7
    lows = closes * 0.99
    lows[crash] = closes[crash] * 0.8
    frame = {name: np.zeros(DAYS) for name in BAR_SCHEMA}
    frame |= {"symbol": [symbol] * DAYS, "open_time_ms": START + DAY * np.arange(DAYS)}
    frame |= {
        "open": closes,
        "high": closes * 1.01,
        "low": lows,
        "close": closes,
        "quote_volume": closes * 1e6,
    }
    return pl.DataFrame(frame).select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    uri = str(tmp_path_factory.mktemp("lake"))
    frame = pl.concat(bars(symbol, seed) for seed, symbol in enumerate(SYMBOLS))
    Lake(uri).write_bars(Market.SPOT, Interval.D1, frame, start_ms=START, end_ms=START + DAYS * DAY)
    return uri


@pytest.fixture
def run(lake, monkeypatch):
    monkeypatch.setenv("QTM_LAKE", lake)
    settings.cache_clear()
    app = typer.Typer()
    risk.register(app)
    stress.register(app)

    def invoke(*words):
        answer = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert answer.exit_code == 0, answer.output
        return answer.stdout

    yield invoke
    settings.cache_clear()


def test_stress_replays_the_events_the_lake_covers_and_names_the_others(run):
    body = json.loads(run("stress", "--json"))
    names = [event["name"] for event in body["events"]]
    assert any("19 May 2021" in name for name in names)
    assert any("2024" in name for name in body["events_without_prices"])
    may = next(event for event in body["events"] if "19 May 2021" in event["name"])
    assert may["on_closes"] == pytest.approx(0.3, abs=0.04)
    assert may["on_lows"] == pytest.approx(0.44, abs=0.04)
    assert body["weights"] == {"BTCUSDT": 0.5, "ETHUSDT": 0.5}


def test_stress_takes_weights_and_own_scenarios(run, tmp_path):
    weights, own = tmp_path / "weights.json", tmp_path / "own.toml"
    weights.write_text('{"BTCUSDT": 0.8, "ETHUSDT": -0.8}')
    own.write_text('[[scenario]]\nname = "mine"\notherwise = -0.5\nhedges_removed = true\n')
    body = json.loads(run("stress", "--held", str(weights), "--scenarios", str(own), "--json"))
    mine = next(scenario for scenario in body["scenarios"] if scenario["name"] == "mine")
    assert mine["removed"] == ["ETHUSDT"]
    assert mine["total"] == pytest.approx(0.4)
    daily = next(b for b in body["reverse"]["uniform"] if b["limit"] == "daily loss")
    assert daily["move"] is None
    assert daily["move_without_hedges"] == pytest.approx(-0.05 / 0.8)


def test_tables_are_printed_for_people(run):
    assert "Smallest market move" in run("stress")


def test_model_backtest_judges_the_engines_asked_for(run):
    body = json.loads(
        run("model-backtest", "--engine", "historical", "--engine", "normal", "--window", "300", "--json")
    )
    assert [engine["engine"] for engine in body["engines"]] == ["historical", "normal"]
    assert body["engines"][0]["forecasts"] == DAYS - 1 - 300
    assert body["first_forecast"] == "2021-10-29"
    assert {engine["var99"]["light"] for engine in body["engines"]} <= {"green", "yellow", "red"}


def test_the_trial_is_written_as_a_page(run, tmp_path):
    page = tmp_path / "trial.html"
    body = json.loads(
        run("model-backtest", "--engine", "filtered", "--window", "300", "--page", str(page), "--json")
    )
    text = page.read_text()
    assert body["page"] == str(page)
    assert "filtered (in use)" in text
    assert f"{body['engines'][0]['forecasts']} forecasts from {body['first_forecast']}" in text


def test_a_held_symbol_without_price_is_refused(run, tmp_path):
    weights = tmp_path / "weights.json"
    weights.write_text('{"BTCUSDT": 0.5, "DOGEUSDT": 0.5}')
    with pytest.raises(ConfigError, match="DOGEUSDT"):
        run("stress", "--held", str(weights))


@pytest.mark.parametrize("text", ["{}", "[1]", '{"BTCUSDT": NaN}', "nothing"])
def test_unreadable_weights_are_refused(run, tmp_path, text):
    weights = tmp_path / "weights.json"
    weights.write_text(text)
    with pytest.raises(ConfigError):
        run("stress", "--held", str(weights))


def test_a_roll_up_without_daily_reports_says_how_to_write_them(run, tmp_path):
    with pytest.raises(DataError, match="qtm report"):
        run("roll-up", "--folder", str(tmp_path))
    with pytest.raises(ConfigError, match="weekly or monthly"):
        run("roll-up", "--period", "yearly", "--folder", str(tmp_path))
