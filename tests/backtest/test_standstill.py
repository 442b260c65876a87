"""What is said of a run that its loss limits stopped, by runs of the engine."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from qtm.backtest.account.engine import run_account
from qtm.backtest.account.panel import Listed, Panel
from qtm.backtest.account.result import AccountResult
from qtm.backtest.account.seats import Seat
from qtm.backtest.account.terms import Conditions
from qtm.backtest.engine import BacktestResult, run_backtest
from qtm.backtest.session import LossLimit
from qtm.backtest.standstill import Standstill
from qtm.backtest.statistics import daily_returns, sharpe_ratio
from qtm.market.bars import BarSeries
from qtm.market.intervals import Interval
from qtm.reports.account_sheet import account_sheet_document
from qtm.reports.comparison import compare, comparison_document
from qtm.reports.page import render_page
from qtm.reports.run_folder import read_run, write_run
from qtm.reports.tear_sheet import tear_sheet_page
from qtm.risk.rules import HALTED, REDUCING, GateLimits
from qtm.trading.book import SIZE_BY_UNITS, Sizing
from qtm.trading.costs import FEE_IN_QUOTE, CostModel
from tests.backtest.scripted import NO_CHANGE, START_MS, bars, instrument, scripted

DAY_MS = 86_400_000
LIMITS = GateLimits(1e9, 1e9, 0.5, 0.2, 0.9, 1e9, 1e9, 1e9)
FREE = CostModel(0.0, 0.0, 0.0, FEE_IN_QUOTE)
ONE_UNIT = Sizing(SIZE_BY_UNITS, 1.0)
FALLING = [(100, 1), (110, NO_CHANGE), (80, NO_CHANGE), (70, 0), (70, NO_CHANGE), *[(70, 1), (70, 0)] * 10]
"""A unit bought at 100 of a capital of 200 falls to 70, is sold, and is wished for in vain ten times."""


def market(rows: list[tuple[float, float]]) -> BarSeries:
    opens = [100.0, *(close for close, _ in rows[:-1])]
    return bars([(opened, *row) for opened, row in zip(opens, rows, strict=True)], Interval.D1)


def play(word: int, max_drawdown: float, rows: list[tuple[float, float]] = FALLING) -> BacktestResult:
    limits = LIMITS._replace(at_loss_limit=float(word), max_drawdown=max_drawdown)
    return run_backtest(
        scripted, None, market(rows), instrument(), cash=200.0, costs=FREE, sizing=ONE_UNIT, limits=limits
    )


def play_twice(word: int, max_drawdown: float, second: list[tuple[float, float]]) -> AccountResult:
    """Half of the cash each on the falling market and on a second one."""
    listed = [
        Listed(dataclasses.replace(instrument(), symbol=name), dataclasses.replace(market(rows), symbol=name))
        for name, rows in (("AUSDT", FALLING), ("BUSDT", second))
    ]
    seats = [Seat(scripted, share=0.5, symbols=(one.instrument.symbol,), sizing=ONE_UNIT) for one in listed]
    limits = LIMITS._replace(at_loss_limit=float(word), max_drawdown=max_drawdown)
    return run_account(seats, Panel.of(listed), Conditions(400.0, costs=FREE, limits=limits))


def test_a_run_kept_out_by_its_loss_says_since_when_and_what_it_was_before() -> None:
    run = play(REDUCING, 0.2)
    # 170 of a peak of 210: within the limit of 20 %, above the 16 % from which entries are refused
    assert run.limit_notes == [] and run.order_rows["filled_lots"].tolist()[:2] == [1_000.0, -1_000.0]
    stopped = run.standstill
    assert stopped is not None
    before = daily_returns(run.open_time_ms[:6], run.equity[:6], 200.0)
    assert stopped == Standstill(
        START_MS + 6 * DAY_MS, 19 / 25, 19 / 25, 6.0, sharpe_ratio(before),
        pytest.approx((170 / 200) ** (365 / 6) - 1), pytest.approx(40 / 210),
    )  # fmt: skip
    assert stopped.sharpe < run.statistics.sharpe < 0.0, "the standstill flatters it"
    assert stopped.in_words() == (
        "trading stopped on 2024-01-07 by a loss limit (PT-09): nothing traded since, 76 % of the time, flat"
    )


def test_a_halted_run_holds_what_it_had() -> None:
    stopped = play(HALTED, 0.1).standstill
    assert stopped is not None and stopped.since_ms == START_MS + 3 * DAY_MS
    assert (stopped.share, stopped.flat) == (22 / 25, 0.0)
    assert stopped.aftermath == "88 % of the time, holding what it had"


def test_a_run_that_could_trade_to_its_end_has_none() -> None:
    assert play(HALTED, 0.3).standstill is None
    # Refused more while the loss is near its limit; it may still sell what it holds.
    holding = [*FALLING[:3], (80, 2), *[(80, NO_CHANGE)] * 9]
    run = play(REDUCING, 0.15, holding)
    assert (run.order_rows["breached"] != 0).any() and run.standstill is None
    back = play(REDUCING, 0.15, [*holding, (104, 1.5), (104, 0), (104, NO_CHANGE)])
    assert back.order_rows["filled_lots"].tolist()[-1] == -1_500.0 and back.standstill is None


def test_figures_of_a_traded_part_that_is_too_short_do_not_exist() -> None:
    minutes = dataclasses.replace(play(HALTED, 0.1), bars=bars([(100, 100, 0)] * len(FALLING)))
    moved = dataclasses.replace(minutes, loss_limit=LossLimit(START_MS + 60_000, True)).standstill
    assert moved is not None and moved.days == 1 / 1_440
    assert math.isnan(moved.sharpe) and math.isnan(moved.annual_return)


def test_missing_bars_make_the_traded_part_no_shorter() -> None:
    run = play(REDUCING, 0.2)
    open_time_ms = run.bars.open_time_ms + np.where(np.arange(len(run.bars)) > 2, 100 * DAY_MS, 0)
    rows = run.order_rows.copy()
    rows["decided_ms"] += np.where(rows["bar"] > 2, 100 * DAY_MS, 0)
    gap = dataclasses.replace(
        run, bars=dataclasses.replace(run.bars, open_time_ms=open_time_ms), order_rows=rows
    ).standstill
    assert gap is not None and gap.days == 106.0
    assert gap.annual_return == pytest.approx((170 / 200) ** (365 / 106) - 1)


@pytest.mark.parametrize(("word", "max_drawdown"), [(REDUCING, 0.2), (HALTED, 0.13)])
def test_an_account_stands_still_when_all_of_its_strategies_do(word: int, max_drawdown: float) -> None:
    quiet = [(100.0, target) for _, target in FALLING]
    assert play_twice(word, max_drawdown, quiet).standstill is None
    both, alone = play_twice(word, max_drawdown, FALLING), play(word, max_drawdown)
    assert both.standstill is not None and both.standstill == alone.standstill
    assert "Sharpe while it traded" in render_page(account_sheet_document(both))


def test_sheet_folder_and_comparison_say_it_beside_the_ratios(tmp_path: Path) -> None:
    run, free = play(REDUCING, 0.2), play(REDUCING, 0.9)
    stopped = run.standstill
    assert stopped is not None
    page = tear_sheet_page(run)
    for words in ("Trading stopped", "2024-01-07", "Sharpe while it traded", "Sharpe, whole time"):
        assert words in page, words
    assert page.index("Trading stopped") < page.index("Total return")
    assert f"T{stopped.in_words()[1:]}" in page
    assert "Trading stopped" not in tear_sheet_page(free)
    times = run.open_time_ms + DAY_MS
    saved = [read_run(write_run(tmp_path / name, one, times)) for name, one in (("a", run), ("b", free))]
    assert [one.standstill for one in saved] == [stopped, None]
    assert (
        json.loads((tmp_path / "a" / "result.json").read_text())["standstill"]["since_ms"] == stopped.since_ms
    )
    assert compare(saved)["runs"][0]["standstill"]["flat"] == 19 / 25
    compared = render_page(comparison_document(saved))
    assert "Trading stopped by a loss limit" in compared and stopped.aftermath in compared
