"""Checks of funding rates and instruments."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from qtm.market.instruments import Market
from qtm.market.lake import Lake
from qtm.market.packaged import packaged_instrument
from qtm.market.schemas import FUNDING_SCHEMA
from qtm.quality.judge import check_funding, check_instruments
from tests.quality.made_bars import HOUR_MS, START


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def store(
    lake: Lake, hours: list[int], rates: list[float] | None = None, interval: list[int] | None = None
) -> None:
    frame = pl.DataFrame(
        {
            "symbol": ["BTCUSDT"] * len(hours),
            "funding_time_ms": [START + hour * HOUR_MS + 4 for hour in hours],
            "interval_hours": interval or [8] * len(hours),
            "rate": rates or [0.0001] * len(hours),
        },
        schema=FUNDING_SCHEMA,
    )
    lake.write_funding(Market.UM, frame, start_ms=START, end_ms=START + 1000 * HOUR_MS)


def failures(lake: Lake) -> set[str]:
    report = check_funding(lake, Market.UM, ["BTCUSDT"], START, START + 1000 * HOUR_MS)
    return {result.name for result in report.failures}


def test_jittered_eight_hourly_rates_pass(lake: Lake) -> None:
    store(lake, list(range(0, 240, 8)))
    assert failures(lake) == set()


def test_a_missing_payment_blocks_and_is_located(lake: Lake) -> None:
    store(lake, [0, 8, 24, 32])
    report = check_funding(lake, Market.UM, ["BTCUSDT"], START, START + 1000 * HOUR_MS)
    (result,) = report.failures
    assert (result.name, result.blocking, result.observed) == ("no_missing_funding", True, 1)
    assert result.spans[0].from_ms == START + 8 * HOUR_MS


def test_a_changed_interval_is_told_from_a_missing_payment(lake: Lake) -> None:
    store(lake, [0, 8, 16, 20, 24], interval=[8, 8, 8, 4, 4])
    assert failures(lake) == set()


def test_payments_closer_than_their_interval_are_a_warning(lake: Lake) -> None:
    store(lake, [0, 8, 12, 20], interval=[8, 8, 8, 8])
    assert failures(lake) == {"interval_kept"}


@pytest.mark.parametrize(
    ("rates", "interval", "check"),
    [([0.0001, 0.05], [8, 8], "rates_plausible"), ([0.0001, 0.0001], [8, 7], "interval_known"),
     ([0.0001, float("nan")], [8, 8], "values_complete")],
)  # fmt: skip
def test_values_that_cannot_be_funding_block(
    lake: Lake, rates: list[float], interval: list[int], check: str
) -> None:
    store(lake, [0, 8], rates, interval)
    assert check in failures(lake)


def test_instruments_from_the_venue_pass_and_packaged_ones_warn(lake: Lake) -> None:
    packaged = packaged_instrument(Market.SPOT, "ETHUSDT")
    from_venue = replace(packaged_instrument(Market.SPOT, "BTCUSDT"), filters_source="exchangeInfo")
    broken = replace(
        from_venue, symbol="XUSDT", tick_size=Decimal(0), min_qty=Decimal(10), max_qty=Decimal(1)
    )
    lake.write_instruments([packaged, from_venue, broken])
    report = check_instruments(lake, Market.SPOT, ["BTCUSDT", "ETHUSDT", "XUSDT", "NOPEUSDT"])
    found = {(result.symbol, result.name) for result in report.failures}
    assert found == {
        ("ETHUSDT", "filters_from_venue"), ("XUSDT", "grids_positive"), ("XUSDT", "bounds_consistent"),
        ("NOPEUSDT", "has_rows"),
    }  # fmt: skip
