"""Small archives in Binance's layout, made from given bars."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

from qtm.market.lake import month_window

HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,"
    "taker_buy_volume,taker_buy_quote_volume,ignore"
)
MINUTE_MS = 60_000


def kline(open_ms: int, close: float = 100.0, *, step_ms: int = MINUTE_MS, micro: bool = False) -> str:
    """One row: opens at 100, closes at `close`, trades 2 units."""
    unit = 1000 if micro else 1
    last = (open_ms + step_ms) * unit - 1
    high, low = max(100.0, close) + 1, min(100.0, close) - 1
    return f"{open_ms * unit},100.00,{high:.2f},{low:.2f},{close:.2f},2.0,{last},200.0,3,1.0,100.0,0"


def minutes(month: str, count: int, *, first: int = 0, micro: bool = False) -> list[str]:
    """Rows of `count` consecutive minutes of a month, from its minute number `first`."""
    start = month_window(month)[0]
    return [
        kline(start + (first + i) * MINUTE_MS, 100.0 + (first + i) % 7, micro=micro) for i in range(count)
    ]


def put(
    root: Path,
    symbol: str,
    stamp: str,
    rows: Sequence[str],
    *,
    room: str = "spot/monthly/klines",
    interval: str = "1m",
    kind: str = "fundingRate",
    checksum: bool = True,
) -> Path:
    """Write one zip with its .CHECKSUM and return its path; without `interval` its name says the `kind`."""
    folder = root / room / symbol / interval if interval else root / room / symbol
    folder.mkdir(parents=True, exist_ok=True)
    name = f"{symbol}-{interval or kind}-{stamp}"
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{name}.csv", "\n".join(rows) + "\n")
    if checksum:
        sign(path)
    return path


def sign(path: Path) -> None:
    """(Re)write the .CHECKSUM of a zip."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    path.with_name(f"{path.name}.CHECKSUM").write_text(f"{digest}  {path.name}\n")
