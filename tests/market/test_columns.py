"""Column files: the lake's bars bit for bit, mapped and not copied, never stale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qtm.errors import DataError, StoreError
from qtm.market.bars import BarSeries
from qtm.market.columns import COLUMNS, ColumnFiles
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from tests.market.test_lake import JANUARY, MINUTE_MS, bars, write

WHERE = (Market.SPOT, Interval.M1, "BTCUSDT")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    write(lake, bars("BTCUSDT", JANUARY, 100, 1.5), JANUARY, JANUARY + 100 * MINUTE_MS)
    return lake


@pytest.fixture
def files(lake: Lake, tmp_path: Path) -> ColumnFiles:
    return ColumnFiles(lake, tmp_path / "columns")


def cuts(files: ColumnFiles) -> list[Path]:
    return sorted(files.folder.rglob("*"))


def same(one: BarSeries, other: BarSeries) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in COLUMNS)


def test_a_cut_holds_the_lakes_bars_and_is_made_once(lake: Lake, files: ColumnFiles) -> None:
    assert same(files.bars(*WHERE), lake.bars(*WHERE))
    before = cuts(files)
    assert files.bars(*WHERE).open_time_ms.dtype == np.int64
    assert cuts(files) == before
    assert files.size() > 100 * 6 * 8


def test_a_window_is_a_view_of_the_mapped_file(files: ColumnFiles) -> None:
    window = files.bars(*WHERE, start_ms=JANUARY + 10 * MINUTE_MS, end_ms=JANUARY + 20 * MINUTE_MS)
    assert len(window) == 10
    assert window.open_time_ms[0] == JANUARY + 10 * MINUTE_MS
    assert window.close.base is not None
    assert not window.close.flags.owndata
    assert window.close.flags.writeable
    assert window.close.flags.c_contiguous
    window.close[:] = 7.0
    assert files.bars(*WHERE).close.max() == 1.5, "a write stays in the process"


def test_new_content_is_a_new_cut_and_the_old_version_stays_readable(lake: Lake, files: ColumnFiles) -> None:
    first = lake.version("spot_bars_1m")
    assert files.bars(*WHERE).close[0] == 1.5
    write(lake, bars("BTCUSDT", JANUARY, 100, 2.5), JANUARY, JANUARY + 100 * MINUTE_MS)
    assert files.bars(*WHERE).close[0] == 2.5
    assert files.bars(*WHERE, version=first).close[0] == 1.5


def test_another_symbols_news_do_not_cut_again(lake: Lake, files: ColumnFiles) -> None:
    files.bars(*WHERE)
    before = cuts(files)
    february = JANUARY + 31 * 86_400_000
    write(lake, bars("ETHUSDT", february, 10), february, february + 10 * MINUTE_MS)
    files.bars(*WHERE)
    assert cuts(files) == before


def test_only_two_cuts_of_a_symbol_are_kept(lake: Lake, files: ColumnFiles) -> None:
    for price in (2.0, 3.0, 4.0):
        write(lake, bars("BTCUSDT", JANUARY, 100, price), JANUARY, JANUARY + 100 * MINUTE_MS)
        files.bars(*WHERE)
    assert len(list(files.folder.rglob("*.npy"))) == 2
    assert not list(files.folder.rglob("*.part"))


def test_errors_are_those_of_the_lake(files: ColumnFiles) -> None:
    with pytest.raises(DataError, match="no XUSDT in spot_bars_1m"):
        files.bars(Market.SPOT, Interval.M1, "XUSDT")
    with pytest.raises(DataError, match="no bar of BTCUSDT from"):
        files.bars(*WHERE, start_ms=JANUARY + 10**9)


def test_a_folder_that_cannot_be_written_is_one_message(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="column file cannot be written"):
        ColumnFiles(lake, tmp_path / "file").bars(*WHERE)
