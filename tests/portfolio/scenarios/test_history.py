"""Scenarios from closes: defined behaviour for holes, new listings, dead and reused symbols."""

import numpy as np
import polars as pl
import pytest

from qtm.errors import DataError, RiskError
from qtm.portfolio.scenarios.history import historical_scenarios
from qtm.portfolio.scenarios.reshaped import filtered_historical
from tests.portfolio.problems import heavy_tailed_returns

DAY_MS = 86_400_000


def closes(days: int = 400, symbols: int = 4, **columns) -> pl.DataFrame:
    paths = 100 * np.cumprod(1 + heavy_tailed_returns(symbols, days, 1), axis=0)
    frame = {"open_time_ms": np.arange(days) * DAY_MS}
    frame |= {f"S{index}": paths[:, index] for index in range(symbols)}
    return pl.DataFrame({**frame, **columns})


def with_hole(prices: np.ndarray, start: int, stop: int) -> list[float | None]:
    return [None if start <= row < stop else float(price) for row, price in enumerate(prices)]


def test_complete_closes_become_simple_returns():
    table = closes()
    scenarios = historical_scenarios(table)
    prices = table["S0"].to_numpy()
    assert scenarios.column("S0") == pytest.approx(prices[1:] / prices[:-1] - 1)
    assert scenarios.open_time_ms[0] == DAY_MS
    assert not scenarios.excluded and not scenarios.backfilled


def test_a_short_hole_is_lived_through_and_pays_at_once():
    prices = closes()["S0"].to_numpy()
    returns = historical_scenarios(closes(S0=with_hole(prices, 200, 203))).column("S0")
    assert (returns[199:202] == 0.0).all()
    assert returns[202] == pytest.approx(prices[203] / prices[199] - 1)
    assert np.prod(1 + returns) == pytest.approx(prices[-1] / prices[0])


def test_history_before_a_long_hole_is_forgotten():
    """LUNAUSDT stopped near zero and came back as another coin: that jump is no return anyone earned."""
    prices = closes()["S0"].to_numpy().copy()
    prices[:100] = 0.00005
    scenarios = historical_scenarios(closes(S0=with_hole(prices, 100, 118)))
    assert np.abs(scenarios.column("S0")).max() < 1.0
    assert scenarios.backfilled[0].symbol == "S0"
    assert scenarios.backfilled[0].rows == 118


def test_a_symbol_dead_at_the_end_or_too_young_is_excluded_by_name():
    prices = closes()["S0"].to_numpy()
    table = closes(S0=with_hole(prices, 390, 400), S1=with_hole(prices, 0, 350))
    scenarios = historical_scenarios(table)
    assert scenarios.symbols == ("S2", "S3")
    reasons = {entry.symbol: entry.reason for entry in scenarios.excluded}
    assert "1971-02-04" in reasons["S0"]
    assert reasons["S1"] == "49 usable returns, fewer than 180"


def test_a_new_listing_is_filled_with_its_market_and_its_own_risk_and_reproducibly():
    prices = closes()["S0"].to_numpy()
    table = closes(S0=with_hole(prices, 0, 200))
    one, two = historical_scenarios(table), historical_scenarios(table)
    assert (one.returns == two.returns).all()
    filled, known = one.column("S0")[:199], one.column("S0")[200:]
    assert filled.std() == pytest.approx(known.std(), rel=0.35)
    assert one.backfilled[0].beta == pytest.approx(1.0, abs=0.6)


@pytest.mark.parametrize("price", [0.0, -1.0, float("inf")])
def test_an_impossible_price_names_symbol_and_day(price):
    prices = closes()["S1"].to_numpy().copy()
    prices[10] = price
    with pytest.raises(DataError, match="S1 1970-01-11"):
        historical_scenarios(closes(S1=prices))


def test_nothing_left_or_unordered_times_are_errors():
    with pytest.raises(RiskError, match="fewer than 180"):
        historical_scenarios(closes(days=50))
    with pytest.raises(DataError, match="increasing"):
        historical_scenarios(closes().reverse())


def test_filtering_scales_the_past_to_todays_volatility():
    calm = heavy_tailed_returns(2, 500, 2)
    calm[-100:] *= 3
    paths = 100 * np.cumprod(1 + calm, axis=0)
    table = pl.DataFrame({"open_time_ms": np.arange(500) * DAY_MS, "A": paths[:, 0], "B": paths[:, 1]})
    plain = historical_scenarios(table)
    filtered = filtered_historical(plain)
    assert filtered.column("A")[:300].std() > 1.8 * plain.column("A")[:300].std()


def test_a_symbol_that_never_moves_keeps_zero_returns_when_filtered():
    table = closes(S0=np.full(400, 5.0))
    assert (filtered_historical(historical_scenarios(table)).column("S0") == 0.0).all()
