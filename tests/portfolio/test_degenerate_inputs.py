"""Inputs at the edge: a defined answer or an error that names what is wrong, never a silent guess."""

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.portfolio.allocation import Outcome
from qtm.portfolio.constraints import violated
from qtm.portfolio.means import bayes_stein_mean
from qtm.portfolio.minimum_variance import minimum_variance
from qtm.portfolio.optimise import optimise
from qtm.portfolio.problem import Objective, TailCap
from qtm.risk.measures import historical_cvar
from tests.portfolio.problems import heavy_tailed_returns, problem

CAP = (TailCap(0.95, 0.04),)


@pytest.mark.parametrize("objective", list(Objective))
def test_a_single_asset_is_held_whole_or_scaled_to_the_cap(objective):
    returns = heavy_tailed_returns(1, 300, 61)
    whole = optimise(problem(returns, objective=objective))
    assert whole.weights == pytest.approx([1.0])
    risk = historical_cvar(returns[:, 0], 0.95)
    half = (TailCap(0.95, 0.5 * risk),)
    capped = optimise(problem(returns, tail_caps=half, invested=(0.0, 1.0), mean=np.array([0.001])))
    assert capped.weights == pytest.approx([0.5], rel=1e-5)


@pytest.mark.parametrize("objective", list(Objective))
def test_a_duplicated_asset_changes_no_value_and_holds_every_bound(objective):
    returns = heavy_tailed_returns(5, 300, 62)
    double = np.hstack((returns, returns[:, :2]))
    caps = (TailCap(0.95, 1.1 * historical_cvar(returns.mean(axis=1), 0.95)),)
    plain = optimise(problem(returns, objective=objective, tail_caps=caps, risk_aversion=0.03))
    more = optimise(problem(double, objective=objective, tail_caps=caps, risk_aversion=0.03))
    assert not violated(more.problem, more.weights)
    assert more.cvar == pytest.approx(plain.cvar, rel=1e-5)
    assert more.expected_return == pytest.approx(plain.expected_return, rel=1e-5, abs=1e-9)


def test_when_every_mean_is_negative_cash_is_held_or_the_least_loss_taken():
    returns = heavy_tailed_returns(5, 300, 63) - 0.01
    cash = optimise(problem(returns, tail_caps=CAP, invested=(0.0, 1.0)))
    assert cash.weights == pytest.approx(np.zeros(5), abs=1e-7)
    assert cash.cvar == pytest.approx(0.0, abs=1e-8)
    forced = optimise(problem(returns, tail_caps=(TailCap(0.95, 1.0),)))
    assert forced.outcome is Outcome.OPTIMAL
    assert forced.expected_return == pytest.approx(returns.mean(axis=0).max())


def test_a_singular_covariance_is_shrunk_and_not_inverted():
    returns = heavy_tailed_returns(3, 300, 64)
    singular = np.hstack((returns, returns[:, :1], np.zeros((300, 1))))
    assert np.linalg.matrix_rank(np.cov(singular, rowvar=False)) == 3
    weights = minimum_variance(singular, 0.5)
    assert weights.sum() == pytest.approx(1.0) and weights[4] == pytest.approx(0.5, abs=1e-4)
    assert np.isfinite(bayes_stein_mean(singular)).all()
    assert optimise(problem(singular, objective=Objective.MIN_CVAR)).weights[4] == pytest.approx(1.0)


def test_more_symbols_than_days_have_a_cvar_and_no_shrunk_mean():
    returns = heavy_tailed_returns(60, 40, 65)
    answer = optimise(problem(returns, upper=0.1, objective=Objective.MIN_CVAR))
    assert answer.gap <= 1e-6 and not violated(answer.problem, answer.weights)
    with pytest.raises(RiskError, match="too few returns"):
        bayes_stein_mean(returns)


def test_a_tail_of_less_than_one_day_is_the_worst_day():
    returns = heavy_tailed_returns(4, 60, 66)
    answer = optimise(problem(returns, alpha=0.99, objective=Objective.MIN_CVAR))
    assert answer.cvar == pytest.approx(-(returns @ answer.weights).min())
    for weights in np.random.default_rng(0).dirichlet(np.ones(4), 500):
        assert -(returns @ weights).min() >= answer.cvar - 1e-9


def test_assets_that_never_move_are_cash_of_another_name():
    returns = np.zeros((200, 3))
    answer = optimise(problem(returns, objective=Objective.MIN_CVAR))
    assert answer.cvar == 0.0 and answer.weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_missing_return_or_mean_is_named(value):
    returns = heavy_tailed_returns(3, 100, 67)
    holed = returns.copy()
    holed[7, 2] = value
    with pytest.raises(RiskError, match="S02, scenario 7"):
        problem(holed, mean=np.zeros(3))
    with pytest.raises(RiskError, match="S01"):
        problem(returns, mean=np.array([0.0, value, 0.0]))


def test_a_day_that_is_certain_is_the_tail():
    returns = heavy_tailed_returns(4, 100, 68)
    certain = np.eye(100)[30]
    answer = optimise(problem(returns, objective=Objective.MIN_CVAR, probabilities=certain))
    assert answer.cvar == pytest.approx(-returns[30].max(), abs=1e-6)
