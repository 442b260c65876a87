"""Historical measures against published and hand-computed values, and the coherence axioms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qtm.errors import RiskError
from qtm.risk.measures import (
    average_drawdown,
    cdar,
    drawdowns,
    equity_of,
    historical_cvar,
    historical_var,
    max_drawdown,
    tail_count,
    tail_weights,
    ulcer_index,
    uncompounded_drawdowns,
)

ONE_TO_TEN = -np.arange(1.0, 11.0)
EQUITY = np.array([100, 110, 99, 104.5, 88, 96, 120, 108.0])
ALPHAS = st.sampled_from([0.5, 0.8, 0.9, 0.95, 0.975, 0.99])
SERIES = arrays(np.float64, st.integers(1, 80), elements=st.floats(-1, 1, allow_subnormal=False))


@pytest.mark.parametrize(("alpha", "expected"), [(0.80, 9.5), (0.85, 29 / 3), (0.90, 10.0), (0.95, 10.0)])
def test_cvar_counts_the_boundary_loss_by_its_fraction(alpha, expected):
    assert historical_cvar(ONE_TO_TEN, alpha) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("alpha", "expected"), [(0.80, 9.0), (0.85, 9.0), (0.90, 10.0), (0.95, 10.0), (0.55, 6.0)]
)
def test_var_is_the_ceil_k_th_worst_return(alpha, expected):
    assert historical_var(ONE_TO_TEN, alpha) == expected


def test_a_tail_count_that_is_whole_but_for_rounding_stays_whole():
    assert (1 - 0.95) * 20 > 1  # the float trap this guards
    assert tail_count(20, 0.95) == (1, 0.0)


def test_published_drawdown_fixture():
    expected = [0, 0, 0.1, 0.05, 0.2, 0.127273, 0, 0.1]
    assert drawdowns(EQUITY) == pytest.approx(expected, abs=1e-6)
    assert max_drawdown(EQUITY) == pytest.approx(0.2)
    assert average_drawdown(EQUITY) == pytest.approx(0.072159, abs=1e-6)
    assert ulcer_index(EQUITY) == pytest.approx(0.099183, abs=1e-6)
    assert cdar(drawdowns(EQUITY), 0.75) == pytest.approx(0.163636, abs=1e-6)
    assert cdar(drawdowns(EQUITY), 0.80) == pytest.approx(0.172727, abs=1e-6)


def test_a_loss_on_the_first_day_is_a_drawdown():
    returns = np.array([-0.1, 0.02])
    assert max_drawdown(equity_of(returns)) == pytest.approx(0.1)
    assert uncompounded_drawdowns(returns)[0] == pytest.approx(0.1)


@pytest.mark.parametrize("bad", [np.array([]), np.array([0.1, np.nan]), np.array([np.inf])])
def test_missing_or_infinite_returns_are_refused(bad):
    for measure in (historical_var, historical_cvar, tail_weights):
        with pytest.raises(RiskError):
            measure(bad, 0.95)


@pytest.mark.parametrize("alpha", [0.0, 1.0, -0.1, 95.0])
def test_confidence_outside_the_unit_interval_is_refused(alpha):
    with pytest.raises(RiskError, match="confidence"):
        historical_cvar(ONE_TO_TEN, alpha)


def test_a_confidence_so_high_that_the_tail_is_less_than_one_return_is_the_worst_loss():
    assert historical_cvar(ONE_TO_TEN, 1 - 1e-12) == pytest.approx(10.0)


@given(SERIES, ALPHAS)
def test_tail_weights_reproduce_cvar_and_sum_to_one(returns, alpha):
    weights = tail_weights(returns, alpha)
    assert weights.sum() == pytest.approx(1.0)
    assert -weights @ returns == pytest.approx(historical_cvar(returns, alpha), abs=1e-12)


@given(SERIES, ALPHAS)
def test_cvar_is_at_least_var_and_at_most_the_worst_loss(returns, alpha):
    cvar = historical_cvar(returns, alpha)
    assert historical_var(returns, alpha) - 1e-12 <= cvar <= -returns.min() + 1e-12


@given(SERIES, ALPHAS, st.floats(-1, 1), st.floats(0, 10))
def test_cvar_is_translation_equivariant_and_homogeneous(returns, alpha, cash, scale):
    base = historical_cvar(returns, alpha)
    assert historical_cvar(returns + cash, alpha) == pytest.approx(base - cash, abs=1e-9)
    assert historical_cvar(returns * scale, alpha) == pytest.approx(base * scale, abs=1e-9)


@given(arrays(np.float64, (2, 37), elements=st.floats(-1, 1)), ALPHAS)
def test_cvar_is_subadditive_and_monotone(pair, alpha):
    one, two = pair
    assert (
        historical_cvar(one + two, alpha) <= historical_cvar(one, alpha) + historical_cvar(two, alpha) + 1e-9
    )
    assert historical_cvar(np.maximum(one, two), alpha) <= historical_cvar(one, alpha) + 1e-12


@given(SERIES, ALPHAS)
def test_equal_probabilities_change_nothing(returns, alpha):
    equal = np.full(returns.shape[0], 1.0 / returns.shape[0])
    assert historical_cvar(returns, alpha, equal) == pytest.approx(
        historical_cvar(returns, alpha), rel=1e-9, abs=1e-12
    )
    assert historical_var(returns, alpha, equal) == pytest.approx(historical_var(returns, alpha))


def test_a_return_of_double_probability_counts_like_two_of_its_kind():
    """Losses 1..10, the worst twice as likely: CVaR of the repeated series of eleven."""
    chances = np.append(np.ones(9), 2.0) / 11
    repeated = np.append(ONE_TO_TEN, ONE_TO_TEN.min())
    order = np.argsort(-ONE_TO_TEN)
    for alpha in (0.8, 0.9, 0.95):
        expected = historical_cvar(repeated, alpha)
        assert historical_cvar(ONE_TO_TEN[order], alpha, chances) == pytest.approx(expected)
        assert historical_var(ONE_TO_TEN[order], alpha, chances) == historical_var(repeated, alpha)


@pytest.mark.parametrize("chances", [np.ones(10), np.full(9, 1 / 9), np.append(np.full(9, 0.2), -0.8)])
def test_what_is_no_distribution_over_the_returns_is_refused(chances):
    with pytest.raises(RiskError, match="probabilities"):
        historical_cvar(ONE_TO_TEN, 0.9, chances)
