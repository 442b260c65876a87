"""The sliding permutation test: exact against a loop, sized under the null, sharp when timing is real."""

import numpy as np
import pytest

from qtm.backtest.overfitting.permutation import signal_permutation_test, slid_earnings
from qtm.errors import RiskError


def market(seed, bars=400):
    return np.random.default_rng(seed).normal(0.0005, 0.01, bars)


def held_in_runs(seed, bars=400, run=8):
    return np.repeat(np.random.default_rng(seed).integers(0, 2, bars // run), run).astype(float)


@pytest.mark.parametrize("bars", [40, 41])
def test_slides_are_those_of_a_loop(bars):
    positions, returns = market(1, bars), market(2, bars)
    loop = [np.roll(positions, s) @ returns for s in range(bars)]
    np.testing.assert_allclose(slid_earnings(positions, returns), loop, atol=1e-15)


def test_p_value_is_uniform_without_skill():
    p_values = [signal_permutation_test(held_in_runs(s), market(s + 10_000)).p_value for s in range(400)]
    assert np.mean(np.array(p_values) <= 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.05)


def test_perfect_timing_is_the_best_of_all_slides():
    returns = market(3)
    outcome = signal_permutation_test((returns > 0).astype(float), returns)
    assert outcome.p_value == 1 / 400
    assert outcome.by_timing > 0.9 * outcome.earned - 0.2


def test_being_long_in_a_rising_market_is_exposure_not_timing():
    returns = market(4) + 0.01
    positions = held_in_runs(5)
    outcome = signal_permutation_test(positions, returns)
    assert outcome.earned > 1.0
    assert outcome.by_exposure == pytest.approx(positions.mean() * returns.sum())
    assert abs(outcome.by_timing) < 0.2 * outcome.earned
    chance = [signal_permutation_test(held_in_runs(s), market(s + 500) + 0.01).p_value for s in range(300)]
    assert 0.4 < np.mean(chance) < 0.6


@pytest.mark.parametrize(
    ("positions", "returns", "words"),
    [
        (np.ones(50), market(1, 50), "never changes"),
        (market(1, 50), market(1, 51), "same bars"),
        (market(1, 20), market(1, 20), "at least 30"),
        (np.append(market(1, 49), np.nan), market(1, 50), "not a number"),
    ],
)
def test_unusable_input_is_refused(positions, returns, words):
    with pytest.raises(RiskError, match=words):
        signal_permutation_test(positions, returns)
