"""Filling holes: ask a second source for the bars the lake lacks inside a window and at its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from qtm.market.lake import Lake, Window
from qtm.market.source import Bars, Part, Source


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch [start_ms, end_ms) of a symbol without bars, and how many a second source had for it."""

    symbol: str
    start_ms: int
    end_ms: int
    filled: int = 0


def find_gaps(lake: Lake, series: Bars, symbols: Sequence[str], start_ms: int, end_ms: int) -> list[Gap]:
    """The stretches without bars after each symbol's first one, by symbol and time.

    What comes before the first bar is not a gap: the symbol may not have been listed.
    """
    step = series.interval.ms
    time = pl.col("open_time_ms")
    rows = lake.scan_bars(
        series.market, series.interval, symbols=symbols, start_ms=start_ms, end_ms=end_ms, kind=series.kind
    ).select("symbol", "open_time_ms")
    ends = rows.group_by("symbol").agg(time.max() + step).with_columns(pl.lit(end_ms).alias("until"))
    holes = rows.with_columns(
        (time.shift().over("symbol") + step).alias("since"), time.alias("until")
    ).filter(pl.col("until") > pl.col("since"))
    inner, tail = pl.collect_all(
        [holes.select("symbol", "since", "until"), ends.filter(pl.col("until") > time)]
    )
    found = [Gap(*row) for row in inner.iter_rows()] + [Gap(*row) for row in tail.iter_rows()]
    return sorted(found, key=lambda gap: (gap.symbol, gap.start_ms))


def fill_gaps(
    lake: Lake, source: Source, series: Bars, symbols: Sequence[str], start_ms: int, end_ms: int
) -> list[Gap]:
    """Fill a window's gaps from `source` in one commit; returns every gap with what was found for it.

    An outage of the venue stays a hole: no source has bars of it.

    Raises
    ------
    VenueError
        When the source cannot be reached; the lake is then as it was.
    """
    gaps = find_gaps(lake, series, symbols, start_ms, end_ms)
    filled: list[Gap] = []
    frames: list[pl.DataFrame] = []
    for gap in gaps:
        part = Part(gap.symbol, gap.start_ms, gap.end_ms, "gap", "", gap.start_ms, gap.end_ms)
        rows = source.read(series, part).frame
        filled.append(Gap(gap.symbol, gap.start_ms, gap.end_ms, len(rows)))
        if len(rows):
            frames.append(rows)
    windows = [Window((gap.symbol,), gap.start_ms, gap.end_ms) for gap in filled if gap.filled]
    if windows:

        def batches() -> Iterator[pl.DataFrame]:
            yield pl.concat(frames)

        lake.replace(series.dataset, batches, windows, commit={"qtm.source": f"gaps from {source.name}"})
    return filled
