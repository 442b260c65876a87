"""`qtm backtest STRATEGY -i trades` on USD-M trades of the lake, funding included."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from qtm.cli import honesty, research, sweep
from qtm.errors import DataError
from qtm.market.datasets import Window, trades_dataset
from qtm.market.instruments import Market
from qtm.market.lake import Lake
from qtm.market.schemas import TRADE_SCHEMA
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
    assert found["lineage"]["interval"] == "trades" and len(found["lineage"]["funding"]) == 16
    assert found["lineage"]["data_versions"] == {"um_trades": 0, "um_funding": 0}
    assert found["statistics"]["funding"] != 0.0
    assert "grid on BTCUSDT trades" in page.read_text()


def test_trades_of_a_perpetual_without_its_funding_are_refused(lake: Lake) -> None:
    with pytest.raises(DataError, match="funding"):
        backtest("grid", "um:BTCUSDT", "trades", gated=False)


@pytest.fixture
def days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Eight days of spot trades, a trade each minute."""
    monkeypatch.setenv("QTM_HOME", str(tmp_path))
    settings.cache_clear()
    made = Lake(str(tmp_path / "lake"))
    made.write_instruments(synthetic_instruments(Market.SPOT))
    random = np.random.default_rng(3)
    count = 8 * 1_440
    price = np.round(40_000.0 + np.cumsum(random.normal(0.0, 15.0, count)), 2)
    frame = pl.DataFrame(
        {
            "symbol": "BTCUSDT", "time_ms": START_MS + np.arange(count) * 60_000,
            "trade_id": np.arange(count),
            "price": price, "qty": np.full(count, 0.5), "first_id": np.arange(count),
            "last_id": np.arange(count), "buyer_is_maker": random.random(count) < 0.5,
        },
        schema=TRADE_SCHEMA,
    )  # fmt: skip
    window = Window(("BTCUSDT",), START_MS, START_MS + 8 * 86_400_000)
    made.replace(trades_dataset(Market.SPOT), lambda: iter([frame]), [window])
    yield made
    settings.cache_clear()


ON_TRADES = ("grid", "-s", "BTCUSDT", "-i", "trades", "--grid", "levels=5,10", "--grid", "step=20,40")


def answer(*arguments: str) -> dict:  # type: ignore[type-arg]
    app = typer.Typer()
    research.register(app)
    honesty.register(app)
    sweep.register(app)
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, f"{done.output} {done.exception}"
    found: dict = json.loads(done.stdout)  # type: ignore[type-arg]
    return found


def test_orders_on_trades_are_swept_and_examined_and_the_trials_are_runs_of_the_same_tape(
    days: Lake, tmp_path: Path
) -> None:
    page = str(tmp_path / "sweep.html")
    swept = answer("sweep", *ON_TRADES, "--ungated", "--report", page)
    assert swept["memory_bytes"] < 2**20 < 4 * 8 * 1_440 * 32, "the tape is mapped, not held"
    assert swept["combinations"] == 4
    best = swept["rows"][0]
    alone = answer(
        "backtest", "grid", "-s", "BTCUSDT", "-i", "trades", "--ungated", "--report", page,
        "--set", f"levels={best['levels']}", "--set", f"step={best['step']}",
    )  # fmt: skip
    assert alone["statistics"]["total_return"] == best["total_return"] != 0.0
    found = answer("overfit", *ON_TRADES, "--report", str(tmp_path / "luck.html"))
    assert found["figures"]["trials"]["trials"] == 4 and "trades" in str(found["subject"])
    assert found["figures"]["doubled_cost_return"] < best["total_return"]
    assert not found["passed"] and "needs at least 32 days" in found["figures"]["unmeasured"]["overfitting"]
    files = [path for path in (tmp_path / "columns").rglob("*") if path.is_file()]
    assert len(files) == 1, "one mapped tape serves them all"


def test_orders_on_trades_walk_forward(days: Lake, tmp_path: Path) -> None:
    walked = answer(
        "walk-forward", *ON_TRADES, "--train-days", "3", "--test-days", "2",
        "--report", str(tmp_path / "walk.html"),
    )  # fmt: skip
    assert walked["days"] == 5 and walked["refits"] == 3
