"""Volatility filter and rolled forecasts: by hand, and blind to the future."""

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.risk.forecasts import rolling_filtered, rolling_historical
from qtm.risk.measures import historical_cvar, historical_var
from qtm.risk.volatility import ewma_volatility


def test_ewma_is_the_recursion_by_hand():
    returns = np.array([[0.01], [0.02], [-0.03]])
    first = np.mean(returns**2)
    second = 0.94 * first + 0.06 * 0.01**2
    third = 0.94 * second + 0.06 * 0.02**2
    expected, following = ewma_volatility(returns, 0.94)
    assert expected[:, 0] ** 2 == pytest.approx([first, second, third])
    assert following[0] ** 2 == pytest.approx(0.94 * third + 0.06 * 0.03**2)


def test_a_decay_outside_the_unit_interval_is_refused():
    with pytest.raises(RiskError, match="decay"):
        ewma_volatility(np.ones((3, 1)), 1.0)


def test_a_rolled_forecast_is_the_measure_of_the_window_before_it():
    returns = np.random.default_rng(0).normal(0, 0.02, 300)
    rolled = rolling_historical(returns, 250, 0.95)
    assert rolled.returns.shape == (50,)
    assert rolled.var[7] == historical_var(returns[7:257], 0.95)
    assert rolled.cvar[7] == historical_cvar(returns[7:257], 0.95)


@pytest.mark.parametrize("model", [rolling_historical, rolling_filtered])
def test_forecasts_do_not_see_the_future(model):
    returns = np.random.default_rng(1).normal(0, 0.02, 300)
    poisoned = returns.copy()
    poisoned[280:] = 9.0
    assert (model(returns, 250, 0.99).var[:31] == model(poisoned, 250, 0.99).var[:31]).all()


def test_a_filtered_forecast_follows_volatility():
    calm, wild = (np.random.default_rng(2).normal(0, scale, 300) for scale in (0.01, 0.04))
    rolled = rolling_filtered(np.concatenate((calm, wild)), 250, 0.95)
    assert rolled.var[-1] > 2.5 * rolled.var[0]
    exceptions = (rolled.returns[100:] < -rolled.var[100:]).mean()
    assert exceptions == pytest.approx(0.05, abs=0.03)


def test_too_short_a_history_is_an_error():
    with pytest.raises(RiskError, match="too few"):
        rolling_historical(np.zeros(250), 250, 0.95)
