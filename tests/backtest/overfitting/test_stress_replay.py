"""Stress windows: found by date, marked at the worst price, left out when not covered."""

import dataclasses

import numpy as np
import pytest

from qtm.backtest.overfitting.stress_replay import replay_stress
from qtm.risk.stress import StressEvent
from qtm.strategies.registry import load_strategy
from tests.backtest.overfitting.market import PER_DAY, bars_from, conditions

TREND = load_strategy("trend")
PARAMS = TREND.params({"fast": 3, "slow": 20})
CRASH = StressEvent("crash", "2020-01-21", "2020-01-22")


def crashing():
    """Twenty quiet rising days, a fall of a fifth spread over two days, and ten days after."""
    steps = np.full(32 * PER_DAY, 0.001)
    steps[20 * PER_DAY : 22 * PER_DAY] = np.log(0.8) / (2 * PER_DAY)
    return bars_from(steps)


def test_the_fall_is_marked_at_the_low_and_from_the_close_before():
    market = conditions(crashing())
    low = market.bars.low.copy()
    low[20 * PER_DAY + 1] *= 0.5
    result = dataclasses.replace(market, bars=dataclasses.replace(market.bars, low=low)).run(TREND, PARAMS)
    (event,) = replay_stress(result, [CRASH])
    first, last = 20 * PER_DAY, 22 * PER_DAY - 1
    qty = result.order_rows["qty_after"][0]
    cash = result.order_rows["cash_after"][0]
    assert event.worst_equity == pytest.approx(cash + qty * low[first + 1])
    assert event.worst_fall == pytest.approx(1 - event.worst_equity / result.equity[first - 1])
    assert event.strategy_return == pytest.approx(result.equity[last] / result.equity[first - 1] - 1)
    assert event.market_return == pytest.approx(0.8 - 1, abs=1e-5)


def test_events_outside_the_run_are_left_out():
    result = conditions(crashing()).run(TREND, PARAMS)
    outside = [
        StressEvent("before", "2019-12-30", "2020-01-02"),
        StressEvent("no bar before it", "2020-01-01", "2020-01-02"),
        StressEvent("unfinished", "2020-02-01", "2020-02-02"),
        StressEvent("after", "2021-01-01", "2021-01-02"),
    ]
    assert replay_stress(result, outside) == ()
    assert [event.name for event in replay_stress(result, [*outside, CRASH])] == ["crash"]


def test_worst_event_comes_first():
    result = conditions(crashing()).run(TREND, PARAMS)
    calm = StressEvent("calm", "2020-01-05", "2020-01-06")
    assert [event.name for event in replay_stress(result, [calm, CRASH])] == ["crash", "calm"]
