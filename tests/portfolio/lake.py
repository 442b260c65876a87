"""A small lake of daily bars for the tests of the daily book and its report."""

from pathlib import Path

import numpy as np
import polars as pl

from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.market.schemas import BAR_SCHEMA
from tests.portfolio.problems import heavy_tailed_returns

DAY_MS = 86_400_000
FIRST_MS = 1_609_459_200_000  # 2021-01-01
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "PAXGUSDT", "LTCUSDT")


def daily_lake(folder: Path, days: int = 900, *, listed: dict[str, int] | None = None) -> Lake:
    """A lake of `days` daily bars of `SYMBOLS` from 2021; `listed` gives a symbol's first day."""
    returns = heavy_tailed_returns(len(SYMBOLS), days, 21)
    times = FIRST_MS + DAY_MS * np.arange(days)
    frames = []
    for column, symbol in enumerate(SYMBOLS):
        first = (listed or {}).get(symbol, 0)
        closes = 100.0 * np.cumprod(1 + returns[:, column])
        opens = np.concatenate(([100.0], closes[:-1]))
        low = np.minimum(opens, closes) * 0.97
        frame = pl.DataFrame(
            {
                "symbol": [symbol] * days, "open_time_ms": times, "open": opens,
                "high": np.maximum(opens, closes) * 1.02, "low": low, "close": closes,
                "volume": np.full(days, 1e5), "quote_volume": np.full(days, 1e7),
                "trades": np.full(days, 1000), "taker_base": np.full(days, 5e4),
                "taker_quote": np.full(days, 5e6),
            },
            schema=BAR_SCHEMA,
        )  # fmt: skip
        frames.append(frame[first:])
    lake = Lake(str(folder))
    end_ms = FIRST_MS + days * DAY_MS
    lake.write_bars(Market.SPOT, Interval.D1, pl.concat(frames), start_ms=FIRST_MS, end_ms=end_ms)
    return lake
