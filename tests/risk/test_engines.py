"""Engines forecast from their window alone, and their tails agree with the measures they stand for."""

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.risk.engines import ENGINES, EmpiricalTail, ExtremeValue, engine_named
from qtm.risk.measures import historical_cvar, historical_var
from qtm.risk.parametric import Moments, normal_var, student_t_freedom, student_t_var

WINDOW = np.random.default_rng(0).standard_t(5, size=500) * 0.02


@pytest.mark.parametrize("engine", ENGINES.values(), ids=ENGINES)
def test_every_tail_is_consistent_with_itself(engine):
    tail = engine.tail(WINDOW)
    u = (np.arange(40_000) + 0.5) / 40_000 * 0.025
    assert tail.losses(u).mean() == pytest.approx(tail.cvar(0.975), rel=0.01)
    assert tail.losses(np.array([0.0101]))[0] <= tail.var(0.99) <= tail.losses(np.array([0.0099]))[0] + 1e-12
    assert 0.0 < tail.var(0.975) < tail.var(0.99) <= tail.cvar(0.99)


def test_engines_are_the_measures_they_are_named_after():
    moments = Moments.of(WINDOW)
    assert engine_named("historical").tail(WINDOW).var(0.99) == historical_var(WINDOW, 0.99)
    assert engine_named("normal").tail(WINDOW).var(0.99) == pytest.approx(
        normal_var(moments.mean, moments.deviation, 0.99)
    )
    freedom = student_t_freedom(WINDOW)
    assert engine_named("student-t").tail(WINDOW).var(0.99) == pytest.approx(
        student_t_var(moments.mean, moments.deviation, freedom, 0.99)
    )


def test_scenario_draws_average_to_the_fractional_tail():
    tail = EmpiricalTail(WINDOW[:130])  # 2.5 % of 130 is 3.25 scenarios
    u = (np.arange(1_000_000) + 0.5) / 1_000_000 * 0.025
    assert tail.losses(u).mean() == pytest.approx(historical_cvar(WINDOW[:130], 0.975), rel=1e-5)


@pytest.mark.parametrize("name", ["filtered", "garch", "filtered-evt"])
def test_filtering_engines_follow_volatility(name):
    quiet = np.concatenate([WINDOW, WINDOW[:60] * 0.3])
    loud = np.concatenate([WINDOW, WINDOW[:60] * 3.0])
    engine = ENGINES[name]
    assert engine.tail(loud).var(0.99) > 2 * engine.tail(quiet).var(0.99)


def test_filtered_extreme_values_undo_their_scaling():
    tail = ExtremeValue(filtered=True).tail(WINDOW)
    bigger = ExtremeValue(filtered=True).tail(WINDOW * 10)
    assert bigger.cvar(0.99) == pytest.approx(10 * tail.cvar(0.99), rel=1e-4)


def test_an_unknown_engine_is_refused_with_the_known_ones():
    with pytest.raises(RiskError, match="historical, filtered"):
        engine_named("magic")
