"""The universe at a date knows listings, delistings and reborn symbols, and nothing that came later."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.market.universe import lives, universe_at
from tests.market.test_lake import JANUARY, bars

DAY_MS = 86_400_000


def day(number: int) -> int:
    return JANUARY + number * DAY_MS


def store(lake: Lake, symbol: str, first: int, count: int, volume: float = 100.0) -> None:
    frame = bars(symbol, day(first), count, step_ms=DAY_MS).with_columns(quote_volume=pl.lit(volume))
    lake.write_bars(Market.SPOT, Interval.D1, frame, start_ms=day(first), end_ms=day(first + count))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """OLD over 100 days; NEW listed on day 40; DEAD until day 59; LUNA until day 30 and again from day 50."""
    lake = Lake(str(tmp_path / "lake"))
    store(lake, "OLDUSDT", 0, 100)
    store(lake, "NEWUSDT", 40, 60, volume=5.0)
    store(lake, "DEADUSDT", 0, 60)
    store(lake, "LUNAUSDT", 0, 31)
    store(lake, "LUNAUSDT", 50, 50)
    return lake


def at(lake: Lake, number: int, **options: float) -> list[str]:
    return universe_at(lake, Market.SPOT, Interval.D1, day(number), **options)  # type: ignore[arg-type]


def test_a_reborn_symbol_has_two_lives(lake: Lake) -> None:
    luna = lives(lake, Market.SPOT, Interval.D1).filter(pl.col("symbol") == "LUNAUSDT")
    assert luna.select("life", "first_ms", "last_ms", "bars", "is_alive").rows() == [
        (1, day(0), day(30), 31, False),
        (2, day(50), day(99), 50, True),
    ]


def test_a_symbol_is_in_from_its_first_closed_bar_until_it_has_been_gone(lake: Lake) -> None:
    assert at(lake, 0) == [], "no bar has closed yet"
    assert at(lake, 1) == ["DEADUSDT", "LUNAUSDT", "OLDUSDT"]
    noon = universe_at(lake, Market.SPOT, Interval.D1, day(40) + DAY_MS // 2)
    assert "NEWUSDT" not in noon, "its first bar is still open"
    assert "NEWUSDT" in at(lake, 41)
    assert "LUNAUSDT" in at(lake, 33), "nobody could know yet that it was gone"
    assert "LUNAUSDT" not in at(lake, 35)
    assert "LUNAUSDT" in at(lake, 51)
    assert at(lake, 100) == ["LUNAUSDT", "NEWUSDT", "OLDUSDT"]


def test_history_counts_within_the_present_life_only(lake: Lake) -> None:
    assert "LUNAUSDT" in at(lake, 30, least_bars=30)
    assert "LUNAUSDT" not in at(lake, 60, least_bars=30), "the coin of that name is ten days old"
    assert "LUNAUSDT" in at(lake, 80, least_bars=30)


def test_a_thin_market_may_be_left_out(lake: Lake) -> None:
    assert at(lake, 100, least_quote_volume=50.0) == ["LUNAUSDT", "OLDUSDT"]


def test_what_came_later_changes_nothing(lake: Lake) -> None:
    before = [at(lake, number, least_bars=5) for number in range(0, 60, 3)]
    store(lake, "DEADUSDT", 60, 200)
    store(lake, "OTHERUSDT", 60, 100)
    assert [at(lake, number, least_bars=5) for number in range(0, 60, 3)] == before
