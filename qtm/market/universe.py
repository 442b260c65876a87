"""The universe as it was: which symbols could be traded at a moment, known at that moment.

A symbol may live more than once: it is listed, delisted, and its name given to another coin (LUNAUSDT in
2022). A *life* is a stretch of bars without a long pause. Whoever chooses symbols for a past date from the
list of today has already looked at who survived; `universe_at` looks at nothing that came later.
"""

from __future__ import annotations

import polars as pl

from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake

DAY_MS = 86_400_000
LONG_PAUSE_MS = 3 * DAY_MS
"""A symbol without a bar for longer has left the market; what comes after is another life."""


def lives(
    lake: Lake,
    market: Market,
    interval: Interval,
    *,
    known_at_ms: int | None = None,
    version: int | None = None,
) -> pl.DataFrame:
    """The lives of every symbol of a bar table.

    Parameters
    ----------
    known_at_ms
        Only bars closed by then are looked at; None looks at all.

    Returns
    -------
    pl.DataFrame
        `symbol`, `life` (1, 2, ...), `first_ms` and `last_ms` (open times of its first and last bar),
        `bars`, `quote_volume` (sum) and `is_alive` (it had a bar within the last three days known), sorted by
        symbol and life.
    """
    end_ms = None if known_at_ms is None else known_at_ms - interval.ms + 1
    time = pl.col("open_time_ms")
    born = (time - time.shift().over("symbol") > max(LONG_PAUSE_MS, 3 * interval.ms)).fill_null(False)
    bars = lake.scan_bars(market, interval, end_ms=end_ms, version=version)
    found = (
        bars.select("symbol", "open_time_ms", "quote_volume")
        .with_columns((born.cast(pl.Int64).cum_sum().over("symbol") + 1).alias("life"))
        .group_by("symbol", "life")
        .agg(
            time.min().alias("first_ms"),
            time.max().alias("last_ms"),
            pl.len().alias("bars"),
            pl.sum("quote_volume"),
        )
        .sort("symbol", "life")
        .collect()
    )
    newest = known_at_ms if known_at_ms is not None else _newest_close(found, interval)
    alive = pl.col("last_ms") + interval.ms >= newest - max(LONG_PAUSE_MS, 3 * interval.ms)
    return found.with_columns(alive.alias("is_alive"))


def universe_at(
    lake: Lake,
    market: Market,
    interval: Interval,
    at_ms: int,
    *,
    least_bars: int = 1,
    least_quote_volume: float = 0.0,
    version: int | None = None,
) -> list[str]:
    """The symbols that could be traded at `at_ms`, sorted, from bars closed by then and nothing later.

    Parameters
    ----------
    least_bars
        Bars the symbol must have had in its present life.
    least_quote_volume
        Average quote volume per bar of its present life.
    """
    held = lives(lake, market, interval, known_at_ms=at_ms, version=version)
    chosen = held.filter(
        pl.col("is_alive"),
        pl.col("bars") >= least_bars,
        pl.col("quote_volume") / pl.col("bars") >= least_quote_volume,
    )
    return sorted(chosen["symbol"].unique())


def _newest_close(found: pl.DataFrame, interval: Interval) -> int:
    return 0 if found.is_empty() else int(found["last_ms"].max()) + interval.ms  # type: ignore[arg-type]
