"""A model on trial: a true one passes, an understated one turns red."""

from dataclasses import replace

import numpy as np
import pytest

from qtm.risk.forecasts import rolling_historical
from qtm.risk.model_backtests import Light
from qtm.risk.verdicts import judge

RETURNS = np.random.default_rng(5).standard_t(5, 1000) * 0.01


def test_a_true_model_is_green():
    verdict = judge(rolling_historical(RETURNS, 500, 0.975).last(250))
    assert verdict.worst is Light.GREEN
    assert verdict.expected == pytest.approx(6.25)
    assert verdict.exceptions == pytest.approx(6, abs=6)


def test_a_model_that_halves_the_risk_is_red():
    rolled = rolling_historical(RETURNS, 500, 0.975).last(250)
    halved = replace(rolled, var=rolled.var / 2, cvar=rolled.cvar / 2, tails=rolled.tails / 2)
    verdict = judge(halved)
    assert verdict.worst is Light.RED
    assert verdict.kupiec_p < 0.001
    assert verdict.z2 < -1


def test_a_book_without_risk_has_no_shortfall_to_judge():
    verdict = judge(rolling_historical(np.zeros(600), 300, 0.99).last(250))
    assert verdict.es_light is None and np.isnan(verdict.z2)
    assert verdict.worst is Light.GREEN
