"""A mapped tape of the lake's trades is the tape of those trades, and never stale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qtm.backtest.funding import FundingRates
from qtm.backtest.tape import events as module
from qtm.backtest.tape.events import Tape, tape_of_trades
from qtm.backtest.tape.funding import with_payments
from qtm.backtest.tape.mapped import tape_of_lake
from qtm.errors import DataError
from qtm.market.columns import ColumnFiles
from qtm.market.datasets import Window, trades_dataset
from qtm.market.instruments import Market
from qtm.market.lake import Lake
from qtm.market.schemas import TRADE_SCHEMA
from qtm.market.synthetic import synthetic_funding
from tests.backtest.scripted import instrument

START_MS = 1_704_067_200_000
DAY_MS = 86_400_000
DAYS = 3
LISTED = instrument(Market.UM)


def trades(seed: int = 1) -> pl.DataFrame:
    """Trades over three days, none on the second."""
    random = np.random.default_rng(seed)
    times = np.sort(random.integers(0, DAYS * DAY_MS, 5_000))
    times = START_MS + times[(times < DAY_MS) | (times >= 2 * DAY_MS)]
    count = len(times)
    columns = {
        "symbol": ["BTCUSDT"] * count, "time_ms": times, "trade_id": np.arange(count),
        "price": np.round(100 + np.cumsum(random.integers(-5, 6, count)) * 0.01, 2),
        "qty": np.round(random.integers(1, 900, count) * 0.001, 3), "first_id": np.arange(count),
        "last_id": np.arange(count), "buyer_is_maker": random.random(count) < 0.5,
    }  # fmt: skip
    return pl.DataFrame(columns, schema=TRADE_SCHEMA)


def funding() -> FundingRates:
    return FundingRates.from_frame(synthetic_funding("BTCUSDT", START_MS, START_MS + DAYS * DAY_MS, 7))


def put(lake: Lake, frame: pl.DataFrame) -> None:
    window = Window(("BTCUSDT",), START_MS, START_MS + DAYS * DAY_MS)
    lake.replace(trades_dataset(Market.UM), lambda: iter([frame]), [window])


@pytest.fixture
def files(tmp_path: Path) -> ColumnFiles:
    lake = Lake(str(tmp_path / "lake"))
    put(lake, trades())
    return ColumnFiles(lake, tmp_path / "columns")


def mapped(files: ColumnFiles, **window: int) -> Tape:
    return tape_of_lake(files, LISTED, lambda _begin, _end: funding(), **window)


def test_it_holds_the_trades_and_payments_bit_for_bit_and_is_written_once(files: ColumnFiles) -> None:
    expected = with_payments(tape_of_trades(trades(), LISTED), funding())
    tape = mapped(files)
    assert np.array_equal(tape.events, expected.events)
    assert (tape.start_ns, tape.end_ns, tape.funded) == (expected.start_ns, expected.end_ns, True)
    assert isinstance(tape.events.base, np.memmap) and tape.events.flags.writeable
    (path,) = (path for path in files.folder.rglob("*") if path.is_file())
    before = path.stat().st_mtime_ns
    assert np.array_equal(mapped(files).events, expected.events) and path.stat().st_mtime_ns == before
    tape.events["ticks"] = 1
    assert mapped(files).events["ticks"].max() > 1, "a write stays in the process"


def test_a_window_other_trades_and_another_grid_are_other_files(files: ColumnFiles) -> None:
    whole = mapped(files)
    late = mapped(files, start_ms=START_MS + 2 * DAY_MS)
    assert 0 < len(late) < len(whole) and late.start_ns >= (START_MS + 2 * DAY_MS) * 1_000_000
    coarse = tape_of_lake(files, instrument(Market.UM, tick_size="0.1"), lambda _begin, _end: funding())
    assert np.median(coarse.events["ticks"]) < np.median(whole.events["ticks"]) / 9
    put(files.lake, trades(seed=2))
    assert not np.array_equal(mapped(files).events, whole.events)


def test_a_file_of_another_layout_is_never_read(files: ColumnFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = mapped(files).events.copy()
    (path,) = (path for path in files.folder.rglob("*") if path.is_file())
    path.write_bytes(bytes(path.stat().st_size))
    monkeypatch.setattr("qtm.backtest.tape.mapped.LAYOUT", "another")
    assert np.array_equal(mapped(files).events, expected)


def test_a_missing_payment_and_an_empty_window_are_refused(files: ColumnFiles) -> None:
    rates = funding()
    gap = FundingRates(rates.time_ms[:2], rates.rate[:2], rates.interval_hours[:2])
    with pytest.raises(DataError, match="funding"):
        tape_of_lake(files, LISTED, lambda _begin, _end: gap)
    with pytest.raises(DataError, match="no trades"):
        mapped(files, start_ms=START_MS + DAY_MS, end_ms=START_MS + 2 * DAY_MS)


def test_prices_on_the_grid_do_not_hang_on_how_the_tape_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tape_of_trades(trades(), LISTED)
    grid, span = whole.on_grid, whole.price_range
    monkeypatch.setattr(module, "_PART", 7)
    again = tape_of_trades(trades(), LISTED)
    assert np.array_equal(again.on_grid, grid) and again.price_range == span
