"""Longer bars from shorter ones."""

from __future__ import annotations

import polars as pl

from qtm.errors import ConfigError
from qtm.market.intervals import Interval
from qtm.market.schemas import BAR_SCHEMA


def resample(bars: pl.LazyFrame, source: Interval, target: Interval) -> pl.LazyFrame:
    """Bars of `target` from bars of `source`, both with the columns of `BAR_SCHEMA`.

    Long bars start at whole multiples of their length since 1970-01-01 UTC, as Binance's do (weekly bars
    start on Mondays there and are not made here). A source bar that is missing is simply not counted; a long
    bar with no source bar at all does not exist. The first and last long bars are complete only if the
    window given covers them. A bar that is complete
    has the same bits whatever window it was made in.

    Raises
    ------
    ConfigError
        When `target` is not a whole multiple of `source`, or is a week.
    """
    if target.ms % source.ms or target.ms <= source.ms or target is Interval.W1:
        raise ConfigError(
            f"{target} bars cannot be made from {source} bars",
            where="interval",
            remedy="choose a longer interval that is a whole multiple of the shorter one",
        )
    time = pl.col("open_time_ms")
    return (
        bars.sort("symbol", "open_time_ms")
        .group_by("symbol", (time // target.ms * target.ms).alias("open_time_ms"), maintain_order=True)
        .agg(
            pl.first("open"),
            pl.max("high"),
            pl.min("low"),
            pl.last("close"),
            # A running sum adds in time order; the order of `sum` depends on where the window starts.
            pl.col("volume", "quote_volume", "trades", "taker_base", "taker_quote").cum_sum().last(),
        )
        .select(list(BAR_SCHEMA))
    )
