"""A tiny folder in the layout of Binance's archive, written by the test that needs it."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import polars as pl

from qtm.market.intervals import Interval
from qtm.market.synthetic import synthetic_bars

DAY_MS = 86_400_000


def minutes(symbol: str, day_ms: int) -> pl.DataFrame:
    """One day of plausible 1m bars."""
    return synthetic_bars(symbol, Interval.M1, day_ms, day_ms + DAY_MS, seed=3)


def publish(root: Path, symbol: str, day: str, bars: pl.DataFrame) -> None:
    """Write a day's spot 1m file with its checksum."""
    name = f"{symbol}-1m-{day}"
    rows = bars.select(
        "open_time_ms", "open", "high", "low", "close", "volume",
        (pl.col("open_time_ms") + 59_999).alias("close_time"),
        "quote_volume", "trades", "taker_base", "taker_quote", pl.lit(0).alias("ignore"),
    )  # fmt: skip
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{name}.csv", rows.write_csv(include_header=False))
    folder = root / "spot" / "daily" / "klines" / symbol / "1m"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.zip").write_bytes(packed.getvalue())
    digest = hashlib.sha256(packed.getvalue()).hexdigest()
    (folder / f"{name}.zip.CHECKSUM").write_text(f"{digest}  {name}.zip\n")
