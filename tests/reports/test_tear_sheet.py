"""The tear sheet is one self-contained page that shows the run's own numbers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from qtm.backtest.engine import BacktestResult, run_backtest
from qtm.backtest.look_ahead import proof_market
from qtm.errors import StoreError
from qtm.market.instruments import Market
from qtm.reports.backtest_figures import thinned
from qtm.reports.blocks import Document, Section, figure, paragraph, table
from qtm.reports.formats import money, percent, price
from qtm.reports.monthly import monthly_returns
from qtm.reports.page import render_page, write_report
from qtm.reports.tear_sheet import tear_sheet_page
from qtm.risk.rules import GateLimits
from qtm.strategies.registry import load_strategy
from qtm.trading.book import Sizing
from qtm.trading.costs import UM_COSTS
from tests.backtest.scripted import instrument

LIMITS = GateLimits(90_000.0, 150_000.0, 0.03, 0.25, 0.2, 60.0, 10_000.0, 5_000.0)


@pytest.fixture(scope="module")
def result() -> BacktestResult:
    return run_backtest(
        load_strategy("trend"),
        {"fast": 5, "slow": 20},
        proof_market(4_000, 2),
        instrument(Market.UM),
        cash=1e5,
        costs=UM_COSTS,
        sizing=Sizing(amount=0.885),
        limits=LIMITS,
        data_version=17,
        waivers=("2024-01-02 gap, J. Doe",),
    )


def test_it_shows_figures_orders_lineage_and_waivers(result: BacktestResult) -> None:
    page = tear_sheet_page(result)
    s = result.statistics
    for text in (
        percent(s.total_return, signed=True),
        percent(s.cvar_95),
        f"{s.trades:,}",
        result.lineage.strategy_version,
        "fast=5, slow=20",
        "2024-01-02 gap, J. Doe",
        "PT-03 maximum order value",
        "17",
    ):
        assert text in page, text


def test_it_loads_nothing_from_the_network(result: BacktestResult) -> None:
    page = tear_sheet_page(result)
    assert not re.findall(r"""<(?:script|link|img|iframe)[^>]+(?:src|href)=(?!"data:)""", page)
    assert len(re.findall(r"<div class=\"figure\"", page)) == 6


def test_text_from_outside_cannot_become_markup() -> None:
    evil = "</script><b>&"
    blocks = [paragraph(evil), table([evil], [[evil]]), figure([{"name": evil, "x": [1], "y": [1]}])]
    page = render_page(Document(evil, evil, [Section(evil, blocks, evil)]))
    page = page.partition("</style>")[2].partition("<script>")[0]
    assert "<b>" not in page and evil not in page


def test_a_thinned_line_keeps_its_extremes_and_ends() -> None:
    values = np.random.default_rng(1).normal(size=100_003)
    kept = thinned(values, 1_000)
    assert kept.size <= 1_010 and (np.diff(kept) > 0).all()
    assert {0, values.size - 1, values.argmax(), values.argmin()} <= set(kept.tolist())


def test_monthly_returns_chain_to_the_total() -> None:
    days = np.arange(19_723, 19_723 + 70)  # from 2024-01-01
    equity = 100.0 * np.cumprod(np.full(70, 1.001))
    months = monthly_returns(days, equity, 100.0)
    assert list(months) == [(2024, 1), (2024, 2), (2024, 3)]
    assert months[(2024, 2)] == pytest.approx(1.001**29 - 1)
    assert np.prod([1 + r for r in months.values()]) == pytest.approx(equity[-1] / 100)


def test_a_report_replaces_the_old_one_whole(tmp_path: Path) -> None:
    target = tmp_path / "reports" / "page.html"
    assert write_report(target, "one") == target
    write_report(target, "two")
    assert target.read_text() == "two" and [p.name for p in target.parent.iterdir()] == ["page.html"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        write_report(blocker / "page.html", "x")


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(-0.01234), "\N{MINUS SIGN}1.23\N{NO-BREAK SPACE}%"),
        (percent(float("nan")), "\N{EN DASH}"),
        (money(-0.3), "0"),
        (money(1234567.8), "1,234,568"),
        (price(0.00001200), "0.000012"),
    ],
)
def test_numbers_read_as_people_write_them(shown: str, expected: str) -> None:
    assert shown == expected
