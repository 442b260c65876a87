"""Packaged filters: exact, dated, complete for the default universe, and never passed off as the venue's."""

from __future__ import annotations

from decimal import Decimal

import pytest

from qtm.errors import DataError
from qtm.market.instruments import Market
from qtm.market.packaged import packaged_instrument, packaged_instruments
from qtm.settings import MarketSettings


def test_the_default_universe_has_filters() -> None:
    universe = {*MarketSettings().daily_universe, *MarketSettings().intraday_symbols}
    assert universe <= set(packaged_instruments(Market.SPOT))
    assert set(MarketSettings().intraday_symbols) <= set(packaged_instruments(Market.UM))


def test_filters_are_exact_decimals_on_their_own_grid() -> None:
    for market in Market:
        for one in packaged_instruments(market).values():
            assert one.tick_size > 0
            assert one.step_size > 0
            assert one.min_qty % one.step_size == 0
            assert one.min_notional > 0
            assert one.quote == "USDT"
            assert one.symbol == one.base + one.quote


def test_known_values() -> None:
    spot = packaged_instrument(Market.SPOT, "BTCUSDT")
    assert (spot.tick_size, spot.step_size, spot.min_notional) == (
        Decimal("0.01"),
        Decimal("0.00001"),
        Decimal(5),
    )
    futures = packaged_instrument(Market.UM, "BTCUSDT")
    assert (futures.tick_size, futures.step_size, futures.min_notional) == (
        Decimal("0.1"), Decimal("0.001"), Decimal(100),
    )  # fmt: skip


def test_every_filter_says_that_it_is_packaged_and_since_when() -> None:
    one = packaged_instrument(Market.SPOT, "ETHUSDT")
    assert one.is_packaged
    assert one.filters_source == "packaged defaults: 2025-08-07"


def test_a_symbol_outside_the_package_has_no_filters() -> None:
    with pytest.raises(DataError, match="the filters of PEPEUSDT on Spot are not known"):
        packaged_instrument(Market.SPOT, "PEPEUSDT")
