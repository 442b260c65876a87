"""Sharpe statistics against the papers' printed examples."""

import math

import numpy as np
import pytest

from qtm.backtest.overfitting.sharpe import (
    SharpeSample,
    deflated_sharpe_ratio,
    expected_maximum,
    expected_maximum_sharpe,
    minimum_backtest_length,
    minimum_track_record_length,
    probabilistic_sharpe_ratio,
    sharpe_sample,
)
from qtm.errors import RiskError

HEDGE_FUND = SharpeSample(0.458, 24, -2.448, 10.164)
DAILY = SharpeSample(2.5 / math.sqrt(250), 1250, -3.0, 10.0)
DAILY_NORMAL = SharpeSample(2.5 / math.sqrt(250), 1250)
TRIAL_VARIANCE = 0.5 / 250


def test_probabilistic_sharpe_ratio_of_the_published_hedge_fund():
    assert probabilistic_sharpe_ratio(HEDGE_FUND) == pytest.approx(0.91336, abs=5e-6)
    assert probabilistic_sharpe_ratio(SharpeSample(0.458, 24)) == pytest.approx(0.98167, abs=5e-6)


def test_minimum_track_record_of_the_published_hedge_fund():
    assert minimum_track_record_length(HEDGE_FUND) == pytest.approx(34.56, abs=5e-3)
    assert minimum_track_record_length(SharpeSample(0.458, 24)) == pytest.approx(15.25, abs=5e-3)


def test_a_record_of_the_minimum_length_is_exactly_convincing():
    length = minimum_track_record_length(HEDGE_FUND, benchmark=0.1, confidence=0.9)
    distance = (HEDGE_FUND.ratio - 0.1) * math.sqrt(length - 1) / math.sqrt(HEDGE_FUND.variance)
    assert 0.5 * math.erfc(-distance / math.sqrt(2)) == pytest.approx(0.9, abs=1e-12)


def test_no_record_is_long_enough_below_the_benchmark():
    assert minimum_track_record_length(HEDGE_FUND, benchmark=0.458) == math.inf


def test_deflated_sharpe_ratio_of_the_published_example():
    assert expected_maximum_sharpe(100, TRIAL_VARIANCE) == pytest.approx(0.11317, abs=5e-6)
    assert deflated_sharpe_ratio(DAILY, 100, TRIAL_VARIANCE) == pytest.approx(0.90040, abs=5e-6)
    assert deflated_sharpe_ratio(DAILY, 46, TRIAL_VARIANCE) == pytest.approx(0.95050, abs=5e-6)
    assert deflated_sharpe_ratio(DAILY_NORMAL, 88, TRIAL_VARIANCE) == pytest.approx(0.95049, abs=5e-6)


@pytest.mark.parametrize(("trials", "value"), [(10, 1.5746), (45, 2.2356), (100, 2.5306), (1000, 3.2551)])
def test_expected_maximum_of_published_trial_counts(trials, value):
    assert expected_maximum(trials) == pytest.approx(value, abs=5e-5)


def test_expected_maximum_is_near_the_simulated_one():
    draws = np.random.default_rng(1).standard_normal((20_000, 100)).max(axis=1)
    assert expected_maximum(100) == pytest.approx(draws.mean(), abs=0.03)


def test_one_trial_is_not_deflated():
    assert expected_maximum(1) == 0.0
    assert deflated_sharpe_ratio(DAILY, 1, TRIAL_VARIANCE) == probabilistic_sharpe_ratio(DAILY)


def test_minimum_backtest_length_of_forty_five_trials_is_five_years():
    assert minimum_backtest_length(45, 1.0) == pytest.approx(5.0, abs=5e-3)
    for trials in (2, 10, 45, 1000, 10**6):
        assert minimum_backtest_length(trials, 1.0) <= 2 * math.log(trials)


def test_sample_moments_are_those_of_the_series():
    sample = sharpe_sample([0.01, -0.02, 0.03, 0.00, -0.01])
    assert sample.ratio == pytest.approx(0.002 / math.sqrt(0.00148 / 4), rel=1e-12)
    assert sample.skewness == pytest.approx((8**3 + 22**3 * -1 + 28**3 - 2**3 - 12**3) / 5 / 296**1.5)
    assert sample.kurtosis == pytest.approx((8**4 + 22**4 + 28**4 + 2**4 + 12**4) / 5 / 296**2)
    assert sample.annual(365) == pytest.approx(sample.ratio * math.sqrt(365))


def test_ratio_does_not_depend_on_scale():
    returns = np.random.default_rng(2).normal(0.001, 0.02, 500)
    small, large = sharpe_sample(returns * 1e-9), sharpe_sample(returns * 1e6)
    assert small.ratio == pytest.approx(large.ratio, rel=1e-9)
    assert small.kurtosis == pytest.approx(large.kurtosis, rel=1e-9)


@pytest.mark.parametrize(
    ("returns", "words"),
    [
        ([0.01, 0.02, 0.03], "at least 4"),
        ([0.01, np.nan, 0.02, 0.03], "not a number"),
        ([0.01, np.inf, 0.02, 0.03], "not a number"),
        ([0.1] * 10, "all the same"),
        ([0.0] * 10, "all the same"),
        (np.ones((4, 4)), "one series"),
    ],
)
def test_returns_without_a_sharpe_ratio_are_refused(returns, words):
    with pytest.raises(RiskError, match=words):
        sharpe_sample(returns)


def test_impossible_requests_are_refused():
    with pytest.raises(RiskError, match="starts at one"):
        expected_maximum(0)
    with pytest.raises(RiskError, match="zero or more"):
        expected_maximum_sharpe(10, math.nan)
    with pytest.raises(RiskError, match="positive"):
        minimum_backtest_length(10, 0.0)
    with pytest.raises(RiskError, match="raw kurtosis"):
        SharpeSample(0.1, 100, -3.0, 7.0)
    with pytest.raises(RiskError, match="confidence"):
        minimum_track_record_length(HEDGE_FUND, confidence=1.0)
