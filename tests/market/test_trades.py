"""Aggregate trades: from spot and futures day files into the lake, many to a millisecond."""

from __future__ import annotations

from pathlib import Path

import pytest

from qtm.errors import ConfigError, DataError
from qtm.market.ingest import ingest_series
from qtm.market.instruments import Market
from qtm.market.lake import Lake, month_window
from qtm.market.schemas import TRADE_SCHEMA
from qtm.market.source import Trades
from qtm.market.synthetic import SyntheticMarket
from qtm.market.vision import VisionArchive
from tests.market.archive_files import put

DAY_MS = 86_400_000
SPOT_TRADES = Trades(Market.SPOT)
START = month_window("2025-01")[0]
HEADER = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"


def spot_day(day: int, count: int = 4) -> list[str]:
    """Pairs of trades that share a millisecond; microseconds, as spot files have since 2025."""
    rows = []
    for i in range(count):
        at_us = (START + day * DAY_MS + (i // 2)) * 1000 + 7
        rows.append(f"{day * 100 + i},100.5,0.25,{i},{i},{at_us},{'True' if i % 2 else 'False'},True")
    return rows


def put_day(root: Path, symbol: str, day: int, rows: list[str], room: str = "spot") -> Path:
    return put(
        root,
        symbol,
        f"2025-01-{day + 1:02d}",
        rows,
        room=f"{room}/daily/aggTrades",
        interval="",
        kind="aggTrades",
    )


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_days_of_spot_trades_are_taken_in_order(lake: Lake, tmp_path: Path) -> None:
    root = tmp_path / "archive"
    for symbol in ("BTCUSDT", "ETHUSDT"):
        for day in (0, 1):
            put_day(root, symbol, day, spot_day(day))
    source = VisionArchive(str(root))
    report = ingest_series(lake, source, SPOT_TRADES, ["BTCUSDT", "ETHUSDT"], START, START + 2 * DAY_MS)
    assert (report.rows, report.parts) == (16, 4)
    held = lake.scan_trades(Market.SPOT, symbols=["BTCUSDT"]).collect()
    assert dict(held.schema) == TRADE_SCHEMA
    assert held["trade_id"].to_list() == [0, 1, 2, 3, 100, 101, 102, 103]
    assert held["time_ms"].to_list()[:4] == [START, START, START + 1, START + 1]
    assert held["buyer_is_maker"].to_list()[:2] == [False, True]
    again = ingest_series(lake, source, SPOT_TRADES, ["BTCUSDT", "ETHUSDT"], START, START + 2 * DAY_MS)
    assert (again.rows, again.unchanged) == (0, 4)
    assert lake.coverage("spot_trades")["rows"].to_list() == [8, 8]


def test_futures_trades_have_a_header_and_small_letters(lake: Lake, tmp_path: Path) -> None:
    rows = [HEADER, f"5,100.5,1.5,7,9,{START},true", f"6,100.6,0.5,10,10,{START},false"]
    put_day(tmp_path, "BTCUSDT", 0, rows, room="futures/um")
    ingest_series(lake, VisionArchive(str(tmp_path)), Trades(Market.UM), ["BTCUSDT"], START, START + DAY_MS)
    held = lake.scan_trades(Market.UM).collect()
    assert held.select("trade_id", "price", "qty", "first_id", "last_id", "buyer_is_maker").rows() == [
        (5, 100.5, 1.5, 7, 9, True),
        (6, 100.6, 0.5, 10, 10, False),
    ]


def test_a_repeated_trade_is_damage(lake: Lake, tmp_path: Path) -> None:
    rows = spot_day(0)
    put_day(tmp_path, "BTCUSDT", 0, [*rows, rows[-1]])
    with pytest.raises(DataError, match=r"BTCUSDT at .* occurs twice"):
        ingest_series(lake, VisionArchive(str(tmp_path)), SPOT_TRADES, ["BTCUSDT"], START, START + DAY_MS)
    assert lake.datasets() == []


def test_other_sources_have_no_trades(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="synthetic market has no trades"):
        ingest_series(lake, SyntheticMarket(7), SPOT_TRADES, ["BTCUSDT"], START, START + DAY_MS)
