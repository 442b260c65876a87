"""Holes in the lake are found, filled from a second source, and left alone when it has nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qtm.clock import ManualClock
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.market.repair import Gap, fill_gaps, find_gaps
from qtm.market.rest import CcxtRest
from qtm.market.source import Bars
from tests.market.http_server import serving
from tests.market.test_lake import bars
from tests.market.test_rest import MINUTE_MS, NOW, START, Venue

SERIES = Bars(Market.SPOT, Interval.M1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Minutes 5 to 19 and 30 to 39 of BTCUSDT."""
    lake = Lake(str(tmp_path / "lake"))
    for first, count in ((5, 15), (30, 10)):
        start = START + first * MINUTE_MS
        frame = bars("BTCUSDT", start, count)
        lake.write_bars(Market.SPOT, Interval.M1, frame, start_ms=start, end_ms=start + count * MINUTE_MS)
    return lake


@pytest.fixture
def venue() -> Venue:
    return Venue()


@pytest.fixture
def rest(venue: Venue) -> Iterator[CcxtRest]:
    with serving(venue.application()) as url:
        yield CcxtRest(url, url, clock=ManualClock(NOW), sleep=lambda _seconds: None)


def at(minute: int) -> int:
    return START + minute * MINUTE_MS


def test_gaps_are_the_holes_and_the_missing_end_but_not_the_time_before_the_listing(lake: Lake) -> None:
    found = find_gaps(lake, SERIES, ["BTCUSDT"], at(0), at(50))
    assert found == [Gap("BTCUSDT", at(20), at(30)), Gap("BTCUSDT", at(40), at(50))]


def test_a_filled_lake_has_no_gap_left(lake: Lake, rest: CcxtRest) -> None:
    filled = fill_gaps(lake, rest, SERIES, ["BTCUSDT"], at(0), at(50))
    assert [gap.filled for gap in filled] == [10, 10]
    assert find_gaps(lake, SERIES, ["BTCUSDT"], at(0), at(50)) == []
    series = lake.bars(Market.SPOT, Interval.M1, "BTCUSDT")
    assert len(series) == 45
    assert series.close[15] == 100.0 + 20 % 10, "the venue's bar"


def test_an_outage_of_the_venue_stays_a_hole(lake: Lake, rest: CcxtRest, venue: Venue) -> None:
    venue.missing = range(20, 30)
    version = lake.version("spot_bars_1m")
    filled = fill_gaps(lake, rest, SERIES, ["BTCUSDT"], at(0), at(40))
    assert filled == [Gap("BTCUSDT", at(20), at(30), 0)]
    assert lake.version("spot_bars_1m") == version, "nothing found, nothing written"
