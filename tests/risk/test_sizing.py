"""Sizing rules against published values; no rule exceeds its cap or the position limit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from qtm.errors import ConfigError, RiskError
from qtm.risk.kelly import kelly_fall_probability, kelly_growth_kept, kelly_weights
from qtm.risk.sizing import SizingView, cushion_weight, shrunk_mean, sized_value
from qtm.risk.sizing_rules import (
    Cppi,
    CvarBudget,
    FixedFractional,
    FractionalKelly,
    GrossmanZhou,
    RangeRisk,
    VolatilityTarget,
    sizer_of,
)
from qtm.risk.sizing_view import view_of_bars

SIZERS = [
    FixedFractional(0.01, cap=2.0),
    RangeRisk(0.01, 2.0),
    VolatilityTarget(0.15, cap=1.5),
    CvarBudget(0.02),
    FractionalKelly(cap=0.5),
    Cppi(floor=80.0, multiplier=4.0),
    GrossmanZhou(kept=0.8, mean=0.1, deviation=0.4),
]


def view(**known):
    return SizingView(**{"equity": 100.0, "price": 50.0} | known)


def test_fixed_fractional_loses_the_asked_share_at_the_slipped_stop():
    sized = FixedFractional(0.01).weight(view(stop_price=48.0, slippage=0.5))
    units = sized * 100.0 / 50.0
    assert units * (50.0 - 47.5) == pytest.approx(1.0)


def test_a_stop_at_the_entry_has_no_size():
    assert math.isnan(FixedFractional(0.01).weight(view(stop_price=50.0)))


def test_range_risk_loses_the_asked_share_on_two_ranges():
    units = RangeRisk(0.01, 2.0).weight(view(atr=1.0)) * 100.0 / 50.0
    assert units * 2.0 == pytest.approx(1.0)


def test_volatility_target_scales_down_and_stops_at_the_cap():
    assert VolatilityTarget(0.2).weight(view(volatility=0.8)) == pytest.approx(0.25)
    assert VolatilityTarget(0.2).weight(view(volatility=0.1)) == 1.0


def test_cvar_budget_is_spent_whole():
    assert CvarBudget(0.02).weight(view(unit_cvar=0.08)) * 0.08 == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("share", "growth", "halving"), [(1.0, 1.0, 0.5), (0.5, 0.75, 0.125), (0.25, 0.4375, 0.0078125)]
)
def test_published_growth_and_halving_odds_of_fractional_kelly(share, growth, halving):
    assert kelly_growth_kept(share) == pytest.approx(growth)
    assert kelly_fall_probability(0.5, share) == pytest.approx(halving)


def test_half_kelly_loses_a_fifth_as_published():
    assert kelly_fall_probability(0.8, 0.5) == pytest.approx(0.512)


def test_the_fall_odds_hold_in_simulation():
    draws, share, mean, deviation = np.random.default_rng(0), 0.5, 0.02, 0.2
    bet = share * mean / deviation**2
    steps = np.log1p(bet * (mean / 20 + deviation / np.sqrt(20) * draws.normal(size=(2000, 4000))))
    ever = (np.cumsum(steps, axis=1).min(axis=1) <= math.log(0.8)).mean()
    assert ever == pytest.approx(0.512, abs=0.05)


def test_kelly_bets_less_the_less_the_mean_is_known():
    known = view(mean=0.001, deviation=0.03, observations=1e9)
    doubtful = known._replace(observations=900.0)
    assert FractionalKelly(0.25).weight(known) == pytest.approx(0.25 * 0.001 / 0.0009, rel=1e-4)
    assert shrunk_mean(0.001, 0.03, 900) == pytest.approx(0.0005)
    assert FractionalKelly(0.25).weight(doubtful) == pytest.approx(0.5 * 0.25 * 0.001 / 0.0009)
    assert FractionalKelly(0.25).weight(view(mean=0.0, deviation=0.03, observations=900.0)) == 0.0


def test_kelly_of_independent_assets_is_kelly_of_each():
    weights = kelly_weights(np.array([0.02, -0.01]), np.diag([0.04, 0.01]), 0.5)
    assert weights == pytest.approx([0.25, -0.5])
    with pytest.raises(RiskError, match="not positive definite"):
        kelly_weights(np.array([0.1, 0.1]), np.ones((2, 2)))


def test_cppi_example_as_published():
    rule = Cppi(floor=80.0, multiplier=4.0)
    assert rule.weight(view(equity=100.0)) * 100.0 == pytest.approx(80.0)
    after = 100.0 - 0.10 * 80.0
    assert after == pytest.approx(92.0)
    assert rule.weight(view(equity=after)) * after == pytest.approx(48.0)
    assert rule.floor == 100.0 - 0.25 * 80.0
    assert rule.survives_gap == pytest.approx(0.25)
    assert rule.weight(view(equity=80.0)) == 0.0
    assert rule.weight(view(equity=70.0)) == 0.0


def test_altcoin_gaps_ask_for_a_multiplier_below_one_and_a_half():
    assert Cppi(80.0, 1.4).survives_gap > 0.70 > Cppi(80.0, 1.45).survives_gap


def test_grossman_zhou_with_log_utility_is_kelly_on_the_cushion():
    rule = GrossmanZhou(kept=0.8, mean=0.1, deviation=0.5, cap=10.0)
    assert rule.multiplier == pytest.approx(0.4)
    assert rule.weight(view(equity=100.0, peak_equity=110.0)) * 100 == pytest.approx(0.4 * (100 - 88))
    averse = GrossmanZhou(kept=0.8, mean=0.1, deviation=0.5, aversion=3.0)
    assert averse.multiplier == pytest.approx(0.4 / (0.2 * 3 + 0.8))


def test_grossman_zhou_keeps_its_floor_in_small_steps_and_breaks_it_only_by_a_gap():
    rule = GrossmanZhou(kept=0.8, mean=0.5, deviation=0.5, cap=10.0)
    steps = np.random.default_rng(3).normal(0.5 / 5000, 0.5 / math.sqrt(5000), size=20_000)
    equity = peak = 1.0
    for step in steps:
        equity *= 1.0 + rule.weight(view(equity=equity, peak_equity=peak)) * step
        peak = max(peak, equity)
        assert equity >= 0.8 * peak
    exposed = rule.weight(view(equity=peak, peak_equity=peak))
    assert 1.0 - 0.6 * exposed < 0.8  # a gap of 60 % does what no small step can


@pytest.mark.parametrize("sizer", SIZERS, ids=lambda sizer: type(sizer).__name__)
def test_a_missing_input_gives_no_order(sizer):
    blind = SizingView(equity=math.nan, price=math.nan)
    assert math.isnan(sizer.weight(blind))
    assert math.isnan(sized_value(sizer, blind, 1.0, 1e6))


@given(
    sizer=st.sampled_from(SIZERS),
    equity=st.floats(1, 1e9),
    numbers=st.lists(st.floats(1e-6, 1e6), min_size=8, max_size=8),
    direction=st.floats(-3, 3),
    limit=st.floats(0, 1e9),
)
def test_no_sizer_exceeds_its_cap_or_the_position_limit(sizer, equity, numbers, direction, limit):
    price, peak, stop, slip, atr, volatility, mean, deviation = numbers
    known = SizingView(
        equity, price, max(peak, equity), stop, slip, atr, volatility, mean, deviation, 500.0, volatility
    )
    weight = sizer.weight(known)
    value = sized_value(sizer, known, direction, limit)
    if not math.isnan(weight):
        assert 0.0 <= weight <= sizer.cap
        assert abs(value) <= min(limit, sizer.cap * equity * (1 + 1e-12))
        assert value * direction >= 0.0


def test_an_unknown_limit_places_no_order():
    assert math.isnan(sized_value(VolatilityTarget(0.2), view(volatility=0.4), 1.0, math.nan))


def test_the_rules_are_the_same_in_compiled_code():
    @njit
    def inside(value, floor):
        return cushion_weight(4.0, value, floor)

    for value in (100.0, 92.0, 80.0, 0.0, -1.0):
        assert inside(value, 80.0) == cushion_weight(4.0, value, 80.0)
    assert math.isnan(inside(math.nan, 80.0))


@pytest.mark.parametrize(
    "build",
    [
        lambda: FixedFractional(0.0),
        lambda: FractionalKelly(1.5),
        lambda: VolatilityTarget(0.1, cap=math.inf),
        lambda: Cppi(-1.0, 2.0),
        lambda: GrossmanZhou(0.8, mean=-0.1, deviation=0.5),
        lambda: RangeRisk(0.01, 0.0),
    ],
)
def test_parameters_out_of_range_are_refused(build):
    with pytest.raises(RiskError):
        build()


def test_a_rule_is_read_as_it_is_written():
    assert sizer_of("volatility:target=0.01,cap=0.5") == VolatilityTarget(0.01, cap=0.5)
    assert sizer_of("kelly") == FractionalKelly()


@pytest.mark.parametrize(
    ("text", "words"),
    [("vol:target=1", "unknown sizing rule"), ("fixed:risk=a", "cannot read"), ("fixed:rsk=0.1", "rsk")],
)
def test_a_rule_nobody_can_read_is_refused_by_name(text, words):
    with pytest.raises(ConfigError, match=words):
        sizer_of(text)


def test_the_view_of_bars_is_the_textbook_figures_of_them():
    closes = 100 * np.cumprod(1 + np.random.default_rng(3).normal(0, 0.02, 400))
    highs, lows = closes * 1.01, closes * 0.99
    seen = view_of_bars(highs, lows, closes, equity=1000.0)
    returns = closes[1:] / closes[:-1] - 1
    ranges = np.maximum(highs[1:], closes[:-1]) - np.minimum(lows[1:], closes[:-1])
    assert seen.atr == pytest.approx(ranges[-14:].mean())
    assert seen.mean == pytest.approx(returns.mean()) and seen.observations == 399
    assert seen.volatility == pytest.approx(0.02, rel=0.5)
    assert CvarBudget(0.02).weight(seen) == pytest.approx(0.02 / seen.unit_cvar)


def test_too_few_bars_size_nothing():
    few = np.linspace(100, 101, 20)
    seen = view_of_bars(few, few, few, equity=1000.0)
    assert math.isnan(VolatilityTarget(0.01).weight(seen)) and math.isnan(CvarBudget(0.01).weight(seen))
