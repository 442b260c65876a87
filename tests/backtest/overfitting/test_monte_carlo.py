"""Resampled paths: their spread, their drawdowns and where the actual path falls."""

import numpy as np
import pytest

from qtm.backtest.overfitting.monte_carlo import bootstrap_paths, shuffled_trades
from qtm.errors import RiskError
from qtm.risk.measures import equity_of, max_drawdown

RETURNS = np.random.default_rng(1).normal(0.001, 0.02, 400)


def test_actual_outcome_is_that_of_the_path():
    paths = bootstrap_paths(RETURNS)
    assert paths.total_return.actual == pytest.approx(np.prod(1 + RETURNS) - 1)
    assert paths.max_drawdown.actual == pytest.approx(max_drawdown(equity_of(RETURNS)))


def test_bootstrapped_totals_spread_around_the_actual_one():
    independent = bootstrap_paths(RETURNS, paths=4000, mean_block=1)
    logs = np.log1p(independent.total_return.simulated)
    assert logs.mean() == pytest.approx(np.log1p(RETURNS).sum(), abs=0.03)
    assert logs.std() == pytest.approx(np.sqrt(400) * np.log1p(RETURNS).std(), rel=0.05)
    assert 0.4 < independent.total_return.better_than < 0.6
    assert not independent.total_return.lucky


def test_dependence_widens_the_spread():
    trending = np.repeat(np.random.default_rng(3).normal(0.0, 0.02, 40), 10)
    alone = bootstrap_paths(trending, mean_block=1).total_return.simulated.std()
    assert bootstrap_paths(trending, mean_block=20).total_return.simulated.std() > 2 * alone


def test_shuffling_keeps_the_total_and_moves_the_drawdown():
    paths = shuffled_trades(RETURNS)
    np.testing.assert_allclose(paths.total_return.simulated, paths.total_return.actual)
    assert paths.total_return.better_than == 0.5
    assert np.ptp(paths.max_drawdown.simulated) > 0.05


def test_wins_and_losses_that_alternate_are_flagged_as_a_lucky_order():
    alternating = np.tile([0.03, -0.02], 60)
    paths = shuffled_trades(alternating)
    assert paths.max_drawdown.actual == pytest.approx(0.02)
    assert paths.max_drawdown.better_than == 1.0 and paths.max_drawdown.lucky
    assert not shuffled_trades(np.sort(alternating)).max_drawdown.lucky


def test_losing_trades_lose_on_every_path():
    assert bootstrap_paths(-np.abs(RETURNS)).probability_of_loss == 1.0


def test_same_seed_same_paths():
    one, two = bootstrap_paths(RETURNS, seed=4), bootstrap_paths(RETURNS, seed=4)
    np.testing.assert_array_equal(one.total_return.simulated, two.total_return.simulated)
    assert list(one.max_drawdown.quantiles()) == [0.05, 0.25, 0.5, 0.75, 0.95]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"returns": RETURNS[:19]}, "at least 20"),
        ({"returns": np.append(RETURNS, -1.0)}, "everything"),
        ({"returns": np.append(RETURNS, np.nan)}, "not a number"),
        ({"returns": RETURNS, "paths": 10}, "100 paths"),
        ({"returns": RETURNS, "mean_block": 401}, "mean block"),
        ({"returns": np.zeros(50)}, "never vary"),
    ],
)
def test_unusable_input_is_refused(arguments, words):
    with pytest.raises(RiskError, match=words):
        bootstrap_paths(**arguments)
