"""The daily risk report: its numbers agree with each other and with the book, and its files are whole."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from qtm.execution.day_record import DayRecord, GateWord, Refusal
from qtm.portfolio.daily import allocate_daily
from qtm.portfolio.history import daily_history
from qtm.portfolio.mandate import Mandate
from qtm.reports.blocks import Cell
from qtm.reports.limit_use import LimitUse
from qtm.reports.live_section import breaches_section
from qtm.reports.risk_measurement import measure_book
from qtm.reports.risk_report import verdict, write_risk_report
from qtm.reports.risk_tables import limits_table
from qtm.reports.surroundings import Surroundings
from qtm.settings import RiskSettings
from tests.portfolio.lake import DAY_MS, FIRST_MS, SYMBOLS, daily_lake

MANDATE = Mandate(window=365, cvar_cap=0.03, max_weight=0.4)
SETTINGS = RiskSettings()


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return daily_history(daily_lake(tmp_path_factory.mktemp("lake"), listed={"SOLUSDT": 650}), SYMBOLS)


@pytest.fixture(scope="module")
def answer(history):
    return allocate_daily(history, MANDATE)


@pytest.fixture(scope="module")
def figures(history, answer):
    return measure_book(history, answer, SETTINGS)


def test_components_and_weights_sum_to_the_book(figures, answer):
    assert sum(line.component for line in figures.exposures) == pytest.approx(answer.allocation.cvar)
    assert sum(line.value for line in figures.exposures) == pytest.approx(
        figures.capital * answer.allocation.weights.sum()
    )


def test_the_back_cast_is_the_book_through_its_own_scenarios(figures, answer):
    assert figures.tail("Historical", 0.95).cvar == pytest.approx(answer.allocation.cvar)
    assert figures.worst_days[0].loss == pytest.approx(-figures.path.min())
    assert figures.equity[-1] == pytest.approx(np.prod(1 + figures.path))


def test_model_verdicts_use_a_year_of_days_before_the_report(figures, history):
    assert [verdict.engine for verdict in figures.verdicts] == ["filtered", "historical"]
    assert {verdict.forecasts for verdict in figures.verdicts} == {250}
    assert figures.forecast_days_ms[-1] == history.as_of_ms


def test_a_limit_exactly_used_is_not_a_breach_and_one_above_is():
    assert not LimitUse("x", 0.04, 0.04).breached
    assert LimitUse("x", 0.0401, 0.04).breached
    assert LimitUse("nothing allowed", 0.1, 0.0).breached


def test_a_breach_reaches_the_headline(history, answer):
    tight = SETTINGS.model_copy(update={"max_position_value": SETTINGS.max_position_value / 1000})
    assert "Breached: Largest position" in verdict(measure_book(history, answer, tight))


def test_a_yardstick_is_shown_when_exceeded_and_is_never_a_breach(history, answer):
    tight = SETTINGS.model_copy(update={"max_drawdown": SETTINGS.max_drawdown / 1000})
    figures = measure_book(history, answer, tight)
    worst = next(limit for limit in figures.limits if limit.name == "Worst drawdown")
    assert worst.exceeded and not worst.breached
    assert "No limit is breached" in verdict(figures)
    assert limits_table(figures.limits).rows[-1][-1] == Cell("above", "warn")


def test_the_files_hold_the_same_figures_and_no_network(history, answer, tmp_path):
    report = write_risk_report(history, answer, SETTINGS, tmp_path)
    body = json.loads(report.data.read_text())
    assert body == json.loads(json.dumps(report.body))
    page = report.page.read_text()
    assert f"{answer.allocation.cvar * 100:.2f}\N{NO-BREAK SPACE}%" in page
    assert not re.search(r'<(script|link|img)[^>]*(src|href)="https?://', page)
    assert report.page.name == "risk-2023-06-19.html"


def test_the_next_report_explains_what_changed(history, tmp_path):
    yesterday = history.until(history.open_time_ms.shape[0] - 2)
    before = write_risk_report(yesterday, allocate_daily(yesterday, MANDATE), SETTINGS, tmp_path)
    (tmp_path / "risk-2023-06-18x.json").write_text("not a report")
    now = write_risk_report(history, allocate_daily(history, MANDATE), SETTINGS, tmp_path)
    change = now.figures.change
    assert before.figures.change is None
    assert [one.name for one in change.headline] == list(before.body["headline"])
    assert all(one.before == pytest.approx(before.body["headline"][one.name]) for one in change.headline)
    assert change.previous_day_ms == yesterday.as_of_ms
    explained = change.cvar_before + change.from_market + change.from_trading
    assert explained == pytest.approx(now.figures.answer.allocation.cvar)
    held = before.figures.answer.allocation.weights
    last = history.closes[-1] / history.closes[-2] - 1
    columns = [history.symbols.index(symbol) for symbol in before.figures.answer.scenarios.symbols]
    assert change.pnl == pytest.approx(float(held @ last[columns]))


def test_what_broke_since_the_last_report_and_what_no_longer_does_is_named(history, tmp_path):
    yesterday = history.until(history.open_time_ms.shape[0] - 2)
    tight = SETTINGS.model_copy(update={"max_position_value": SETTINGS.max_position_value / 1000})
    write_risk_report(yesterday, allocate_daily(yesterday, MANDATE), tight, tmp_path)
    answer = allocate_daily(history, MANDATE)
    now = write_risk_report(history, answer, SETTINGS, tmp_path).figures.change
    assert (now.new_breaches, now.cleared_breaches) == ((), ("Largest position",))
    body = json.loads((tmp_path / "risk-2023-06-18.json").read_text())
    for model in body["models"]:
        model["light"] = "RED"
    (tmp_path / "risk-2023-06-18.json").write_text(json.dumps({**body, "limits": []}))
    again = write_risk_report(history, answer, tight, tmp_path)
    assert again.figures.change.new_breaches == ("Largest position",)
    assert "filtered: green, was red" in again.figures.change.lights
    assert "New breach: Largest position." in again.page.read_text()


def test_refusals_and_gates_that_the_lights_have_tightened_are_named(history, answer):
    record = DayRecord(
        (),
        refusals=(Refusal("PT-07", "trend", "BTCUSDT", 3),),
        kills=("firm by A. Officer: drill",),
        gates=(
            GateWord("paper", "trend", "ACTIVE", "7-9ba098f3x0.85", history.as_of_ms),
            GateWord("paper", "dip", "REDUCING", "7-9ba098f3", history.as_of_ms),
            GateWord("paper", "calm", "ACTIVE", "7-9ba098f3", history.as_of_ms),
        ),
    )
    figures = measure_book(history, answer, SETTINGS, around=Surroundings(record=record))
    shown = [" ".join(cell.text for cell in row) for row in breaches_section(figures).blocks[0].rows]
    assert shown == [
        "Gate PT-07 worst-case position refused 3 orders of trend in BTCUSDT",
        "Gate trend on paper ACTIVE at 00:00, limits 7-9ba098f3x0.85, tightened by the lights of the risk "
        "models",
        "Gate dip on paper REDUCING at 00:00, limits 7-9ba098f3",
        "Kill in force firm by A. Officer: drill ",
    ]


def test_a_damaged_earlier_report_is_passed_over(history, answer, tmp_path):
    (tmp_path / "risk-2023-06-01.json").write_text('{"weights": ')
    assert write_risk_report(history, answer, SETTINGS, tmp_path).figures.change is None


def test_a_book_of_cash_still_has_a_report(history, answer, tmp_path):
    idle = replace(
        answer, allocation=replace(answer.allocation, weights=np.zeros(len(answer.scenarios.symbols)))
    )
    report = write_risk_report(history, idle, SETTINGS, tmp_path)
    assert report.body["cvar"] == 0.0
    assert "everything is cash" in report.page.read_text()


def test_symbol_names_cannot_break_the_page(history, tmp_path):
    names = tuple(f"<b>{symbol}" for symbol in history.symbols)
    renamed = replace(history, symbols=names)
    page = write_risk_report(renamed, allocate_daily(renamed, MANDATE), SETTINGS, tmp_path).page.read_text()
    assert "<b>BTCUSDT" not in page


def test_the_first_day_is_where_the_lake_begins(history):
    assert history.open_time_ms[0] == FIRST_MS
    assert (np.diff(history.open_time_ms) == DAY_MS).all()
