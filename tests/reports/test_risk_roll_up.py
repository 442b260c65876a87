"""Roll-ups sum what the daily reports wrote, name missing days, and say what the lights ask for."""

import json
import math
from datetime import UTC, date, datetime

import numpy as np
import pytest

from qtm.errors import DataError
from qtm.portfolio.daily import allocate_daily
from qtm.portfolio.history import daily_history
from qtm.portfolio.mandate import Mandate
from qtm.reports.model_lights import action_words, engines_section, lights_paragraph
from qtm.reports.page import render_page
from qtm.reports.risk_report import write_risk_report
from qtm.reports.risk_roll_up import Period, newest_report, read_roll_up
from qtm.reports.risk_roll_up_page import roll_up_document, spans, write_roll_up
from qtm.risk.engines import Historical, Normal
from qtm.risk.lights import Light, action_for
from qtm.risk.rolling_backtest import judge_engine, roll
from qtm.settings import RiskSettings
from tests.portfolio.lake import SYMBOLS, daily_lake

MANDATE = Mandate(window=365, cvar_cap=0.03, max_weight=0.4)


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """Reports of the last four days but one, and their days."""
    history = daily_history(daily_lake(tmp_path_factory.mktemp("lake")), SYMBOLS)
    folder = tmp_path_factory.mktemp("reports")
    rows = [len(history.open_time_ms) - back for back in (4, 3, 1)]
    days, held = [], None
    for row in rows:
        known = history.until(row)
        answer = allocate_daily(known, MANDATE, held)
        write_risk_report(known, answer, RiskSettings(), folder)
        held = dict(zip(answer.allocation.problem.symbols, answer.allocation.weights.tolist(), strict=True))
        days.append(datetime.fromtimestamp(known.as_of_ms / 1000, UTC).date())
    return folder, days


def bodies(folder, days):
    return [json.loads((folder / f"risk-{day}.json").read_text()) for day in days]


def test_a_week_sums_its_reports_and_names_the_days_without(reports):
    folder, days = reports
    week = read_roll_up(folder, days[-1], Period.WEEKLY)
    written = bodies(folder, days)
    assert week.days == tuple(days)
    assert len(week.missing) == 4
    assert week.cvars == [body["cvar"] for body in written]
    assert math.isnan(week.pnl[0])
    assert week.body()["pnl"] == pytest.approx(sum(body["change"]["pnl"] for body in written[1:]))


def test_a_month_begins_on_its_first_day():
    assert Period.MONTHLY.first_day(date(2024, 2, 29)) == date(2024, 2, 1)
    assert Period.WEEKLY.first_day(date(2024, 3, 1)) == date(2024, 2, 24)


def test_breaches_and_lights_are_counted_by_day(reports, tmp_path):
    folder, days = reports
    for day, body in zip(days, bodies(folder, days), strict=True):
        body["limits"][0]["breached"] = day != days[0]
        body["models"][0]["light"] = "RED" if day == days[-1] else "GREEN"
        (tmp_path / f"risk-{day}.json").write_text(json.dumps(body))
    week = read_roll_up(tmp_path, days[-1], Period.WEEKLY)
    (breached,) = week.breaches.values()
    assert breached == days[1:]
    assert "review of the model" in render_page(roll_up_document(week))
    assert next(iter(week.body()["lights"].values()))[-1] == "red"


def test_days_in_a_row_are_named_by_their_ends():
    days = [date(2024, 2, day) for day in (1, 3, 4, 5, 28, 29)]
    assert (
        spans([*days, date(2024, 3, 1)]) == "2024-02-01, 2024-02-03 to 2024-02-05, 2024-02-28 to 2024-03-01"
    )
    assert spans([]) == ""


def test_running_accounts_are_followed_from_the_close_before_their_first_report(reports, tmp_path):
    folder, days = reports
    equities = {days[0]: (100.0, 90.0), days[1]: (90.0, 120.0), days[2]: None}
    for day, body in zip(days, bodies(folder, days), strict=True):
        known = equities[day]
        body["refusals"] = {"PT-07": 2}
        body["accounts"] = [{"account": "paper", "day_start": known[0], "equity": known[1]}] if known else []
        (tmp_path / f"risk-{day}.json").write_text(json.dumps(body))
    week = read_roll_up(tmp_path, days[-1], Period.WEEKLY)
    assert week.accounts == {"paper": [100.0, 90.0, 120.0]}
    assert week.refusals == {"PT-07": 6}
    assert "The running accounts" in render_page(roll_up_document(week))
    assert "The running accounts" not in render_page(
        roll_up_document(read_roll_up(folder, days[-1], Period.WEEKLY))
    )


def test_page_and_data_are_written_and_agree(reports):
    folder, days = reports
    page, week = write_roll_up(folder, days[-1], Period.WEEKLY)
    assert json.loads(page.with_suffix(".json").read_text()) == week.body()
    text = page.read_text()
    assert "Weekly risk roll-up" in text
    for day in week.missing:
        assert day.isoformat() in text
    assert newest_report(folder) == days[-1]  # the roll-up's own file is no daily report


def test_an_empty_period_and_a_broken_report_are_refused(reports, tmp_path):
    folder, days = reports
    with pytest.raises(DataError, match="no daily risk report"):
        read_roll_up(folder, date(1999, 1, 7), Period.WEEKLY)
    with pytest.raises(DataError, match="there is no daily"):
        newest_report(tmp_path)
    (tmp_path / f"risk-{days[0]}.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        read_roll_up(tmp_path, days[0], Period.WEEKLY)
    (tmp_path / f"risk-{days[0]}.json").write_text('{"cvar": 0.1}')
    with pytest.raises(DataError, match="has no 'limits'"):
        read_roll_up(tmp_path, days[0], Period.WEEKLY)


def test_lights_say_what_they_ask_for():
    assert action_words(action_for(Light.GREEN)) == "The lights ask for nothing."
    assert "limits times 0.85" in action_words(action_for(Light.YELLOW))
    assert "only orders that shrink positions" in lights_paragraph([Light.GREEN, Light.RED]).text
    assert "counts as red" in lights_paragraph([]).text


def test_only_the_engines_in_use_decide_what_is_asked():
    fat = np.random.default_rng(5).standard_t(3, size=2250) * 0.02
    verdicts = [judge_engine(roll(engine, fat, 250)) for engine in (Historical(), Normal())]
    section = engines_section(verdicts, used={"historical"})
    assert "historical (in use)" in str(section.blocks[0])
    assert section.blocks[-1] == lights_paragraph([verdicts[0].light])
    assert "counts as red" in str(engines_section(verdicts, used=()).blocks[-1])
