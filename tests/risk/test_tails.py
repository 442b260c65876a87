"""The table of engines: agreement where they must agree, open refusal where they cannot."""

import numpy as np
import pytest

from qtm.risk.tails import ENGINES, overlapping_returns, tail_estimates, worst_window


def test_engines_agree_on_a_normal_sample_and_the_stressed_window_is_worse():
    rng = np.random.default_rng(0)
    path = rng.normal(0, 0.02, 5000)
    history = np.concatenate((rng.normal(0, 0.06, 250), path))
    hourly = rng.normal(0, 0.005, 3000)
    by_engine = {(e.engine, e.alpha): e for e in tail_estimates(path, history, hourly=hourly)}
    normal = by_engine["Normal", 0.95]
    for engine in ("Historical", "Student t", "Cornish-Fisher", "Extreme values"):
        assert by_engine[engine, 0.95].cvar == pytest.approx(normal.cvar, rel=0.05)
    assert by_engine["Historical, stressed", 0.95].cvar > 2.5 * normal.cvar
    assert by_engine["Historical, 10 days", 0.95].var == pytest.approx(np.sqrt(10) * normal.var, rel=0.15)
    filtered = by_engine["Filtered historical", 0.95]
    assert by_engine["Filtered extreme values", 0.95].cvar == pytest.approx(filtered.cvar, rel=0.05)
    assert by_engine["Historical, 1 hour", 0.95].var == pytest.approx(normal.var / 4, rel=0.1)
    for name, *_ in ENGINES:
        ten, hour = by_engine[f"{name}, 10 days", 0.975], by_engine[f"{name}, 1 hour", 0.975]
        assert ten.cvar == pytest.approx(by_engine["Normal, 10 days", 0.975].cvar, rel=0.3)
        assert hour.cvar == pytest.approx(by_engine["Normal, 1 hour", 0.975].cvar, rel=0.3)
        assert (ten.horizon, hour.horizon) == ("10 days", "1 hour")
    assert all(e.cvar >= e.var for e in by_engine.values())
    assert by_engine["Extreme values", 0.95].note == "peaks over the worst tenth; 5000 days"


def test_an_engine_outside_its_domain_says_why_and_gives_no_number():
    path = np.concatenate((np.random.default_rng(1).normal(0, 0.001, 500), [-0.5]))
    refused = [e for e in tail_estimates(path, path) if e.engine.startswith("Cornish-Fisher")]
    assert all(np.isnan(e.cvar) and "not monotone" in e.note for e in refused)


def test_without_hourly_bars_the_next_hour_is_not_guessed():
    path = np.random.default_rng(2).normal(0, 0.02, 500)
    hours = [e for e in tail_estimates(path, path) if e.engine == "Historical, 1 hour"]
    assert len(hours) == 3
    assert all(np.isnan(e.var) and "hourly bars" in e.note for e in hours)


def test_a_book_that_never_moved_has_no_parametric_tail_but_a_report():
    flat = tail_estimates(np.zeros(100), np.zeros(100))
    assert {e.cvar for e in flat if e.engine == "Historical"} == {0.0}
    assert all(np.isnan(e.cvar) for e in flat if e.engine == "Student t")


def test_the_stressed_window_is_where_the_losses_were():
    returns = np.zeros(400)
    returns[100:110] = -0.1
    window = worst_window(returns, 50)
    assert window.shape == (50,) and window.sum() == pytest.approx(-1.0)


def test_overlapping_returns_compound():
    assert overlapping_returns(np.array([0.1, -0.1, 0.2]), 2) == pytest.approx([-0.01, 0.08])


def test_ten_filtered_days_are_ten_days_at_tomorrows_volatility():
    rng = np.random.default_rng(6)
    calm_after_storm = np.concatenate((rng.normal(0, 0.06, 300), rng.normal(0, 0.01, 300)))
    by_engine = {(e.engine, e.alpha): e for e in tail_estimates(calm_after_storm, calm_after_storm)}
    ten = by_engine["Filtered historical, 10 days", 0.95]
    assert ten.var == pytest.approx(np.sqrt(10) * by_engine["Filtered historical", 0.95].var, rel=0.35)
    assert ten.var < 0.5 * by_engine["Historical, 10 days", 0.95].var
