"""Longer bars from shorter ones."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from qtm.errors import ConfigError
from qtm.market.intervals import Interval
from qtm.market.resample import resample
from qtm.market.schemas import BAR_SCHEMA

MINUTE = 60_000


def minutes(symbol: str, count: int, *, skip: frozenset[int] = frozenset()) -> pl.DataFrame:
    rows = [
        (symbol, i * MINUTE, 100.0 + i, 101.0 + i, 99.0 + i, 100.5 + i, 1.0, 2.0, 3, 0.5, 1.0)
        for i in range(count)
        if i not in skip
    ]
    return pl.DataFrame(rows, schema=BAR_SCHEMA, orient="row")


def test_an_hour_opens_with_its_first_minute_and_closes_with_its_last():
    shuffled = pl.concat([minutes("B", 120), minutes("A", 60)]).sample(fraction=1.0, shuffle=True, seed=1)
    hours = resample(shuffled.lazy(), Interval.M1, Interval.H1).collect()
    assert dict(hours.schema) == BAR_SCHEMA
    assert hours.select("symbol", "open_time_ms", "open", "high", "low", "close").rows() == [
        ("A", 0, 100.0, 160.0, 99.0, 159.5),
        ("B", 0, 100.0, 160.0, 99.0, 159.5),
        ("B", 60 * MINUTE, 160.0, 220.0, 159.0, 219.5),
    ]
    assert hours.select("volume", "quote_volume", "trades", "taker_base", "taker_quote").row(0) == (
        60.0, 120.0, 180, 30.0, 60.0,
    )  # fmt: skip


def test_missing_minutes_shrink_the_hour_and_an_empty_hour_does_not_exist():
    with_hole = minutes("A", 180, skip=frozenset({0, *range(60, 120)}))
    hours = resample(with_hole.lazy(), Interval.M1, Interval.H1).collect()
    assert hours["open_time_ms"].to_list() == [0, 120 * MINUTE]
    assert hours.select("open", "volume").row(0) == (101.0, 59.0)


@pytest.mark.parametrize(("source", "target"), [("1h", "1m"), ("1h", "1h"), ("1d", "1w"), ("3m", "5m")])
def test_an_interval_that_does_not_divide_is_refused(source, target):
    with pytest.raises(ConfigError, match="cannot be made"):
        resample(minutes("A", 1).lazy(), Interval(source), Interval(target))


def test_a_bar_has_the_same_bits_whatever_window_it_was_made_in():
    generator = np.random.default_rng(3)
    bars = minutes("A", 3 * 1440).with_columns(
        pl.Series("quote_volume", generator.uniform(1e5, 1e7, 3 * 1440))
    )
    whole = resample(bars.lazy(), Interval.M1, Interval.H1).collect()
    for start in range(60, 1440, 60):
        part = resample(bars[start : start + 1440].lazy(), Interval.M1, Interval.H1).collect()
        assert whole.join(part, on="open_time_ms", how="semi").equals(part)
