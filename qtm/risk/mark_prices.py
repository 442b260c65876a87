"""Daily mark prices of perpetuals from the lake: what margin, liquidation and stress of short legs go by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.market.bars import BarKind
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, bars_dataset
from qtm.risk.stress import DailyPrices

_DAY_MS = 86_400_000


def daily_marks(
    lake: Lake, symbols: Sequence[str], open_time_ms: npt.NDArray[np.int64]
) -> DailyPrices | None:
    """Mark prices of `symbols` by day, from the finest mark bars the lake holds; None when it holds none.

    Parameters
    ----------
    open_time_ms
        The days wanted, shape (D,); days without a mark bar are NaN.
    """
    held = [one for one in Interval if lake.tables.exists(bars_dataset(Market.UM, one, BarKind.MARK))]
    if not held or open_time_ms.shape[0] == 0:
        return None
    finest = min(held, key=lambda one: one.ms)
    day = (pl.col("open_time_ms") // _DAY_MS * _DAY_MS).alias("day")
    rows = (
        lake.scan_bars(
            Market.UM,
            finest,
            symbols=list(symbols),
            start_ms=int(open_time_ms[0]),
            end_ms=int(open_time_ms[-1]) + _DAY_MS,
            kind=BarKind.MARK,
        )
        .sort("symbol", "open_time_ms")
        .group_by("symbol", day)
        .agg(pl.last("close"), pl.min("low"), pl.max("high"))
        .collect()
    )
    if rows.is_empty():
        return None
    tables = {
        name: np.full((open_time_ms.shape[0], len(symbols)), np.nan) for name in ("close", "low", "high")
    }
    at = {int(time): row for row, time in enumerate(open_time_ms)}
    column = {symbol: number for number, symbol in enumerate(symbols)}
    for symbol, time, close, low, high in rows.iter_rows():
        if time in at:
            for name, value in (("close", close), ("low", low), ("high", high)):
                tables[name][at[time], column[symbol]] = value
    return DailyPrices(open_time_ms, tables["close"], tables["low"], tables["high"])
