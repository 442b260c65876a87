"""`qtm backtest STRATEGY -i trades` on USD-M trades of the lake, funding included."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from qtm.cli import research
from qtm.errors import DataError
from qtm.market.bars import TRADE_SCHEMA
from qtm.market.datasets import Window, trades_dataset
from qtm.market.instruments import Market
from qtm.market.lake import Lake
from qtm.market.synthetic import synthetic_funding, synthetic_instruments
from qtm.research import backtest
from qtm.settings import settings

START_MS = 1_704_067_200_000
HOURS = 10


def trades() -> pl.DataFrame:
    """A trade each ten seconds for ten hours, so that one payment falls inside."""
    random = np.random.default_rng(5)
    count = HOURS * 360
    price = np.round(40_000.0 + np.cumsum(random.integers(-30, 31, count)) * 0.1, 1)
    return pl.DataFrame(
        {
            "symbol": "BTCUSDT",
            "time_ms": START_MS + np.arange(count) * 10_000,
            "trade_id": np.arange(count),
            "price": price,
            "qty": np.full(count, 0.5),
            "first_id": np.arange(count),
            "last_id": np.arange(count),
            "buyer_is_maker": random.random(count) < 0.5,
        },
        schema=TRADE_SCHEMA,
    )


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.setenv("QTM_HOME", str(tmp_path))
    settings.cache_clear()
    made = Lake(str(tmp_path / "lake"))
    made.write_instruments(synthetic_instruments(Market.UM))
    window = Window(("BTCUSDT",), START_MS, START_MS + HOURS * 3_600_000)
    made.replace(trades_dataset(Market.UM), lambda: iter([trades()]), [window])
    yield made
    settings.cache_clear()


def test_a_perpetual_s_trades_are_charged_their_funding_and_named_as_trades(
    lake: Lake, tmp_path: Path
) -> None:
    end_ms = START_MS + 86_400_000
    lake.write_funding(
        Market.UM, synthetic_funding("BTCUSDT", START_MS, end_ms, 7), start_ms=START_MS, end_ms=end_ms
    )
    app = typer.Typer()
    research.register(app)
    page = tmp_path / "sheet.html"
    done = CliRunner().invoke(
        app,
        ["backtest", "grid", "-s", "um:BTCUSDT", "-i", "trades", "--set", "step=2", "--json", "--ungated",
         "--report", str(page)],
    )  # fmt: skip
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    found = json.loads(done.stdout)
    assert found["lineage"]["interval"] == "trades" and found["lineage"]["funded"]
    assert found["statistics"]["funding"] != 0.0
    assert "grid on BTCUSDT trades" in page.read_text()


def test_trades_of_a_perpetual_without_its_funding_are_refused(lake: Lake) -> None:
    with pytest.raises(DataError, match="funding"):
        backtest("grid", "um:BTCUSDT", "trades", gated=False)
