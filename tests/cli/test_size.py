"""`qtm size`: the rule's weight cut to the limits, in whole lots, from the lake's own bars."""

import json

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from qtm.cli import size
from qtm.errors import ConfigError, DataError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.market.schemas import BAR_SCHEMA
from qtm.market.synthetic import synthetic_instruments
from qtm.settings import settings

DAY = 86_400_000
DAYS = 200
CLOSES = 100 * np.cumprod(1 + np.random.default_rng(1).normal(0, 0.02, DAYS))


@pytest.fixture
def run(tmp_path, monkeypatch):
    lake = Lake(str(tmp_path / "lake"))
    frame = {name: np.zeros(DAYS) for name in BAR_SCHEMA}
    frame |= {"symbol": ["BTCUSDT"] * DAYS, "open_time_ms": DAY * np.arange(DAYS)}
    frame |= {"open": CLOSES, "high": CLOSES * 1.01, "low": CLOSES * 0.99, "close": CLOSES}
    bars = pl.DataFrame(frame).select(pl.col(name).cast(kind) for name, kind in BAR_SCHEMA.items())
    lake.write_bars(Market.SPOT, Interval.D1, bars, start_ms=0, end_ms=DAYS * DAY)
    lake.write_instruments([one for one in synthetic_instruments() if one.symbol == "BTCUSDT"])
    monkeypatch.setenv("QTM_LAKE", lake.uri)
    settings.cache_clear()
    app = typer.Typer()
    size.register(app)

    def invoke(*words):
        answer = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
        assert answer.exit_code == 0, answer.output
        return json.loads(answer.stdout)

    yield invoke
    settings.cache_clear()


def test_a_stop_loses_the_share_asked_for_rounded_down_to_lots(run):
    body = run(
        "BTCUSDT", "--sizing", "fixed:risk=0.01", "--price", "100", "--stop", "90", "--equity", "10000"
    )
    assert body["weight"] == pytest.approx(0.1)
    assert body["loss_at_stop"] == pytest.approx(100.0, rel=1e-4) and body["loss_at_stop"] <= 100.0
    assert body["side"] == "BUY" and body["tradable"]


def test_a_size_is_cut_to_the_limit_in_force(run, tmp_path):
    file = tmp_path / "limits.toml"
    file.write_text("[firm]\nmax_order_value = 1000\n")
    body = run("BTCUSDT", "--sizing", "volatility:target=0.5", "--limits", str(file))
    assert body["cut_to_limit"] and 990 < body["value"] <= 1000


def test_a_short_ticket_and_a_ticket_too_small_say_so(run):
    body = run("BTCUSDT", "--sizing", "volatility:target=0.0000001", "--short", "--equity", "100")
    assert body["side"] == "SELL" and not body["tradable"]


def test_a_rule_without_its_inputs_and_an_unknown_symbol_are_refused(run):
    with pytest.raises(ConfigError, match="does not know enough"):
        run("BTCUSDT", "--sizing", "fixed:risk=0.01")
    with pytest.raises(DataError, match="ETHUSDT"):
        run("ETHUSDT")
