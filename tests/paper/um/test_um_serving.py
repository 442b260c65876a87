"""The futures market from the lake and from the command line."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from pathlib import Path

import polars as pl
import pytest

from qtm.errors import DataError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.market.schemas import FUNDING_SCHEMA
from qtm.market.synthetic import synthetic_bars, synthetic_instruments
from qtm.paper import sources
from qtm.paper.um.orders import NewUmOrder
from qtm.paper.um.server import AccountSpec, UmPaperExchange
from qtm.paper.wire import E8
from qtm.trading.costs import UM_COSTS
from tests.paper.test_serve_command import start

HOUR = 3_600_000
START = 1_717_200_000_000  # 2024-06-01T00:00


def lake_with(folder: Path, rates: list[float]) -> str:
    lake = Lake(str(folder))
    chosen = [i for i in synthetic_instruments(Market.UM) if i.symbol == "BTCUSDT"]
    lake.write_instruments(chosen)
    end = START + 24 * HOUR
    frame = synthetic_bars("BTCUSDT", Interval.H1, START, end, 1)
    lake.write_bars(Market.UM, Interval.H1, frame, start_ms=START, end_ms=end)
    if rates:
        times = [START + 4 * HOUR * (i + 1) + 3 for i in range(len(rates))]
        funding = pl.DataFrame(
            {"symbol": "BTCUSDT", "funding_time_ms": times, "interval_hours": 4, "rate": rates},
            schema=FUNDING_SCHEMA,
        )
        lake.write_funding(Market.UM, funding, start_ms=START, end_ms=end)
    return lake.uri


def replay(uri: str) -> sources.BarReplay:
    return sources.replay_from_lake(
        uri, ("BTCUSDT",), "1h", start="2024-06-01", end="2024-06-02", speed="step", history=0,
        costs=UM_COSTS, venue=Market.UM,
    )  # fmt: skip


def test_a_replay_settles_the_lakes_funding_at_its_own_interval(tmp_path: Path) -> None:
    uri = lake_with(tmp_path, [0.0001, -0.0002, 0.0003])
    feed = replay(uri)
    funding = sources.funding_from_lake(uri, feed)
    venue = UmPaperExchange(
        feed, accounts=[AccountSpec("desk", "key", "secret", {"USDT": "1000000"})], funding=funding
    ).venue
    account = venue.accounts["desk"]
    venue.place(account, NewUmOrder("BTCUSDT", True, "MARKET", "c1", qty=1 * E8))
    feed.advance(venue, 24)
    paid = [i for i in account.income if i.kind == "FUNDING_FEE"]
    assert [i.amount < 0 for i in paid] == [True, False, True]
    assert [(i.time_us // 1000 - START) // HOUR for i in paid] == [4, 8, 12]
    assert venue.funding.interval_hours("BTCUSDT") == 4


def test_a_long_replay_without_funding_rates_is_refused(tmp_path: Path) -> None:
    uri = lake_with(tmp_path, [])
    with pytest.raises(DataError, match="no funding rates"):
        sources.funding_from_lake(uri, replay(uri))


def test_the_command_serves_the_futures_market(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    child = start(
        tmp_path, "--venue", "um", "--market", "synthetic", "--speed", "step", "--from", "2024-06-01",
        "--history", "60", "--port", "0", "--ready-file", str(ready),
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while not ready.exists():
            assert child.poll() is None, child.stderr and child.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        url = json.loads(ready.read_text())["url"] + "/fapi/v1/premiumIndex?symbol=BTCUSDT"
        with urllib.request.urlopen(url, timeout=10) as answer:
            row = json.load(answer)
        assert row["nextFundingTime"] == START + 8 * HOUR
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=60)
    assert child.returncode == 0


def test_a_replay_takes_its_index_from_the_lakes_spot_bars(tmp_path: Path) -> None:
    uri = lake_with(tmp_path, [0.0001])
    assert not sources.index_from_lake(uri, replay(uri)).informs("BTCUSDT")
    end = START + 24 * HOUR
    spot = synthetic_bars("BTCUSDT", Interval.H1, START, end, 1).with_columns(
        (pl.col("open", "high", "low", "close") * 0.999).round(2)
    )
    Lake(uri).write_bars(Market.SPOT, Interval.H1, spot, start_ms=START, end_ms=end)
    feed = replay(uri)
    venue = UmPaperExchange(
        feed,
        accounts=[],
        funding=sources.funding_from_lake(uri, feed),
        index=sources.index_from_lake(uri, feed),
    ).venue
    feed.advance(venue, 3)
    prices = venue.prices.contracts["BTCUSDT"]
    assert 0.0009 < prices.mark / prices.index - 1 < 0.0011
    assert 50_000 < prices.premium < 150_000
    assert venue.funding_rate("BTCUSDT") == (prices.mean_premium() - 50_000) * 4 // 8  # four-hourly
