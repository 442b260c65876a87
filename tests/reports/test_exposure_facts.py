"""Concentration and liquidity facts agree with the measures they show."""

from dataclasses import replace

import numpy as np
import pytest

from qtm.portfolio.daily import allocate_daily
from qtm.portfolio.history import daily_history
from qtm.portfolio.mandate import Mandate
from qtm.reports.blocks import paragraph
from qtm.reports.exposure_facts import concentration, exposure_facts, factors, liquidity
from qtm.reports.formats import MISSING, percent, ratio
from qtm.reports.risk_measurement import measure_book
from qtm.risk.concentration import effective_positions
from qtm.risk.liquidity import horizon_factor
from qtm.risk.measures import historical_var
from qtm.settings import RiskSettings
from tests.portfolio.lake import SYMBOLS, daily_lake


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    history = daily_history(daily_lake(tmp_path_factory.mktemp("lake")), SYMBOLS)
    answer = allocate_daily(history, Mandate(window=365, cvar_cap=0.03, max_weight=0.4))
    return measure_book(history, answer, RiskSettings())


def test_concentration_is_that_of_the_weights(figures):
    facts = concentration(figures)
    assert facts["Effective positions"] == ratio(effective_positions(figures.answer.allocation.weights), 1)
    assert float(facts["Effective bets"]) >= 1.0
    assert float(facts["Diversification ratio"]) >= 1.0


def test_factors_carry_what_the_positions_do_not_by_themselves(figures):
    shown = factors(figures)
    shares = [value for name, value in shown.items() if name.startswith("Variance")]
    assert sum(int(share.split("\N{NO-BREAK SPACE}")[0]) for share in shares) == pytest.approx(100, abs=1)
    beta = sum(line.weight * line.beta for line in figures.exposures)
    assert float(shown["Beta to Bitcoin"]) == pytest.approx(beta, abs=0.005)


def test_a_universe_that_is_bitcoin_twice_has_no_second_factor(figures):
    problem = figures.answer.allocation.problem
    twice = replace(problem, scenarios=np.repeat(problem.scenarios[:, :1], len(problem.symbols), axis=1))
    allocation = replace(figures.answer.allocation, problem=twice)
    same = replace(figures, answer=replace(figures.answer, allocation=allocation))
    assert factors(same) == {"Factors": "not measurable for this book"}


def test_a_book_that_sells_within_a_day_adds_no_horizon(figures):
    quick = replace(figures, exposures=tuple(replace(e, days_to_exit=0.01) for e in figures.exposures))
    assert liquidity(quick)["Added by selling that slowly"] == percent(0.0)


def test_slow_exits_add_the_variance_of_what_is_left(figures):
    slow = replace(figures, exposures=tuple(replace(e, days_to_exit=5.0) for e in figures.exposures))
    scenarios, weights = figures.answer.allocation.problem.scenarios, figures.answer.allocation.weights
    alone = sum(historical_var(w * scenarios[:, i], 0.99) for i, w in enumerate(weights) if w > 1e-4)
    added = alone * (horizon_factor(5.0) - 1)
    assert liquidity(slow)["Added by selling that slowly"] == percent(added)


def test_a_coin_nobody_trades_has_no_liquidity_adjusted_figure(figures):
    stuck = replace(figures, exposures=tuple(replace(e, days_to_exit=np.inf) for e in figures.exposures))
    assert liquidity(stuck)["Liquidity-adjusted VaR 99 %"] == MISSING


def test_an_empty_book_says_so(figures):
    allocation = replace(figures.answer.allocation, weights=np.zeros(len(figures.exposures)))
    empty = replace(figures, answer=replace(figures.answer, allocation=allocation))
    assert exposure_facts(empty) == paragraph("The book holds no position.", "muted")
