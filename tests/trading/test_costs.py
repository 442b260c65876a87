"""The cost model's arithmetic: fee assets, impact, participation, tiers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from qtm.errors import ConfigError
from qtm.market.instruments import Market
from qtm.trading.costs import (
    FEE_IN_BNB,
    FEE_IN_QUOTE,
    SPOT_COSTS,
    UM_COSTS,
    VARIANCE_DECAY,
    CostModel,
    commission,
    fillable_lots,
    next_variance,
    numbers_of,
    slippage_of,
)
from qtm.trading.fee_tiers import TIERS, fee_schedule


def test_each_fee_asset_is_truncated_at_its_own_eighth_decimal() -> None:
    assert commission(1, 0.12345678, 60_000.0, False, SPOT_COSTS) == (0.00012345, 0.0)
    assert commission(-1, 0.12345678, 60_000.01, False, SPOT_COSTS) == (0.0, 7.40740803)
    assert commission(1, 0.5, 60_000.0, True, UM_COSTS) == (0.0, 6.0)
    in_bnb = CostModel(0.00075, 0.00075, 0.0, FEE_IN_BNB, bnb_price=613.7)
    # 30,000 x 0.00075 = 22.5 in quote; 22.5 / 613.7 = 0.036662864...
    assert commission(1, 0.5, 60_000.0, False, in_bnb) == (0.0, pytest.approx(0.03666286 * 613.7, abs=1e-12))


def test_impact_is_the_square_root_of_the_share_of_the_bar() -> None:
    costs = CostModel(slippage_bps=1.0, impact=0.5)
    # A quarter of the bar's volume at 20 bp volatility: 1 + 0.5 * 20 * sqrt(1/4)
    assert slippage_of(-25.0, 100.0, 0.002, costs) == pytest.approx(6.0)
    assert slippage_of(25.0, 0.0, 0.002, costs) == 1.0
    assert slippage_of(25.0, 100.0, 0.002, SPOT_COSTS) == 1.0


@pytest.mark.parametrize(("lots", "volume", "filled"), [(50, 1.0, 50), (-500, 1.0, -100), (7, 0.0, 0)])
def test_an_order_takes_no_more_than_its_share_of_a_bar(lots: float, volume: float, filled: float) -> None:
    assert fillable_lots(float(lots), volume, 0.001, CostModel(participation=0.1)) == filled
    assert fillable_lots(float(lots), volume, 0.001, SPOT_COSTS) == lots


def test_the_variance_starts_with_the_first_return_and_forgets_exponentially() -> None:
    closes = [100.0, 101.0, 99.0, 99.0]
    variance, before = 0.0, 0.0
    for close in closes:
        variance, before = next_variance(variance, before, close), close
    first, second = 0.01**2, (99 / 101 - 1) ** 2
    expected = VARIANCE_DECAY * (VARIANCE_DECAY * first + (1 - VARIANCE_DECAY) * second)
    assert variance == pytest.approx(expected, rel=1e-12)


def test_tiers_fall_with_volume_and_bnb_takes_its_discount_off() -> None:
    assert fee_schedule("spot", slippage_bps=1.0) == SPOT_COSTS
    assert fee_schedule(Market.UM, 0) == UM_COSTS
    for market, tiers in TIERS.items():
        rates = np.array(tiers)
        assert rates.shape == (10, 2) and (np.diff(rates, axis=0) <= 0.0).all()
        assert (rates[:, 0] <= rates[:, 1]).all()
        burning = fee_schedule(market, 3, bnb=600.0)
        kept = 0.75 if market is Market.SPOT else 0.9
        assert burning.taker_rate == pytest.approx(rates[3, 1] * 1e-4 * kept)
        assert burning.fee_in == FEE_IN_BNB and burning.bnb_price == 600.0
    assert fee_schedule("um", 9).fee_in == FEE_IN_QUOTE


@pytest.mark.parametrize(("tier", "bnb"), [(10, None), (-1, None), (0, 0.0), (0, math.nan)])
def test_a_tier_or_price_that_does_not_exist_is_refused(tier: int, bnb: float | None) -> None:
    with pytest.raises(ConfigError):
        fee_schedule("spot", tier, bnb=bnb)


@pytest.mark.parametrize(
    "slip",
    [
        {"taker_rate": 0.75},
        {"maker_rate": -0.5},
        {"slippage_bps": -1.0},
        {"impact": math.nan},
        {"participation": 25.0},
    ],
)
def test_costs_that_no_venue_asks_are_refused_by_name(slip: dict[str, float]) -> None:
    (name,) = slip
    with pytest.raises(ConfigError, match=f"^{name} of the costs is "):
        numbers_of(CostModel(**slip))  # type: ignore[arg-type]
    assert numbers_of(CostModel(maker_rate=-0.0001)).maker_rate == -0.0001  # some venues pay makers
