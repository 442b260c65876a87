"""Rolled engines do not look ahead; true models pass, wrong ones turn red and ask for action."""

import json
from decimal import Decimal

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.risk.engines import FilteredHistorical, Historical, Normal, NormalTail
from qtm.risk.lights import Light
from qtm.risk.rolling_backtest import judge_engine, roll, rolling_lights
from qtm.risk.rules import ACTIVE, REDUCING


class Fixed:
    name = "fixed"

    def __init__(self, deviation):
        self.known = NormalTail(0.0, deviation)

    def tail(self, window):
        return self.known


NOISE = np.random.default_rng(11).normal(size=850) * 0.02


def test_forecasts_use_only_the_window_before_them():
    changed = NOISE.copy()
    changed[700:] *= 50
    for engine in (Historical(), FilteredHistorical()):
        before, after = roll(engine, NOISE, 250), roll(engine, changed, 250)
        assert np.array_equal(before.var[:451], after.var[:451])
        assert before.var[451] != after.var[451] or before.es[470] != after.es[470]
    rolled = roll(Historical(), NOISE, 250)
    assert rolled.returns[0] == NOISE[250]
    assert rolled.es[3] == Historical().tail(NOISE[3:253]).cvar(0.975)


def test_the_true_model_is_green_and_asks_for_nothing():
    verdict = judge_engine(roll(Fixed(0.02), NOISE, 250))
    assert verdict.light is Light.GREEN
    assert verdict.action == (Decimal(1), ACTIVE, False)
    assert not verdict.joint.rejects(0.01)
    assert 0.02 < verdict.z2_p_value < 0.98


def test_a_model_with_half_the_volatility_is_red_reduces_and_is_reviewed():
    verdict = judge_engine(roll(Fixed(0.01), NOISE, 250))
    assert verdict.var_light.light is Light.RED
    assert verdict.shortfall_light is Light.RED
    assert verdict.action == (Decimal("0.85"), REDUCING, True)
    assert verdict.coverage.rejects(0.001)
    assert verdict.z2_p_value == 0.0


def test_thin_tails_under_the_same_volatility_are_found_by_the_shortfall_test():
    fat = np.random.default_rng(5).standard_t(3, size=2250) * 0.02
    verdict = judge_engine(roll(Normal(), fat, 250))
    assert verdict.z2_p_value < 0.05
    assert verdict.z1 < -0.1


def test_lights_roll_with_the_exceptions_in_their_year():
    returns = np.full(600, 0.001)
    returns[300:310] = -1.0  # forecasts 290 to 299
    lights = rolling_lights(roll(Fixed(0.02), returns, 10))
    assert lights.shape == (590 - 249,)
    assert (lights[:45] == Light.GREEN).all()  # up to four exceptions seen
    assert (lights[45:50] == Light.YELLOW).all()
    assert (lights[50:291] == Light.RED).all()  # all ten within the year
    assert (lights[291:296] == Light.YELLOW).all()
    assert (lights[296:] == Light.GREEN).all()


def test_the_body_is_plain_json():
    body = judge_engine(roll(Fixed(0.02), NOISE, 250)).body()
    assert json.loads(json.dumps(body)) == body
    assert sum(body["days_in_zone"].values()) == 600 - 249
    assert body["action"] == {"limit_multiplier": "1", "reduce_only": False, "review": False}


def test_too_little_history_is_refused():
    with pytest.raises(RiskError, match="more finite returns"):
        roll(Historical(), NOISE, 850)
    with pytest.raises(RiskError, match="at least 250 forecasts"):
        judge_engine(roll(Historical(), NOISE[:400], 250))


def test_an_engine_that_refuses_names_its_window():
    class Refusing:
        name = "refusing"

        def tail(self, window):
            raise RiskError("no tail", where="here")

    with pytest.raises(RiskError, match="refusing, window ending at return 250"):
        roll(Refusing(), NOISE, 250)


def test_a_filtered_forecast_follows_volatility():
    calm, wild = (np.random.default_rng(2).normal(0, scale, 300) for scale in (0.01, 0.04))
    rolled = roll(FilteredHistorical(), np.concatenate((calm, wild)), 250)
    assert rolled.var[-1] > 2.5 * rolled.var[0]
