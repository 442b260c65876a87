"""The daily book through history: no look at the future, exact accounting, honest benchmarks."""

from dataclasses import replace

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.portfolio.covariance import CovarianceModel, covariance
from qtm.portfolio.history import daily_history
from qtm.portfolio.mandate import Mandate
from qtm.portfolio.minimum_variance import minimum_variance
from qtm.portfolio.walk_forward import Book, walk_forward
from tests.portfolio.lake import SYMBOLS, daily_lake
from tests.portfolio.problems import heavy_tailed_returns

MANDATE = Mandate(window=300, least_history=200, cvar_cap=0.03, max_weight=0.4, cost_rate=0.001)


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return daily_history(daily_lake(tmp_path_factory.mktemp("lake"), 700, listed={"SOLUSDT": 380}), SYMBOLS)


@pytest.mark.parametrize("book", list(Book))
def test_decisions_do_not_see_the_future(history, book):
    closes = history.closes.copy()
    closes[520:] *= np.linspace(1, 5, 180)[:, None]
    poisoned = replace(history, closes=closes)
    honest, tempted = (walk_forward(h, MANDATE, book, every_days=60) for h in (history, poisoned))
    known = [entry for entry in honest.rebalances if entry.day_ms < history.open_time_ms[520]]
    assert len(known) == 4
    for before, after in zip(known, tempted.rebalances, strict=False):
        assert before.weights == after.weights


def test_every_promise_is_within_the_cap_and_the_benchmark_is_not_bound_by_it(history):
    capped = walk_forward(history, MANDATE, every_days=60)
    assert all(entry.promised_cvar <= 0.03 + 1e-7 for entry in capped.rebalances)
    assert all(max(entry.weights.values()) <= 0.4 + 1e-7 for entry in capped.rebalances)
    assert capped.summary()["rebalances"] == 7


def test_a_new_listing_enters_only_with_enough_history(history):
    equal = walk_forward(history, MANDATE, Book.EQUAL_WEIGHT, every_days=60)
    listed = [sum(weight > 0 for weight in entry.weights.values()) for entry in equal.rebalances]
    assert listed == [5, 5, 5, 5, 5, 6, 6]


def test_returns_are_the_drifting_book_less_costs(history):
    run = walk_forward(history, MANDATE, Book.EQUAL_WEIGHT, every_days=1000)
    held = [history.symbols.index(symbol) for symbol in run.rebalances[0].weights]
    growth = (history.closes[-1, held] / history.closes[300, held]).mean()
    assert np.prod(1 + run.returns) == pytest.approx((1 - 0.001) * growth)
    assert run.returns.shape == run.day_ms.shape == (399,)


def test_costs_are_charged_on_what_is_traded(history):
    free = walk_forward(history, replace(MANDATE, cost_rate=0.0), Book.EQUAL_WEIGHT, every_days=30)
    paid = walk_forward(history, MANDATE, Book.EQUAL_WEIGHT, every_days=30)
    turnover = np.array([entry.turnover for entry in paid.rebalances])
    ratio = np.prod(1 + paid.returns) / np.prod(1 + free.returns)
    assert ratio == pytest.approx(np.prod(1 - 0.001 * turnover))


def test_a_history_shorter_than_the_window_is_an_error(history):
    with pytest.raises(RiskError, match="too short"):
        walk_forward(history, Mandate(window=900))


def test_minimum_variance_is_the_closed_form_when_no_bound_binds():
    returns = heavy_tailed_returns(3, 2000, 8) * [1.0, 0.8, 1.2]
    inverse = np.linalg.inv(covariance(returns, CovarianceModel.LEDOIT_WOLF)).sum(axis=1)
    free = inverse / inverse.sum()
    assert (free > 0).all()
    assert minimum_variance(returns, 1.0) == pytest.approx(free, abs=1e-5)
    assert minimum_variance(returns, 0.4).max() <= 0.4 + 1e-9
    with pytest.raises(RiskError, match="sum to one"):
        minimum_variance(returns, 0.2)
