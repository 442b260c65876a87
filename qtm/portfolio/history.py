"""Daily bars of a universe as the lake holds them, and the funding of its perpetual futures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.clock import iso_utc
from qtm.errors import DataError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, bars_dataset
from qtm.portfolio.means import after_funding
from qtm.portfolio.scenarios.scenario_set import Exclusion
from qtm.risk.measures import Floats


@dataclass(frozen=True, slots=True)
class DailyHistory:
    """Daily bars of a universe side by side, each table of shape (D, S), NaN where there is no bar.

    `funding` is the sum of a day's funding rates of perpetual futures, what a long position pays on its
    value; None for spot.
    """

    symbols: tuple[str, ...]
    open_time_ms: npt.NDArray[np.int64]
    closes: Floats
    lows: Floats
    highs: Floats
    quote_volumes: Floats
    lake: str
    version: int | None
    absent: tuple[Exclusion, ...] = ()
    funding: Floats | None = None

    @property
    def as_of_ms(self) -> int:
        """Open time of the last day, whose close everything is measured at."""
        return int(self.open_time_ms[-1])

    def until(self, row: int) -> DailyHistory:
        """The history as it was known at the close of day `row` (inclusive)."""
        return replace(
            self,
            open_time_ms=self.open_time_ms[: row + 1],
            closes=self.closes[: row + 1],
            lows=self.lows[: row + 1],
            highs=self.highs[: row + 1],
            quote_volumes=self.quote_volumes[: row + 1],
            funding=None if self.funding is None else self.funding[: row + 1],
        )

    def close_frame(self, window: int) -> pl.DataFrame:
        """Closes of the last `window` returns as a wide frame with nulls; of perpetuals, after funding."""
        rows = slice(-(window + 1), None)
        closes = self.closes[rows]
        if self.funding is not None:
            closes = after_funding(closes, self.funding[rows])
        columns = {symbol: closes[:, i] for i, symbol in enumerate(self.symbols)}
        frame = pl.DataFrame({"open_time_ms": self.open_time_ms[rows], **columns})
        return frame.fill_nan(None)


def daily_history(
    lake: Lake, symbols: Sequence[str], *, as_of_ms: int | None = None, market: Market = Market.SPOT
) -> DailyHistory:
    """Daily bars of `symbols` up to and including the day that opens at or before `as_of_ms`.

    A symbol without a single bar is left out and listed in `absent`; the rest of the universe is still
    measured. On a futures market the funding of each day comes along; a day without a funding rate in the
    lake has paid none.

    Raises
    ------
    DataError
        If the lake holds no daily bar of any of the symbols up to then.
    """
    dataset = bars_dataset(market, Interval.D1)
    version = lake.version(dataset)
    end_ms = None if as_of_ms is None else as_of_ms + 1
    bars = (
        lake.scan_bars(market, Interval.D1, symbols=symbols, end_ms=end_ms, version=version)
        .select("symbol", "open_time_ms", "close", "low", "high", "quote_volume")
        .collect()
    )
    if bars.is_empty():
        when = "" if as_of_ms is None else f" up to {iso_utc(as_of_ms)}"
        raise DataError(
            f"no daily bar of any symbol of the universe{when}",
            where=lake.uri,
            remedy="`qtm ingest bars -i 1d` first",
        )
    held = set(bars["symbol"].unique())
    present = tuple(symbol for symbol in symbols if symbol in held)
    wide = {
        column: bars.pivot(on="symbol", index="open_time_ms", values=column).sort("open_time_ms")
        for column in ("close", "low", "high", "quote_volume")
    }
    tables = {
        column: frame.select(present).cast(pl.Float64).fill_null(np.nan).to_numpy()
        for column, frame in wide.items()
    }
    times = wide["close"]["open_time_ms"].to_numpy().astype(np.int64)
    return DailyHistory(
        symbols=present,
        open_time_ms=times,
        closes=tables["close"],
        lows=tables["low"],
        highs=tables["high"],
        quote_volumes=tables["quote_volume"],
        lake=lake.uri,
        version=version,
        absent=tuple(
            Exclusion(symbol, "no daily bar in the lake") for symbol in symbols if symbol not in held
        ),
        funding=None if market is Market.SPOT else _daily_funding(lake, market, present, times),
    )


def _daily_funding(
    lake: Lake, market: Market, symbols: Sequence[str], times: npt.NDArray[np.int64]
) -> Floats:
    """Sum of the funding rates of each day that opens at `times`, shape (D, S)."""
    day = Interval.D1.ms
    rates = (
        lake.scan_funding(market, symbols=symbols, start_ms=int(times[0]), end_ms=int(times[-1]) + day)
        .select(
            "symbol",
            (pl.col("funding_time_ms") // day * day).alias("open_time_ms"),
            pl.col("rate").cast(pl.Float64),
        )
        .collect()
    )
    table = np.zeros((times.shape[0], len(symbols)))
    rows = {int(time): row for row, time in enumerate(times)}
    columns = {symbol: column for column, symbol in enumerate(symbols)}
    for symbol, time, rate in rates.iter_rows():
        if time in rows:
            table[rows[time], columns[symbol]] += rate
    return table
