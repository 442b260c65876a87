"""The live marginal CVaR equals full revaluation, counts working orders at their worst, and fails closed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qtm.errors import RiskError
from qtm.risk.marginal import BookCvar
from qtm.risk.measures import historical_cvar

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")
NOW = 1_700_000_000_000
DAY = 86_400_000


def scenarios(count=777, seed=0):
    return np.random.default_rng(seed).standard_t(4, size=(count, 3)) * 0.02


def book(returns=None, alpha=0.975, **lifetime):
    returns = scenarios() if returns is None else returns
    return BookCvar(SYMBOLS, returns, alpha, **{"as_of_ms": NOW, "max_age_ms": DAY} | lifetime)


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 400),
    seed=st.integers(0, 99),
    alpha=st.sampled_from([0.5, 0.9, 0.95, 0.975, 0.99]),
    positions=arrays(np.float64, 3, elements=st.floats(-1e6, 1e6)),
    column=st.integers(0, 2),
    value=st.floats(-1e7, 1e7),
)
def test_an_order_is_judged_as_by_full_revaluation(count, seed, alpha, positions, column, value):
    returns = scenarios(count, seed)
    held = book(returns, alpha)
    for symbol, position in zip(SYMBOLS, positions, strict=True):
        held.set_position(symbol, float(position))
    changed = positions.copy()
    changed[column] += value
    answer = held.order(SYMBOLS[column], value, NOW)
    scale = 1e-12 * (1 + np.abs(positions).sum() + abs(value))
    assert answer.before == pytest.approx(historical_cvar(returns @ positions, alpha), rel=1e-12, abs=scale)
    assert answer.after == pytest.approx(historical_cvar(returns @ changed, alpha), rel=1e-12, abs=scale)


def test_scenarios_in_an_order_that_misleads_the_sample_still_count():
    returns = scenarios(1600)
    returns[:, 0] = 0.05
    returns[np.arange(1600) % 16 != 0, 0] -= 0.5  # every sampled scenario gains, all others lose
    held = book(returns)
    after = held.order("BTCUSDT", 1000.0, NOW).after
    assert after == pytest.approx(historical_cvar(1000.0 * returns[:, 0], 0.975))
    returns[:, 0] = np.where(np.arange(1600) % 16 == 0, -0.5, 0.05)  # the sample alone holds the losses
    held.replace_scenarios(returns, as_of_ms=NOW)
    after = held.order("BTCUSDT", 1000.0, NOW).after
    assert after == pytest.approx(historical_cvar(1000.0 * returns[:, 0], 0.975))


def test_many_updates_do_not_drift_from_the_book():
    returns, draws = scenarios(), np.random.default_rng(5)
    held, positions = book(returns), np.zeros(3)
    for _ in range(5000):
        column = int(draws.integers(3))
        positions[column] = draws.normal() * 1e8
        held.set_position(SYMBOLS[column], float(positions[column]))
    positions[:] = 100.0
    for symbol in SYMBOLS:
        held.set_position(symbol, 100.0)
    assert held.cvar(NOW) == pytest.approx(historical_cvar(returns @ positions, 0.975), rel=1e-12)


def test_working_orders_count_in_the_worst_case_of_their_filling():
    returns = scenarios()
    held = book(returns)
    held.set_position("BTCUSDT", 1000.0)
    held.set_working("ETHUSDT", buys=500.0, sells=0.0)
    held.set_working("BTCUSDT", buys=0.0, sells=1000.0)
    value = 200.0
    cases = [[1000, 0, value], [1000, 500, value], [0, 0, value], [0, 500, value]]
    expected = max(historical_cvar(returns @ np.array(case, float), 0.975) for case in cases)
    assert held.order("SOLUSDT", value, NOW).after == pytest.approx(expected, rel=1e-12)
    alone = book(returns)
    alone.set_position("BTCUSDT", 1000.0)
    assert held.order("SOLUSDT", value, NOW).after > alone.order("SOLUSDT", value, NOW).after


def test_buys_and_sells_that_both_fill_can_be_the_worst_case():
    returns = scenarios()
    held = book(returns)
    held.set_working("ETHUSDT", buys=1000.0, sells=0.0)
    held.set_working("BTCUSDT", buys=0.0, sells=1000.0)
    both = historical_cvar(returns @ np.array([-1000.0, 1000.0, 0.0]), 0.975)
    assert both > historical_cvar(returns @ np.array([0.0, 1000.0, 0.0]), 0.975)
    assert held.cvar(NOW) == pytest.approx(both)


def test_a_working_sell_cannot_hide_risk_it_may_not_take_off():
    held = book()
    held.set_position("BTCUSDT", 1000.0)
    before = held.cvar(NOW)
    held.set_working("BTCUSDT", buys=0.0, sells=1000.0)
    assert held.cvar(NOW) == pytest.approx(before)
    held.set_working("BTCUSDT", buys=0.0, sells=0.0)
    held.set_position("BTCUSDT", 0.0)
    assert held.cvar(NOW) == pytest.approx(0.0, abs=1e-9)


def test_an_order_that_closes_the_book_takes_its_whole_risk_off():
    held = book()
    held.set_position("BTCUSDT", 1000.0)
    answer = held.order("BTCUSDT", -1000.0, NOW)
    assert answer.adds == pytest.approx(-answer.before)


@pytest.mark.parametrize("now", [NOW + DAY + 1, NOW - 1])
def test_stale_scenarios_and_scenarios_from_the_future_answer_nan(now):
    held = book()
    assert math.isnan(held.order("BTCUSDT", 10.0, now).after)
    assert math.isnan(held.cvar(now))
    assert not held.order("BTCUSDT", 10.0, now).after <= math.inf


def test_fresh_scenarios_open_the_door_again():
    held = book()
    held.set_position("BTCUSDT", 10.0)
    later = NOW + 10 * DAY
    held.replace_scenarios(scenarios(seed=3), as_of_ms=later)
    expected = historical_cvar(10.0 * scenarios(seed=3)[:, 0], 0.975)
    assert held.cvar(later) == pytest.approx(expected)


def test_a_symbol_without_scenarios_answers_nan():
    held = book()
    assert math.isnan(held.order("DOGEUSDT", 10.0, NOW).after)


@pytest.mark.parametrize(("symbol", "value"), [("DOGEUSDT", 5.0), ("BTCUSDT", math.nan)])
def test_a_position_nobody_can_value_closes_the_whole_book_until_it_is_known(symbol, value):
    held = book()
    held.set_position("BTCUSDT", 7.0)
    held.set_position(symbol, value)
    held.set_working(symbol, buys=0.0, sells=0.0)
    assert math.isnan(held.order("ETHUSDT", 10.0, NOW).after)
    held.set_position(symbol, 0.0)
    assert math.isfinite(held.order("ETHUSDT", 10.0, NOW).after)


def test_unusable_scenarios_are_refused():
    with pytest.raises(RiskError, match="one column for each symbol"):
        book(np.zeros((5, 2)))
    broken = scenarios()
    broken[3, 1] = np.nan
    with pytest.raises(RiskError, match="ETHUSDT"):
        book(broken)
    with pytest.raises(RiskError, match="twice"):
        BookCvar(("A", "A"), np.zeros((5, 2)), 0.95, as_of_ms=NOW, max_age_ms=DAY)
    with pytest.raises(RiskError, match="positive on both sides"):
        book().set_working("BTCUSDT", buys=-1.0, sells=0.0)
