"""GARCH is recovered from its own paths, agrees with its estimator, and filters scenarios."""

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.risk.garch import Garch, fit_garch, garch_filtered_returns

TRUE = Garch(mean=0.001, omega=2e-5, alpha=0.10, beta=0.85)


def garch_path(model, count, seed=0):
    draws = np.random.default_rng(seed).normal(size=count)
    returns, variance = np.empty(count), model.long_run_deviation**2
    for t in range(count):
        returns[t] = model.mean + np.sqrt(variance) * draws[t]
        variance = model.omega + model.alpha * (returns[t] - model.mean) ** 2 + model.beta * variance
    return returns


def test_garch_is_recovered_from_its_own_path():
    fit = fit_garch(garch_path(TRUE, 8000))
    assert fit.alpha == pytest.approx(TRUE.alpha, abs=0.02)
    assert fit.beta == pytest.approx(TRUE.beta, abs=0.03)
    assert fit.long_run_deviation == pytest.approx(TRUE.long_run_deviation, rel=0.06)


def test_deviations_agree_with_the_estimator_that_fitted_them():
    from arch import arch_model

    returns = garch_path(TRUE, 1500, seed=4)
    scale = returns.std()
    result = arch_model(returns / scale, mean="Constant", rescale=False).fit(disp="off")
    ours = fit_garch(returns).deviations(returns)
    theirs = np.asarray(result.conditional_volatility) * scale
    assert ours[200:-1] == pytest.approx(theirs[200:], rel=1e-3)  # the start differs: arch backcasts
    forecast = np.sqrt(result.forecast(horizon=1).variance.iloc[-1, 0]) * scale
    assert ours[-1] == pytest.approx(forecast, rel=1e-6)


def test_no_deviation_knows_the_return_it_is_for():
    returns = garch_path(TRUE, 300)
    changed = returns.copy()
    changed[200:] = changed[200:][::-1]  # same squares, so the recursion starts from the same value
    before, after = TRUE.deviations(returns), TRUE.deviations(changed)
    assert before[:201] == pytest.approx(after[:201], rel=1e-12)
    assert before[201] != pytest.approx(after[201], rel=1e-3)


def test_horizon_sums_forecast_variances_that_revert():
    one = TRUE.long_run_deviation
    assert TRUE.ahead(one, 10) == pytest.approx(one * np.sqrt(10))
    assert TRUE.ahead(2 * one, 10) < 2 * one * np.sqrt(10)
    assert TRUE.ahead(0.03, 1) == pytest.approx(0.03)
    with pytest.raises(RiskError, match="at least one"):
        TRUE.ahead(0.03, 0)


def test_filtered_returns_carry_tomorrows_volatility_and_yesterdays_shapes():
    returns = garch_path(TRUE, 800, seed=7)
    model = fit_garch(returns)
    filtered = model.filtered(returns)
    deviations = model.deviations(returns)
    shocks = (returns - model.mean) / deviations[:-1]
    assert (filtered - model.mean) / deviations[-1] == pytest.approx(shocks, rel=1e-12)
    assert filtered.std() == pytest.approx(deviations[-1], rel=0.1)


def test_filtered_rows_stay_together():
    series = garch_path(TRUE, 600, seed=8)
    table = garch_filtered_returns(np.column_stack([series, -2 * series]))
    assert table[:, 1] == pytest.approx(-2 * table[:, 0], rel=1e-3)


def test_bad_series_are_refused_and_named():
    with pytest.raises(RiskError, match="at least 100"):
        fit_garch(np.ones(50))
    with pytest.raises(RiskError, match="constant"):
        fit_garch(np.full(200, 0.01))
    with pytest.raises(RiskError, match="position 3"):
        TRUE.deviations(np.array([0.1, 0.1, 0.1, np.nan]))
    with pytest.raises(RiskError, match="column 1"):
        garch_filtered_returns(np.column_stack([garch_path(TRUE, 300), np.zeros(300)]))
