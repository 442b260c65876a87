"""Liquidity additions to VaR: published example, hand-walked books, horizons."""

import pytest

from qtm.errors import RiskError
from qtm.risk.liquidity import (
    STRESSED_DEPTH,
    adjust_for_liquidity,
    depth_cost,
    horizon_factor,
    periods_to_sell,
    spread_cost,
)

ASKS = [(100.1, 2.0), (100.5, 3.0), (102.0, 100.0)]
BIDS = [(99.9, 2.0), (99.5, 3.0)]


def test_published_spread_cost():
    assert spread_cost(100.0, 0.002, 0.001, 3.0) == pytest.approx(0.25)


def test_walking_the_book_by_hand():
    assert depth_cost(ASKS, 2.0, 100.0) == pytest.approx(0.001)
    assert depth_cost(ASKS, 4.0, 100.0) == pytest.approx((2 * 100.1 + 2 * 100.5) / 4 / 100 - 1)
    assert depth_cost(BIDS, 4.0, 100.0) == pytest.approx(1 - (2 * 99.9 + 2 * 99.5) / 4 / 100)
    assert depth_cost(ASKS, 0.0, 100.0) == 0.0


def test_a_stressed_book_costs_more():
    usual, stressed = depth_cost(ASKS, 1.0, 100.0), depth_cost(ASKS, 1.0, 100.0, depth=STRESSED_DEPTH)
    assert stressed == pytest.approx((0.2 * 100.1 + 0.3 * 100.5 + 0.5 * 102.0) / 100 - 1)
    assert stressed > usual


def test_beyond_the_recorded_levels_the_cost_is_unknown_not_zero():
    with pytest.raises(RiskError, match="too thin"):
        depth_cost(BIDS, 6.0, 100.0)


def test_selling_takes_at_least_one_period():
    assert periods_to_sell(10.0, 1000.0, 0.1) == 1.0
    assert periods_to_sell(500.0, 1000.0, 0.1) == pytest.approx(5.0)


def test_linear_liquidation_adds_the_variance_of_what_is_left_each_day():
    assert horizon_factor(1.0) == pytest.approx(1.0)
    days = 5
    left = [1 - day / days for day in range(days)]
    assert horizon_factor(days) == pytest.approx(sum(share**2 for share in left) ** 0.5)


def test_the_parts_sum_to_the_total():
    answer = adjust_for_liquidity(20.0, 500.0, volume=1000.0, participation=0.1, relative_cost=0.01)
    assert answer.periods == pytest.approx(5.0)
    assert answer.total == pytest.approx(20.0 * horizon_factor(5.0) + 5.0)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda: spread_cost(-1.0, 0.1, 0.1),
        lambda: spread_cost(1.0, float("nan"), 0.1),
        lambda: periods_to_sell(1.0, 0.0, 0.1),
        lambda: periods_to_sell(1.0, 10.0, 1.1),
        lambda: horizon_factor(0.5),
        lambda: depth_cost(ASKS, 1.0, 0.0),
    ],
)
def test_impossible_inputs_are_refused(attempt):
    with pytest.raises(RiskError):
        attempt()
