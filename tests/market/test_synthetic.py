"""The synthetic market: reproducible slices of one path, exact on every scale, behaving like a market."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qtm.errors import ConfigError, DataError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import month_window
from qtm.market.packaged import packaged_instrument
from qtm.market.resample import resample
from qtm.market.schemas import BAR_SCHEMA
from qtm.market.synthetic import synthetic_bars, synthetic_funding, synthetic_instruments

DAY_MS = 86_400_000
START = month_window("2024-01")[0]
WEEK = synthetic_bars("BTCUSDT", Interval.M1, START, START + 7 * DAY_MS, 7)


@settings(max_examples=20, deadline=None)
@given(first=st.integers(0, 7 * 1440 - 1), count=st.integers(1, 3000))
def test_any_window_is_a_slice_of_the_same_path(first: int, count: int) -> None:
    last = min(first + count, 7 * 1440)
    window = synthetic_bars("BTCUSDT", Interval.M1, START + first * 60_000, START + last * 60_000, 7)
    assert window.equals(WEEK[first:last])


@pytest.mark.parametrize("interval", [Interval.M5, Interval.M30, Interval.H1, Interval.H8, Interval.D1])
def test_longer_bars_are_exactly_what_minutes_add_up_to(interval: Interval) -> None:
    direct = synthetic_bars("BTCUSDT", interval, START, START + 7 * DAY_MS, 7)
    made = resample(WEEK.lazy(), Interval.M1, interval).collect()
    columns = ["open_time_ms", "open", "high", "low", "close", "trades"]
    assert made.select(columns).equals(direct.select(columns))
    assert np.allclose(made["volume"], direct["volume"], rtol=1e-12)


def test_another_seed_is_another_market() -> None:
    other = synthetic_bars("BTCUSDT", Interval.M1, START, START + DAY_MS, 8)
    assert not other["close"].equals(WEEK["close"][:1440])


def test_bars_have_the_lakes_columns_and_are_consistent() -> None:
    assert dict(WEEK.schema) == BAR_SCHEMA
    top = WEEK.select(pl.max_horizontal("open", "close")).to_series()
    bottom = WEEK.select(pl.min_horizontal("open", "close")).to_series()
    assert (WEEK["high"] >= top).all()
    assert (WEEK["low"] <= bottom).all()
    assert (WEEK["volume"] > 0).all()
    assert (WEEK["taker_base"] <= WEEK["volume"]).all()
    assert (WEEK["open"][1:] == WEEK["close"][:-1]).all()


@pytest.mark.parametrize("symbol", ["BTCUSDT", "SHIBUSDT", "XRPUSDT"])
def test_prices_and_volumes_are_the_floats_of_exact_grid_decimals(symbol: str) -> None:
    instrument = packaged_instrument(Market.SPOT, symbol)
    bars = synthetic_bars(symbol, Interval.H1, START, START + DAY_MS, 7)
    for price in bars["close"]:
        ticks = round(Decimal(price) / instrument.tick_size)
        assert price == float(ticks * instrument.tick_size)
    for volume in bars["volume"]:
        assert volume == float(round(Decimal(volume) / instrument.step_size) * instrument.step_size)


def test_returns_cluster_have_fat_tails_and_move_with_the_market() -> None:
    years = (month_window("2019-01")[0], month_window("2025-01")[0])
    daily = {
        s: synthetic_bars(s, Interval.D1, *years, 7)["close"].to_numpy()
        for s in ("BTCUSDT", "ETHUSDT", "SOLUSDT")
    }
    returns = {symbol: np.diff(np.log(closes)) for symbol, closes in daily.items()}
    btc = returns["BTCUSDT"]
    kurtosis = float(np.mean((btc - btc.mean()) ** 4) / np.var(btc) ** 2)
    clustering = float(np.corrcoef(np.abs(btc[1:]), np.abs(btc[:-1]))[0, 1])
    assert 0.015 < btc.std() < 0.06
    assert kurtosis > 4.0, "a normal distribution has 3"
    assert clustering > 0.05
    assert abs(float(np.corrcoef(btc[1:], btc[:-1])[0, 1])) < 0.08, "no trend to be had from yesterday"
    assert float(np.corrcoef(btc, returns["ETHUSDT"])[0, 1]) > 0.4
    assert float(np.corrcoef(returns["SOLUSDT"], returns["ETHUSDT"])[0, 1]) > 0.3


def test_volume_has_its_intraday_shape() -> None:
    hours = synthetic_bars("BTCUSDT", Interval.H1, START, START + 90 * DAY_MS, 7)["volume"].to_numpy()
    by_hour = hours.reshape(-1, 24).mean(axis=0)
    assert by_hour[13:17].mean() > 1.5 * by_hour[3:6].mean()


def test_funding_comes_every_eight_hours_within_its_bounds() -> None:
    rates = synthetic_funding("BTCUSDT", START + 1, START + 3 * DAY_MS, 7)
    assert rates["funding_time_ms"].to_list() == [START + i * DAY_MS // 3 for i in range(1, 9)]
    assert rates["rate"].abs().max() <= 0.003  # type: ignore[operator]
    assert synthetic_funding("BTCUSDT", START + 1, START + 2, 7).is_empty()


def test_what_the_market_does_not_have_is_said() -> None:
    with pytest.raises(DataError, match="the filters of NOPEUSDT on Spot are not known"):
        synthetic_bars("NOPEUSDT", Interval.M1, START, START + DAY_MS, 7)
    with pytest.raises(ConfigError, match="no 1s bars"):
        synthetic_bars("BTCUSDT", Interval.S1, START, START + DAY_MS, 7)
    with pytest.raises(ConfigError, match="no 3d bars"):
        synthetic_bars("BTCUSDT", Interval.D3, START, START + DAY_MS, 7)
    with pytest.raises(DataError, match="starts on 2017-01-01"):
        synthetic_bars("BTCUSDT", Interval.D1, 0, DAY_MS, 7)


def test_every_packaged_symbol_trades() -> None:
    for instrument in synthetic_instruments():
        bars = synthetic_bars(instrument.symbol, Interval.D1, START, START + 30 * DAY_MS, 7)
        assert len(bars) == 30
        assert float(bars["low"].min()) > float(instrument.tick_size), instrument.symbol  # type: ignore[arg-type]
