"""Saved runs come back as they were, and a comparison says what is alike and what is not."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qtm.backtest.engine import BacktestResult, run_backtest
from qtm.backtest.look_ahead import proof_market
from qtm.backtest.overfitting.walk_forward import walk_forward
from qtm.backtest.search.space import Space
from qtm.errors import DataError, StoreError
from qtm.reports.comparison import compare, comparison_document, correlation, differences
from qtm.reports.page import render_page
from qtm.reports.run_folder import SavedRun, read_run, write_run
from qtm.reports.walk_forward_report import walk_forward_document
from qtm.strategies.bundled.trend import strategy as trend
from qtm.trading.book import Sizing
from qtm.trading.costs import SPOT_COSTS
from tests.backtest.overfitting.market import bars_from, conditions, trending_steps
from tests.backtest.scripted import instrument


def result(fast: int, rate: float = 0.001) -> BacktestResult:
    return run_backtest(
        trend, {"fast": fast, "slow": 30}, proof_market(6_000, 2), instrument(), cash=1e5,
        costs=SPOT_COSTS._replace(taker_rate=rate), sizing=Sizing(), data_version=3,
    )  # fmt: skip


def saved(folder: Path, run: BacktestResult) -> SavedRun:
    return read_run(write_run(folder, run, run.bars.open_time_ms + run.bars.interval.ms))


def test_a_run_comes_back_as_it_was_written(tmp_path: Path) -> None:
    run = result(5)
    back = saved(tmp_path / "a", run)
    np.testing.assert_array_equal(back.equity, run.equity)
    assert back.time_ms[0] == run.bars.open_time_ms[0] + 3_600_000
    for name, value in run.statistics.as_dict().items():
        assert back.statistics[name] == value or (math.isnan(back.statistics[name]) and math.isnan(value))
    assert back.lineage["params"] == {"fast": 5, "slow": 30, "below": 0.0}
    assert pl.read_parquet(tmp_path / "a" / "orders.parquet").equals(run.orders)
    assert pl.read_parquet(tmp_path / "a" / "trades.parquet").height == len(run.trades)


def test_a_run_replaces_a_run_but_never_anything_else(tmp_path: Path) -> None:
    saved(tmp_path / "a", result(5))
    assert saved(tmp_path / "a", result(9)).lineage["params"]["fast"] == 9
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").write_text("years of work")
    with pytest.raises(StoreError, match="not a run"):
        saved(tmp_path / "notes", result(5))
    assert (tmp_path / "notes" / "thesis.txt").read_text() == "years of work"


def test_what_is_not_a_run_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not the folder of a run"):
        read_run(tmp_path / "nothing")
    saved(tmp_path / "old", result(5))
    path = tmp_path / "old" / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(DataError, match="format 99"):
        read_run(tmp_path / "old")


def test_only_what_differs_is_listed(tmp_path: Path) -> None:
    runs = [saved(tmp_path / "a", result(5)), saved(tmp_path / "b", result(9, rate=0.002))]
    assert differences(runs) == {"params.fast": [5, 9], "costs.taker_rate": [0.001, 0.002]}
    assert differences([runs[0], runs[0]]) == {}


def test_correlation_is_that_of_the_days_in_common() -> None:
    random = np.random.default_rng(1)
    daily = random.normal(0.0, 0.01, 300)
    day_ms = 86_400_000

    def run(returns: np.ndarray, first_day: int) -> SavedRun:
        times = (first_day + 1 + np.arange(returns.size)) * day_ms
        return SavedRun("x", 100.0, {}, {}, times, 100.0 * np.cumprod(1.0 + returns))

    found = correlation([run(daily, 0), run(2 * daily[50:], 50), run(-daily[:200], 0), run(daily[:2], 500)])
    assert found[0, 1] == pytest.approx(1.0) and found[0, 2] == pytest.approx(-1.0, abs=1e-3)
    assert np.isnan(found[0, 3]) and (np.diag(found) == 1.0).all()


def test_the_page_names_every_run_and_marks_the_best(tmp_path: Path) -> None:
    runs = [saved(tmp_path / "quick", result(5)), saved(tmp_path / "slow", result(20))]
    page = render_page(comparison_document(runs))
    assert "quick" in page and "slow" in page and "params.fast" in page and 'good">' in page
    assert "do not cover the same days" not in page and "CVaR 95 %" in page
    with pytest.raises(DataError, match="at least two"):
        compare(runs[:1])


def test_a_length_of_time_is_not_shown_as_a_day_and_other_days_are_said(tmp_path: Path) -> None:
    runs = [saved(tmp_path / name, result(5)) for name in ("short", "long")]
    limits = {"limits": {"message_window_ms": 10_000.0}}
    shifted = runs[1].time_ms + 40 * 86_400_000
    other = dataclasses.replace(runs[1], lineage={**runs[1].lineage, **limits}, time_ms=shifted)
    page = render_page(comparison_document([runs[0], other]))
    assert "10000" in page and "1970-01-01" not in page
    assert "The runs do not cover the same days." in page


def test_the_walk_forward_page_shows_every_window() -> None:
    space = Space.of(trend, {"fast": [3, 5, 8], "slow": [10, 20]})
    market = conditions(bars_from(trending_steps(400, 3)))
    found = walk_forward(trend, space.all(), [market], train_days=120, test_days=40)
    document = walk_forward_document(found, strategy="trend", interval="1d")
    windows = document.sections[-1].blocks[0]
    assert len(windows.rows) == len(found.steps) >= 5  # type: ignore[union-attr]
    page = render_page(document)
    assert "Promised" in page and "fast" in page


def test_both_pages_print(tmp_path: Path) -> None:
    from qtm.reports.pdf import write_pdf

    space = Space.of(trend, {"fast": [3, 8], "slow": [20]})
    market = conditions(bars_from(trending_steps(300, 3)))
    found = walk_forward(trend, space.all(), [market], train_days=120, test_days=40)
    runs = [saved(tmp_path / "quick", result(5)), saved(tmp_path / "slow", result(20))]
    for document in (
        walk_forward_document(found, strategy="trend", interval="4h"),
        comparison_document(runs),
    ):
        path = write_pdf(tmp_path / "page.pdf", document, made_ms=1_700_000_000_000)
        assert path.read_bytes().startswith(b"%PDF-")
