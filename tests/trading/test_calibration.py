"""The robust fit of slippage and impact finds what made the data."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qtm.errors import DataError
from qtm.trading.calibration import FEWEST, fit_slippage
from qtm.trading.costs import SPOT_COSTS


def made(count: int, seed: int, noise: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    pressure = random.gamma(2.0, 2.0, count)
    return 1.5 + 0.8 * pressure + random.normal(0.0, noise, count), pressure


def test_it_recovers_the_coefficients_within_their_stated_errors() -> None:
    inside = 0
    for seed in range(100):
        fit = fit_slippage(*made(200, seed))
        inside += abs(fit.slippage_bps - 1.5) < 2 * fit.slippage_error
        inside += abs(fit.impact - 0.8) < 2 * fit.impact_error
    assert 180 <= inside <= 200  # 95 % of 200 intervals


def test_outliers_do_not_move_it() -> None:
    paid, pressure = made(300, 5)
    clean = fit_slippage(paid, pressure)
    paid[::20] += 400.0
    struck = fit_slippage(paid, pressure)
    assert abs(struck.impact - clean.impact) < 0.1 and abs(struck.slippage_bps - clean.slippage_bps) < 0.3
    assert struck.mean_bps > clean.mean_bps + 15.0  # what least squares would have followed
    assert struck.spread_bps == pytest.approx(1.0, abs=0.2)


def test_orders_of_one_size_tell_nothing_about_impact() -> None:
    paid = np.random.default_rng(1).normal(2.0, 0.5, 50)
    fit = fit_slippage(paid, np.full(50, 3.0))
    assert math.isnan(fit.impact) and fit.slippage_bps == pytest.approx(2.0, abs=0.3)
    assert fit.costs(SPOT_COSTS) == SPOT_COSTS._replace(slippage_bps=fit.slippage_bps)


def test_a_negative_fit_never_becomes_a_gain() -> None:
    paid, pressure = made(100, 2)
    costs = fit_slippage(-paid, pressure).costs(SPOT_COSTS)
    assert costs.slippage_bps == 0.0 and costs.impact == 0.0


def test_an_exact_relation_is_found_exactly() -> None:
    pressure = np.linspace(0.0, 9.0, FEWEST)
    fit = fit_slippage(1.0 + 2.0 * pressure, pressure)
    assert (fit.slippage_bps, fit.impact) == pytest.approx((1.0, 2.0)) and fit.spread_bps == 0.0


def test_too_little_or_broken_data_is_refused() -> None:
    with pytest.raises(DataError, match="too few"):
        fit_slippage(np.ones(FEWEST - 1), np.ones(FEWEST - 1))
    with pytest.raises(DataError, match="not a number"):
        fit_slippage(np.full(FEWEST, np.nan), np.ones(FEWEST))
