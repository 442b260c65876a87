"""Concentration and factor measures against cases whose answer is known."""

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.risk.concentration import (
    betas,
    diversification_ratio,
    effective_bets,
    effective_positions,
    factor_model,
    herfindahl,
)


def test_equal_and_single_positions_bound_the_index():
    assert herfindahl(np.full(4, 0.25)) == pytest.approx(0.25)
    assert herfindahl(np.array([0.0, 3.0, 0.0])) == 1.0
    assert effective_positions(np.array([0.5, 0.25, 0.25])) == pytest.approx(1 / 0.375)


def test_a_short_position_concentrates_like_a_long_one():
    assert herfindahl(np.array([1.0, -1.0])) == pytest.approx(0.5)


def test_uncorrelated_equal_risks_are_as_many_bets():
    covariance = np.diag([0.01, 0.04, 0.16])
    weights = np.array([4.0, 2.0, 1.0])
    assert effective_bets(weights, covariance) == pytest.approx(3.0)
    assert diversification_ratio(weights, covariance) == pytest.approx(np.sqrt(3))


def test_assets_that_move_as_one_are_one_bet():
    one = np.array([0.1, 0.2, 0.3])
    covariance = np.outer(one, one)
    assert effective_bets(np.ones(3), covariance) == pytest.approx(1.0, abs=1e-6)
    assert diversification_ratio(np.ones(3), covariance) == pytest.approx(1.0)


def test_betas_and_common_share_are_recovered():
    draws = np.random.default_rng(0)
    market = draws.normal(size=20_000) * 0.03
    own = draws.normal(size=(20_000, 2)) * np.array([0.02, 0.04])
    returns = market[:, None] * np.array([1.0, 1.5]) + own
    assert betas(returns, market) == pytest.approx([1.0, 1.5], abs=0.03)
    model = factor_model(returns, market[:, None])
    weights = np.array([0.5, 0.5])
    common, rest = (1.25 * 0.03) ** 2, (0.5 * 0.02) ** 2 + (0.5 * 0.04) ** 2
    assert model.exposures(weights) == pytest.approx([1.25], abs=0.02)
    assert model.common_share(weights) == pytest.approx(common / (common + rest), abs=0.01)


def test_factors_and_rest_make_up_the_whole_covariance():
    returns = np.random.default_rng(1).normal(size=(500, 4))
    model = factor_model(returns, returns[:, :2] + 0.1)
    rebuilt = model.loadings @ model.factor_covariance @ model.loadings.T + model.residual_covariance
    assert rebuilt == pytest.approx(np.cov(returns.T, bias=True), abs=1e-12)


def test_what_cannot_be_measured_is_refused():
    with pytest.raises(RiskError, match="positions"):
        herfindahl(np.zeros(3))
    with pytest.raises(RiskError, match="without variance"):
        effective_bets(np.ones(2), np.zeros((2, 2)))
    with pytest.raises(RiskError, match="collinear"):
        betas(np.ones((10, 2)), np.ones(10))
    with pytest.raises(RiskError, match="missing"):
        betas(np.full((10, 2), np.nan), np.arange(10.0))
    with pytest.raises(RiskError, match="do not fit"):
        effective_bets(np.ones(2), np.eye(3))


def test_factor_shares_and_the_rest_are_the_whole_variance():
    rng = np.random.default_rng(8)
    market, tilt = rng.normal(size=(2, 4000)) * [[0.03], [0.01]]
    returns = np.column_stack((market, 1.5 * market + tilt, 0.5 * market - tilt))
    returns[:, 1:] += rng.normal(size=(4000, 2)) * 0.005
    model = factor_model(returns, np.column_stack((market, tilt)))
    weights = np.array([0.2, 0.5, 0.3])
    shares = model.variance_shares(weights)
    own = float(weights @ model.residual_covariance @ weights) / float(np.var(returns @ weights))
    assert shares.sum() + own == pytest.approx(1.0)
    assert shares.sum() == pytest.approx(model.common_share(weights))
    assert shares[0] > 0.9 and shares[1] > 0.0
