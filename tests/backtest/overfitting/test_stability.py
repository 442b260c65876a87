"""The parameter box, the stability map and the doubled-cost run."""

import polars as pl
import pytest

from qtm.backtest.overfitting.stability import BoxStability, box_stability, parameter_box, stability_map
from qtm.errors import RiskError
from qtm.strategies.registry import load_strategy
from tests.backtest.overfitting.market import bars_from, conditions, noise_steps, trending_steps

TREND = load_strategy("trend")


def test_the_box_reaches_twenty_percent_to_every_side_and_starts_at_its_centre():
    box = parameter_box(TREND, TREND.params({"fast": 10, "slow": 50}))
    assert box[0] == TREND.params({"fast": 10, "slow": 50})
    assert {params.fast for params in box} == {8, 9, 10, 11, 12}
    assert {params.slow for params in box} == {40, 45, 50, 55, 60}
    assert {params.below for params in box} == {0.0}
    assert len(box) == len(set(box)) == 25


def test_small_whole_numbers_move_by_one_and_bounds_hold():
    box = parameter_box(TREND, TREND.params({"fast": 1, "slow": 2, "below": -1.0}))
    assert {params.fast for params in box} == {1, 2}
    assert {params.slow for params in box} == {2, 3}
    assert {params.below for params in box} == {-1.0, -0.8, -0.9}


def test_followed_trends_are_a_plateau_and_noise_is_not():
    centre = TREND.params({"fast": 5, "slow": 20})
    plateau = box_stability(TREND, centre, conditions(bars_from(trending_steps(150, 1))))
    assert plateau.stable and plateau.profitable == 1.0 and plateau.worst_return > 0
    assert plateau.neighbours.height == len(parameter_box(TREND, centre)) - 1
    assert not box_stability(TREND, centre, conditions(bars_from(noise_steps(150, 2)))).stable


def test_a_losing_centre_is_never_stable():
    assert not BoxStability(pl.DataFrame(), -0.1, 1.0, 0.2, 0.1).stable


def test_map_takes_the_median_over_the_other_parameters():
    sweep = pl.DataFrame(
        {
            "fast": [1, 1, 1, 2],
            "slow": [10, 10, 20, 10],
            "below": [0, -1, 0, 0],
            "sharpe": [1.0, 3.0, 5.0, 7.0],
        }
    )
    assert stability_map(sweep, "fast", "slow").to_dicts() == [
        {"slow": 10, "1": 2.0, "2": 7.0},
        {"slow": 20, "1": 5.0, "2": None},
    ]
    with pytest.raises(RiskError, match="no column 'calmar'"):
        stability_map(sweep, "fast", "slow", "calmar")
    with pytest.raises(RiskError, match="two parameters"):
        stability_map(sweep, "fast", "fast")


def test_impossible_boxes_are_refused():
    with pytest.raises(RiskError, match="share inside"):
        parameter_box(TREND, TREND.params(), 1.0)
