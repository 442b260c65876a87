"""Inputs at the edge: a defined answer or an error that names what is wrong, never a silent guess."""

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.portfolio.allocation import Outcome
from qtm.portfolio.constraints import violated
from qtm.portfolio.fast.frontier import efficient_frontier
from qtm.portfolio.history import DailyHistory
from qtm.portfolio.mandate import Mandate, MeanModel
from qtm.portfolio.means import bayes_stein_mean, james_stein_mean
from qtm.portfolio.minimum_variance import minimum_variance
from qtm.portfolio.optimise import optimise
from qtm.portfolio.problem import DrawdownCap, Objective, TailCap
from qtm.portfolio.risk_budget import risk_budget_weights
from qtm.portfolio.walk_forward import Book, walk_forward
from qtm.risk.measures import historical_cvar
from tests.portfolio.problems import heavy_tailed_returns, problem

CAP = (TailCap(0.95, 0.04),)


def risk_budget(returns):
    return risk_budget_weights(returns, 0.95)


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


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    "estimate",
    [bayes_stein_mean, james_stein_mean, lambda r: minimum_variance(r, 1.0), risk_budget],
    ids=["bayes-stein", "james-stein", "minimum variance", "risk budget"],
)
def test_estimates_of_returns_with_a_hole_are_refused(estimate, value):
    returns = heavy_tailed_returns(3, 100, 69)
    returns[5, 1] = value
    with pytest.raises(RiskError, match="missing or infinite"):
        estimate(returns)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"held": np.array([0.5, np.nan, 0.5])}, "held weight is missing"),
        ({"tail_caps": (TailCap(0.95, np.nan),)}, "CVaR 95 % cap must be a number"),
        ({"drawdown_cap": DrawdownCap(0.9, np.nan)}, "CDaR 90 % cap must be a number"),
        ({"return_floor": np.nan}, "return floor must be a number"),
        ({"radius": np.nan}, "radius"),
        ({"invested": (np.nan, 1.0)}, "invested"),
        ({"lower": np.array([0.0, np.nan, 0.0])}, "S01"),
    ],
)
def test_a_demand_that_is_no_number_is_refused(changes, message):
    with pytest.raises(RiskError, match=message):
        problem(heavy_tailed_returns(3, 100, 70), **changes)


def test_a_start_of_another_universe_is_refused_and_one_with_holes_does_no_harm():
    posed = problem(heavy_tailed_returns(3, 200, 71), objective=Objective.MIN_CVAR)
    with pytest.raises(RiskError, match="one weight per symbol"):
        optimise(posed, start=np.array([0.5, 0.5]))
    holed = optimise(posed, start=np.array([np.nan, 0.5, 0.5]))
    assert holed.weights == pytest.approx(optimise(posed).weights, abs=1e-6)


@pytest.mark.parametrize(
    "returns",
    [
        heavy_tailed_returns(1, 200, 72),
        np.repeat(heavy_tailed_returns(2, 200, 73), 2, axis=1),
        heavy_tailed_returns(3, 200, 74) - 0.01,
        np.hstack((heavy_tailed_returns(2, 200, 75), np.zeros((200, 1)))),
    ],
    ids=["single", "duplicated", "losing", "with one that never moves"],
)
def test_a_frontier_of_awkward_assets_has_its_points(returns):
    points = efficient_frontier(problem(returns, objective=Objective.MIN_CVAR), 4)
    assert len(points) == 4
    assert all(point.weights.sum() == pytest.approx(1.0) and point.gap <= 1e-6 for point in points)
    assert np.diff([point.value for point in points]).min() >= -1e-9


def test_risk_parity_splits_a_duplicated_asset_and_holds_a_single_one_whole():
    assert risk_budget(heavy_tailed_returns(1, 200, 76)) == pytest.approx([1.0])
    twice = risk_budget(np.repeat(heavy_tailed_returns(2, 300, 77), 2, axis=1))
    assert twice[0] == pytest.approx(twice[1], rel=1e-3) and twice[2] == pytest.approx(twice[3], rel=1e-3)


def test_dead_and_newly_listed_coins_are_sold_or_wait_and_the_walk_goes_on():
    """A coin dies with its last price still held; another is listed half way and enters with its history."""
    days = 900
    rng = np.random.default_rng(8)
    closes = 100.0 * np.exp(np.cumsum(rng.standard_t(4, (days, 4)) * 0.01 + 0.0005, axis=0))
    closes[600:, 2] = np.nan
    closes[:400, 3] = np.nan
    history = DailyHistory(
        symbols=("A", "B", "DEAD", "NEW"),
        open_time_ms=np.arange(days) * 86_400_000,
        closes=closes, lows=closes, highs=closes, quote_volumes=np.ones_like(closes),
        lake="none", version=0,
    )  # fmt: skip
    mandate = Mandate(window=300, least_history=150, cvar_cap=0.5, max_weight=0.5, mean=MeanModel.SAMPLE)
    done = walk_forward(history, mandate, Book.EQUAL_WEIGHT)
    held = {int(one.day_ms // 86_400_000): set(one.weights) for one in done.rebalances}
    assert all("DEAD" not in names for day, names in held.items() if day >= 600)
    assert any("DEAD" in names for day, names in held.items() if day < 600)
    assert min(day for day, names in held.items() if "NEW" in names) in range(550, 600)
    assert np.isfinite(done.returns).all()
