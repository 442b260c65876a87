"""Stress replays against the price levels of the events themselves."""

import numpy as np
import pytest

from qtm.errors import RiskError
from qtm.risk.stress import StressEvent, replay, replay_all, reverse_stress, shocked

DAY_MS = 86_400_000
MAY_18_2021 = 1_621_296_000_000
MAY_19 = StressEvent("19 May 2021", "2021-05-19", "2021-05-19")
DAYS = MAY_18_2021 + DAY_MS * np.arange(2)
# ETHUSDT closed at 3375.07 the day before, at 2438.92 on the day, and traded down to 1888.
ETH_CLOSES = np.array([[3375.07], [2438.92]])
ETH_LOWS = np.array([[3240.0], [1888.0]])


def test_a_known_day_on_closes_and_on_lows():
    loss = replay(MAY_19, ["ETHUSDT"], np.array([1.0]), DAYS, ETH_CLOSES, ETH_LOWS)
    assert loss.on_closes == pytest.approx(0.277, abs=5e-4)
    assert loss.on_lows == pytest.approx(0.441, abs=5e-4)


def test_removing_the_hedge_leaves_the_long_loss():
    closes, lows = np.hstack([ETH_CLOSES, ETH_CLOSES]), np.hstack([ETH_LOWS, ETH_LOWS])
    loss = replay(MAY_19, ["LONG", "SHORT"], np.array([1.0, -1.0]), DAYS, closes, lows)
    assert loss.on_lows == pytest.approx(0.0)
    assert loss.on_lows_longs_only == pytest.approx(0.441, abs=5e-4)
    assert loss.worst_symbol == "LONG"


def test_a_multi_day_event_takes_the_worst_low_of_its_days():
    days = MAY_18_2021 + DAY_MS * np.arange(3)
    closes = np.array([[100.0], [90.0], [95.0]])
    lows = np.array([[99.0], [60.0], [80.0]])
    event = StressEvent("two days", "2021-05-19", "2021-05-20")
    loss = replay(event, ["X"], np.array([0.5]), days, closes, lows)
    assert (loss.on_closes, loss.on_lows) == (pytest.approx(0.025), pytest.approx(0.2))


def test_a_symbol_without_a_price_then_takes_the_median_move_and_is_named():
    closes = np.hstack([ETH_CLOSES, np.full((2, 1), np.nan)])
    lows = np.hstack([ETH_LOWS, np.full((2, 1), np.nan)])
    loss = replay(MAY_19, ["ETHUSDT", "LATER"], np.array([0.5, 0.5]), DAYS, closes, lows)
    assert loss.on_lows == pytest.approx(0.441, abs=5e-4)
    assert loss.proxied == ("LATER",)


def test_events_the_data_do_not_cover_are_left_out():
    assert (
        replay(
            StressEvent("later", "2022-01-01", "2022-01-02"), ["E"], np.ones(1), DAYS, ETH_CLOSES, ETH_LOWS
        )
        is None
    )
    names = [loss.name for loss in replay_all(["E"], np.ones(1), DAYS, ETH_CLOSES, ETH_LOWS)]
    assert names == ["China ban, 19 May 2021"]


def test_a_made_up_scenario_and_an_impossible_one():
    assert shocked(["A", "B"], np.array([0.5, 0.5]), {"A": -0.5}, -0.1) == pytest.approx(0.3)
    with pytest.raises(RiskError, match="100 %"):
        shocked(["A"], np.ones(1), {"A": -1.5}, 0.0)


def test_reverse_stress_loses_exactly_the_limit():
    weights, betas = np.array([0.5, 0.3]), np.array([1.0, 1.5])
    covariance = np.diag([0.0009, 0.0016])
    answer = reverse_stress(0.1, weights, betas, covariance)
    assert -(weights * betas).sum() * answer.market_move == pytest.approx(0.1)
    deviation = np.sqrt(weights @ covariance @ weights)
    direction = -covariance @ weights / deviation * answer.deviations
    assert -weights @ direction == pytest.approx(0.1)


def test_a_loss_that_no_market_fall_can_bring_is_said_so():
    assert np.isnan(reverse_stress(0.9, np.array([0.1]), np.ones(1), np.eye(1)).market_move)
