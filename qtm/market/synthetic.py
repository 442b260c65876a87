"""A seeded synthetic market, for when neither the archive nor the venue can be reached.

Every price is a pure function of (seed, symbol, time), so any window is a slice of one infinite path (see
`qtm.market.synthetic_path`), and coarser bars are exactly what finer ones aggregate to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.clock import iso_utc
from qtm.errors import ConfigError, DataError
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.market.packaged import packaged_instrument, packaged_instruments
from qtm.market.schemas import BAR_SCHEMA, FUNDING_SCHEMA
from qtm.market.source import SYNTHETIC, Bars, Part, Rows, Series, Trades
from qtm.market.synthetic_path import DAY_MS, GENESIS_DAY, HOUR_MS, Floats, SyntheticPath

GENERATOR = "1"
"""Changes whenever the same seed would give other prices, so that a lake never mixes two generators."""


def synthetic_instruments(market: Market = Market.SPOT) -> list[Instrument]:
    """The instruments of the synthetic market: the packaged universe on its real grids."""
    return list(packaged_instruments(market).values())


def synthetic_bars(symbol: str, interval: Interval, start_ms: int, end_ms: int, seed: int) -> pl.DataFrame:
    """Bars of [start_ms, end_ms) with the columns of `BAR_SCHEMA`, sorted by open time.

    Prices lie on the spot tick grid and volumes on the step grid. The same (symbol, interval, time, seed)
    gives the same bar whatever the window.

    Raises
    ------
    DataError
        For a symbol outside the packaged universe or a window before 2017-01-01.
    ConfigError
        For an interval that is not a whole part of a day, or is shorter than a minute.
    """
    if interval.ms < Interval.M1.ms or DAY_MS % interval.ms:
        raise ConfigError(
            f"the synthetic market has no {interval} bars", where="interval", remedy="use 1m to 1d"
        )
    if start_ms < GENESIS_DAY * DAY_MS:
        raise DataError(
            f"the synthetic market starts on 2017-01-01, not {iso_utc(start_ms)}",
            where=symbol,
            remedy="ask for a later window",
        )
    instrument = packaged_instrument(Market.SPOT, symbol)
    first_day, last_day = start_ms // DAY_MS, (max(end_ms, start_ms + 1) - 1) // DAY_MS
    path = SyntheticPath(instrument, seed)
    pieces = []
    # A quarter at a time keeps a long 1m window from holding every draw at once.
    for day in range(first_day, last_day + 1, 92):
        days = np.arange(day, min(day + 92, last_day + 1))
        columns = path.hours(days) if interval.ms >= HOUR_MS else path.minutes(days)
        finest = HOUR_MS if interval.ms >= HOUR_MS else Interval.M1.ms
        columns = _aggregated(columns, interval.ms // finest)
        times = int(days[0]) * DAY_MS + np.arange(columns["open"].shape[0], dtype=np.int64) * interval.ms
        keep = (times >= start_ms) & (times < end_ms)
        pieces.append(
            _frame(symbol, times[keep], {name: values[keep] for name, values in columns.items()}, instrument)
        )
    return pl.concat(pieces)


def synthetic_funding(symbol: str, start_ms: int, end_ms: int, seed: int) -> pl.DataFrame:
    """Eight-hourly funding rates of [start_ms, end_ms) (columns of `FUNDING_SCHEMA`).

    The rate is Binance's base rate of 0.01 % plus a part that follows the last day's return.
    """
    eight = 8 * HOUR_MS
    first = -(-start_ms // eight) * eight
    times = np.arange(first, end_ms, eight, dtype=np.int64)
    if not len(times):
        return pl.DataFrame(schema=FUNDING_SCHEMA)
    lead = first - DAY_MS
    closes = synthetic_bars(symbol, Interval.H8, lead, int(times[-1]), seed)["close"].to_numpy()
    moved = np.log(closes[2:] / closes[:-2])[: len(times)]
    rates = np.round(np.clip(1e-4 + 0.004 * moved, -0.003, 0.003), 8)
    return pl.DataFrame(
        {"symbol": [symbol] * len(times), "funding_time_ms": times, "interval_hours": 8, "rate": rates},
        schema=FUNDING_SCHEMA,
    )


def _decimal_grid(counts: Floats, unit: Decimal) -> Floats:
    """Whole `counts` of a decimal unit as the floats nearest to the exact decimals.

    Dividing by 10^k rounds once, multiplying by 10^-k rounds twice; the venue's texts parse to the former.
    """
    numerator, denominator = unit.as_integer_ratio()
    scaled: Floats = counts * float(numerator) / float(denominator)
    return scaled


def _aggregated(columns: dict[str, Floats], group: int) -> dict[str, Floats]:
    """Join every `group` bars into one."""
    if group == 1:
        return columns
    blocks = {name: values.reshape(-1, group) for name, values in columns.items()}
    joined = {
        "open": blocks["open"][:, 0],
        "high": blocks["high"].max(axis=1),
        "low": blocks["low"].min(axis=1),
        "close": blocks["close"][:, -1],
    }
    return joined | {name: blocks[name].sum(axis=1) for name in ("lots", "trades", "taker_lots")}


def _frame(
    symbol: str, times: npt.NDArray[np.int64], columns: dict[str, Floats], instrument: Instrument
) -> pl.DataFrame:
    price = {
        name: _decimal_grid(columns[name], instrument.tick_size) for name in ("open", "high", "low", "close")
    }
    volume = _decimal_grid(columns["lots"], instrument.step_size)
    taker = _decimal_grid(np.minimum(columns["taker_lots"], columns["lots"]), instrument.step_size)
    typical = (price["open"] + price["high"] + price["low"] + price["close"]) / 4.0
    return pl.DataFrame(
        {
            "symbol": pl.repeat(symbol, len(times), dtype=pl.String, eager=True),
            "open_time_ms": times,
            **price,
            "volume": volume,
            "quote_volume": np.round(volume * typical, 8),
            "trades": columns["trades"].astype(np.int64),
            "taker_base": taker,
            "taker_quote": np.round(taker * typical, 8),
        },
        schema=BAR_SCHEMA,
    )


class SyntheticMarket:
    """The synthetic market as a source of history; `seed` names the whole market."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    @property
    def name(self) -> str:
        """`synthetic market, seed 7`."""
        return f"{SYNTHETIC} market, seed {self.seed}"

    @property
    def is_venue(self) -> bool:
        """False: instruments come from the package."""
        return False

    def parts(self, series: Series, symbol: str, start_ms: int, end_ms: int) -> list[Part]:
        """One part: the whole window."""
        if isinstance(series, Trades):
            raise ConfigError("the synthetic market has no trades", where="--source", remedy="use archive")
        packaged_instrument(Market.SPOT, symbol)
        origin = f"synthetic/{symbol}/{series.dataset}/{iso_utc(start_ms)[:7]}"
        digest = hashlib.sha256(f"{GENERATOR}/{self.seed}".encode()).hexdigest()
        return [Part(symbol, start_ms, end_ms, origin, digest, start_ms, end_ms)]

    def read(self, series: Series, part: Part) -> Rows:
        """The rows of a window."""
        if isinstance(series, Bars):
            bars = synthetic_bars(part.symbol, series.interval, part.start_ms, part.end_ms, self.seed)
            return Rows(bars, 0)
        return Rows(synthetic_funding(part.symbol, part.start_ms, part.end_ms, self.seed), 0)

    def instruments(self, market: Market, symbols: Sequence[str]) -> list[Instrument]:
        """The packaged instruments: the synthetic market trades on the real grids."""
        return [packaged_instrument(market, symbol) for symbol in symbols]

    def close(self) -> None:
        """Nothing is held open."""
