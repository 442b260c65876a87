"""Stress replays against the price levels of the events themselves."""

import numpy as np
import pytest

from qtm.risk.stress import DailyPrices, StressEvent, replay, replay_all

DAY_MS = 86_400_000
MAY_18_2021 = 1_621_296_000_000
MAY_19 = StressEvent("19 May 2021", "2021-05-19", "2021-05-19")
DAYS = MAY_18_2021 + DAY_MS * np.arange(2)
# ETHUSDT closed at 3375.07 the day before, at 2438.92 on the day, and traded down to 1888.
ETH_CLOSES = np.array([[3375.07], [2438.92]])
ETH_LOWS = np.array([[3240.0], [1888.0]])
ETH_HIGHS = np.array([[3600.0], [3437.94]])


def prices(days, closes, lows, highs=None):
    return DailyPrices(days, closes, lows, closes if highs is None else highs)


def test_a_known_day_on_closes_and_on_lows():
    loss = replay(MAY_19, ["ETHUSDT"], np.array([1.0]), prices(DAYS, ETH_CLOSES, ETH_LOWS))
    assert loss.on_closes == pytest.approx(0.277, abs=5e-4)
    assert loss.on_lows == pytest.approx(0.441, abs=5e-4)


@pytest.mark.parametrize(
    ("day", "before", "close", "low", "on_close", "on_low"),
    [
        ("2020-03-12", 7934.52, 4800.00, 4410.0, 0.395, 0.444),
        ("2020-03-13", 4800.00, 5578.60, 3782.13, -0.162, 0.212),
        ("2025-10-10", 121_662.40, 112_774.50, 102_000.0, 0.073, 0.162),
    ],
)
def test_bitcoins_worst_days_at_their_published_levels(day, before, close, low, on_close, on_low):
    start = int(np.datetime64(day, "ms").astype(np.int64)) - DAY_MS
    days = start + DAY_MS * np.arange(2)
    levels = prices(days, np.array([[before], [close]]), np.array([[before], [low]]))
    loss = replay(StressEvent(day, day, day), ["BTCUSDT"], np.ones(1), levels)
    assert (loss.on_closes, loss.on_lows) == (
        pytest.approx(on_close, abs=6e-4),
        pytest.approx(on_low, abs=6e-4),
    )


def test_removing_the_hedge_leaves_the_long_loss():
    closes, lows = np.hstack([ETH_CLOSES, ETH_CLOSES]), np.hstack([ETH_LOWS, ETH_LOWS])
    loss = replay(MAY_19, ["LONG", "SHORT"], np.array([1.0, -1.0]), prices(DAYS, closes, lows))
    assert loss.on_lows == pytest.approx(0.0)
    assert loss.on_lows_longs_only == pytest.approx(0.441, abs=5e-4)
    assert loss.worst_symbol == "LONG"


def test_a_multi_day_event_takes_the_worst_low_of_its_days():
    days = MAY_18_2021 + DAY_MS * np.arange(3)
    closes = np.array([[100.0], [90.0], [95.0]])
    lows = np.array([[99.0], [60.0], [80.0]])
    event = StressEvent("two days", "2021-05-19", "2021-05-20")
    loss = replay(event, ["X"], np.array([0.5]), prices(days, closes, lows))
    assert (loss.on_closes, loss.on_lows) == (pytest.approx(0.025), pytest.approx(0.2))


def test_a_symbol_without_a_price_then_takes_the_median_move_and_is_named():
    closes = np.hstack([ETH_CLOSES, np.full((2, 1), np.nan)])
    lows = np.hstack([ETH_LOWS, np.full((2, 1), np.nan)])
    loss = replay(MAY_19, ["ETHUSDT", "LATER"], np.array([0.5, 0.5]), prices(DAYS, closes, lows))
    assert loss.on_lows == pytest.approx(0.441, abs=5e-4)
    assert loss.proxied == ("LATER",)


def test_events_the_data_do_not_cover_are_left_out():
    assert (
        replay(
            StressEvent("later", "2022-01-01", "2022-01-02"),
            ["E"],
            np.ones(1),
            prices(DAYS, ETH_CLOSES, ETH_LOWS),
        )
        is None
    )
    names = [loss.name for loss in replay_all(["E"], np.ones(1), prices(DAYS, ETH_CLOSES, ETH_LOWS))]
    assert names == ["China ban, 19 May 2021"]


def test_a_short_is_held_against_the_high_and_a_long_against_the_low():
    both = prices(DAYS, np.tile(ETH_CLOSES, 2), np.tile(ETH_LOWS, 2), np.tile(ETH_HIGHS, 2))
    loss = replay(MAY_19, ["LONG", "SHORT"], np.array([0.5, -1.0]), both)
    low, high = 1888.0 / 3375.07 - 1, 3437.94 / 3375.07 - 1
    assert loss.on_extremes == pytest.approx(-0.5 * low + high)
    assert loss.on_lows == pytest.approx(-0.5 * low + low)
    assert loss.worst == pytest.approx(loss.on_extremes)


def test_shorts_are_marked_where_margin_is_and_only_where_marks_are_known():
    spot = prices(DAYS, np.tile(ETH_CLOSES, 2), np.tile(ETH_LOWS, 2), np.tile(ETH_HIGHS, 2))
    weights = np.array([0.5, -1.0])
    marks = prices(DAYS, ETH_CLOSES, ETH_LOWS, ETH_HIGHS * 1.02)
    marks = prices(DAYS, *(np.tile(table, 2) for table in (marks.closes, marks.lows, marks.highs)))
    loss = replay(MAY_19, ["LONG", "SHORT"], weights, spot, marks)
    assert loss.on_marks == pytest.approx(-0.5 * (1888.0 / 3375.07 - 1) + 3437.94 * 1.02 / 3375.07 - 1)
    unknown = prices(DAYS, *(table * [1.0, np.nan] for table in (marks.closes, marks.lows, marks.highs)))
    assert replay(MAY_19, ["LONG", "SHORT"], weights, spot, unknown).on_marks is None
    assert replay(MAY_19, ["LONG", "SHORT"], np.abs(weights), spot, marks).on_marks is None
