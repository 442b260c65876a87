"""Size, power and definitions of the reality check and of Hansen's test."""

import numpy as np
import pytest
from arch.bootstrap import SPA, StationaryBootstrap

from qtm.backtest.overfitting.bootstrap import (
    block_length,
    bootstrap_means,
    long_run_variance,
    resampled_rows,
)
from qtm.backtest.overfitting.reality_check import superior_ability
from qtm.errors import RiskError


def autoregressive(seed, rows, trials, rho=0.3):
    shocks = np.random.default_rng(seed).normal(0.0, 0.01, (rows, trials))
    for t in range(1, rows):
        shocks[t] += rho * shocks[t - 1]
    return shocks


def rejections(simulations, edge, at=0.05):
    found = 0
    for seed in range(simulations):
        returns = np.random.default_rng(seed).normal(0.0, 0.01, (250, 10))
        returns[:, 4] += edge
        outcome = superior_ability(returns, mean_block=2, resamples=300, seed=seed)
        found += outcome.consistent <= at
    return found / simulations


def test_noise_is_rejected_about_as_often_as_the_level_says():
    assert 0.02 <= rejections(300, 0.0) <= 0.085


@pytest.mark.slow
def test_size_over_a_thousand_simulations():
    assert 0.03 <= rejections(1000, 0.0) <= 0.07


def test_a_true_winner_is_found_more_often():
    weak, strong = rejections(60, 0.001), rejections(60, 0.003)
    assert rejections(60, 0.0) < weak < strong
    assert strong > 0.9


def test_p_values_are_ordered():
    for seed in range(20):
        outcome = superior_ability(autoregressive(seed, 200, 15) - 0.0005, resamples=200, seed=seed)
        assert outcome.lower <= outcome.consistent <= outcome.upper


def test_poor_trials_do_not_hide_a_good_one_from_hansen_as_they_do_from_white():
    returns = np.random.default_rng(3).normal(0.0, 0.01, (400, 60))
    returns[:, 1:] = returns[:, 1:] * 5 - 0.02
    returns[:, 0] += 0.0016
    outcome = superior_ability(returns, mean_block=1)
    assert outcome.best == 0
    assert outcome.consistent < 0.01 < 0.3 < outcome.reality_check


def test_trials_of_equal_variance_get_the_p_values_of_arch():
    returns = autoregressive(11, 400, 6)
    returns /= np.sqrt(long_run_variance(returns, 8.0))
    returns[:, 2] += 0.1
    theirs = SPA(np.zeros(400), -returns, block_size=8, reps=4000, studentize=True, seed=5)
    theirs.compute()
    ours = superior_ability(returns, mean_block=8, resamples=4000, seed=5)
    mine = np.array([ours.lower, ours.consistent, ours.upper])
    np.testing.assert_allclose(mine, theirs.pvalues.to_numpy(), atol=0.025)


def test_benchmark_is_what_must_be_beaten():
    market = autoregressive(7, 500, 1)[:, 0] + 0.004
    returns = market[:, None] + autoregressive(8, 500, 5)
    assert superior_ability(returns).consistent < 0.05
    assert superior_ability(returns, market).consistent > 0.1


def test_trials_that_never_trade_change_nothing():
    returns = autoregressive(9, 300, 4)
    padded = np.insert(returns, [0, 2], 0.0, axis=1)
    one, other = superior_ability(returns, mean_block=3), superior_ability(padded, mean_block=3)
    assert (one.consistent, one.statistic) == (other.consistent, other.statistic)
    assert padded[0, other.best] == returns[0, one.best]


def test_losing_trials_are_never_superior():
    outcome = superior_ability(np.random.default_rng(1).normal(-0.01, 0.01, (100, 4)))
    assert outcome.consistent == outcome.upper == outcome.reality_check == 1.0


def test_same_seed_gives_the_same_p_values():
    returns = autoregressive(2, 200, 4)
    assert superior_ability(returns, seed=1) == superior_ability(returns, seed=1)
    assert superior_ability(returns, seed=1) != superior_ability(returns, seed=2)


def test_block_length_follows_the_dependence():
    assert block_length(autoregressive(1, 1000, 5, rho=0.0)) <= 4
    assert block_length(autoregressive(1, 1000, 5, rho=0.7)) >= 8


@pytest.mark.parametrize("length", [1.0, 4.0, 25.0])
def test_variance_of_resampled_means_is_the_closed_form(length):
    returns = autoregressive(4, 200, 3, rho=0.5)
    means = bootstrap_means(returns, length=length, resamples=20_000, seed=1)
    np.testing.assert_allclose(means.mean(axis=0), returns.mean(axis=0), atol=5e-5)
    np.testing.assert_allclose(200 * means.var(axis=0), long_run_variance(returns, length), rtol=0.05)


def test_resamples_spread_like_those_of_arch():
    returns = autoregressive(5, 150, 1, rho=0.6)
    theirs = StationaryBootstrap(10, returns, seed=1).apply(lambda x: x.mean(0), 5000)
    ours = bootstrap_means(returns, length=10, resamples=5000, seed=1)
    assert ours.std() == pytest.approx(theirs.std(), rel=0.05)


def test_resampled_rows_come_in_runs_of_the_mean_length():
    rows = resampled_rows(np.random.default_rng(1), 100_000, 20.0)
    breaks = np.count_nonzero(np.diff(rows) % 100_000 != 1)
    assert 100_000 / breaks == pytest.approx(20.0, rel=0.05)
    assert rows.min() >= 0 and rows.max() < 100_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"returns": np.zeros((50, 3))}, "differs"),
        ({"returns": autoregressive(0, 19, 3)}, "at least 20"),
        ({"returns": autoregressive(0, 50, 1)}, "two trials"),
        ({"returns": autoregressive(0, 50, 3), "benchmark": np.zeros(49)}, "same periods"),
        ({"returns": autoregressive(0, 50, 3), "resamples": 99}, "100 resamples"),
        ({"returns": autoregressive(0, 50, 3), "mean_block": 51}, "mean block"),
        ({"returns": np.full((50, 3), np.nan)}, "not a number"),
    ],
)
def test_unusable_input_is_refused(arguments, words):
    with pytest.raises(RiskError, match=words):
        superior_ability(**arguments)
