"""Bars made by hand for the quality checks."""

from __future__ import annotations

import polars as pl

from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.market.schemas import BAR_SCHEMA

START = 1_704_067_200_000
MINUTE_MS = 60_000
HOUR_MS = 3_600_000


def minute(number: int) -> int:
    """Open time of a minute after START."""
    return START + number * MINUTE_MS


def made(
    symbol: str = "BTCUSDT", count: int = 600, *, step_ms: int = MINUTE_MS, start_ms: int = START
) -> pl.DataFrame:
    """Faultless bars whose closes walk up and down by a tick."""
    closes = [100.0 + ((i * 7) % 11) * 0.01 for i in range(count)]
    return pl.DataFrame(
        {
            "symbol": [symbol] * count,
            "open_time_ms": [start_ms + i * step_ms for i in range(count)],
            "open": closes,
            "high": [close + 0.02 for close in closes],
            "low": [close - 0.02 for close in closes],
            "close": closes,
            "volume": [2.0] * count,
            "quote_volume": [2.0 * close for close in closes],
            "trades": [3] * count,
            "taker_base": [1.0] * count,
            "taker_quote": closes,
        },
        schema=BAR_SCHEMA,
    )


def at(row: int, column: str, value: float) -> pl.Expr:
    """`column` with one row replaced."""
    return pl.when(pl.int_range(pl.len()) == row).then(pl.lit(value)).otherwise(pl.col(column)).alias(column)


def store(lake: Lake, frame: pl.DataFrame, interval: Interval = Interval.M1, **options) -> None:  # type: ignore[no-untyped-def]
    """Write bars into the lake as they are."""
    first, last = int(frame["open_time_ms"].min()), int(frame["open_time_ms"].max())  # type: ignore[arg-type]
    lake.write_bars(Market.SPOT, interval, frame, start_ms=first, end_ms=last + 1, **options)
