"""The overfitting report shows the verdict and survives tests that could not be run."""

import pytest

from qtm.backtest.overfitting.assessment import assess
from qtm.backtest.registry import TrialRegistry
from qtm.reports.backtest_context import crisis_table
from qtm.reports.blocks import Table
from qtm.reports.overfitting_report import overfitting_page
from qtm.reports.tear_sheet import tear_sheet_page
from qtm.reports.verdict_section import bound_in_words, shown
from qtm.strategies.registry import load_strategy
from tests.backtest.overfitting.market import bars_from, conditions, noise_steps, trending_steps

TREND = load_strategy("trend")


@pytest.fixture
def examined(tmp_path):
    def examine(steps, grid):
        registry = TrialRegistry.open(f"sqlite:///{tmp_path / 'qtm.db'}")
        return assess(
            TREND, [TREND.params(v) for v in grid], conditions(bars_from(steps)), registry, resamples=200
        )

    return examine


def test_every_gate_is_on_the_page_with_its_words(examined):
    grid = [{"fast": fast, "slow": slow} for fast in (3, 5) for slow in (15, 20, 30)]
    found = examined(trending_steps(400, 1, run=30), grid)
    page = overfitting_page(found)
    for gate in found.verdict.gates:
        assert gate.bound.title in page
        assert gate.explanation.split(":")[0].replace("'", "&#x27;") in page
    assert page.count('class="figure"') == 5
    assert "Leverage flush" not in page and "COVID" in page


def test_a_page_is_made_even_when_nothing_could_be_measured(examined):
    found = examined(noise_steps(20, 1), [{"fast": 300, "slow": 400}])
    page = overfitting_page(found)
    assert "not measured" in page and "two trials" in page


def test_the_tear_sheet_shows_the_verdict_it_is_given(examined):
    found = examined(noise_steps(100, 1), [{"slow": 20}, {"slow": 30, "fast": 10}])
    assert found.verdict.summary in tear_sheet_page(found.result, found.verdict)
    subject = found.verdict.subject
    assert f"after {subject.trials:,} trials of the strategy" in tear_sheet_page(found.result, found.verdict)
    unexamined = tear_sheet_page(found.result)
    assert "Deflated Sharpe ratio" not in unexamined and "how much of the result is luck" in unexamined


def test_a_crisis_without_a_position_is_neither_gain_nor_loss():
    never = conditions(bars_from(noise_steps(400, 1))).run(TREND, TREND.params({"fast": 900, "slow": 1000}))
    crises = crisis_table(never)
    assert isinstance(crises, Table) and {row[1].text for row in crises.rows} == {"0.00\u00a0%"}
    assert {row[1].tone for row in crises.rows} == {""}


def test_bounds_read_as_people_write_them(examined):
    gates = {str(g.control): g for g in examined(noise_steps(40, 1), [{}]).verdict.gates}
    words = {name: bound_in_words(gate.control, gate.bound) for name, gate in gates.items()}
    assert words["deflated_sharpe"] == "≥ 0.950" and words["superior_ability"] == "≤ 10.0\u00a0%"
    assert shown(gates["stress"].control, None) == "not measured"
