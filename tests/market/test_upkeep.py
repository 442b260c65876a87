"""Compaction keeps every row; a vacuum never takes a version that a result names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest

from qtm.clock import ManualClock
from qtm.errors import ConfigError, DataError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, month_window
from qtm.market.packaged import packaged_instrument
from qtm.market.upkeep import compact, vacuum
from tests.market.test_lake import JANUARY, bars, write

DAY_MS = 86_400_000
LATER = ManualClock(month_window("2024-03")[0])


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Ten days of two symbols, written day by day."""
    lake = Lake(str(tmp_path / "lake"))
    for day in range(10):
        start = JANUARY + day * DAY_MS
        both = pl.concat([bars("ETHUSDT", start, 20, float(day + 1)), bars("BTCUSDT", start, 20)])
        write(lake, both, start, start + DAY_MS)
    return lake


def everything(lake: Lake, version: int | None = None) -> pl.DataFrame:
    return lake.scan_bars(Market.SPOT, Interval.M1, version=version).collect()


def test_a_month_that_is_over_becomes_one_sorted_file_with_the_same_rows(lake: Lake) -> None:
    before = everything(lake)
    (done,) = compact(lake, "spot_bars_1m", clock=LATER)
    assert (done.month, done.files_before) == ("2024-01", 10)
    (uri,) = lake.files_of("spot_bars_1m")
    stored = pl.read_parquet(uri)
    assert stored.equals(stored.sort("symbol", "open_time_ms"))
    assert everything(lake).equals(before)
    assert compact(lake, "spot_bars_1m", clock=LATER) == [], "nothing is left to do"


def test_a_month_still_running_is_left_alone(lake: Lake) -> None:
    assert compact(lake, "spot_bars_1m", clock=ManualClock(JANUARY + 12 * DAY_MS)) == []


def test_a_vacuum_keeps_what_results_name_and_takes_the_rest(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, forgotten = 5, 7
    kept = everything(lake, named)
    compact(lake, "spot_bars_1m", clock=LATER)
    now = everything(lake)
    assert vacuum(lake, "spot_bars_1m", older_than_days=1, keep=[]) == [], "replaced a moment ago: too young"
    # What deltalake does to files of any age, as if a day had passed.
    real = deltalake.DeltaTable.vacuum

    def aged(table: deltalake.DeltaTable, **options: object) -> list[str]:
        return real(table, **{**options, "retention_hours": 0})  # type: ignore[arg-type]

    monkeypatch.setattr(deltalake.DeltaTable, "vacuum", aged)
    options: dict[str, Any] = {"older_than_days": 1, "keep": [named, 2, 10**6]}
    would = vacuum(lake, "spot_bars_1m", dry_run=True, **options)
    assert everything(lake, forgotten).height == 40 * (forgotten + 1), "a dry run deletes nothing"
    assert sorted(vacuum(lake, "spot_bars_1m", **options)) == sorted(would)
    assert len(would) == 10 - (named + 1)
    assert everything(lake).equals(now)
    assert everything(lake, named).equals(kept)
    assert everything(lake, 2).height == 40 * 3
    with pytest.raises(FileNotFoundError):
        everything(lake, forgotten)


def test_what_cannot_be_kept_up_is_refused(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="keep at least a day"):
        vacuum(lake, "spot_bars_1m", older_than_days=0, keep=[])
    lake.write_instruments([packaged_instrument(Market.SPOT, "BTCUSDT")])
    with pytest.raises(DataError, match="instruments is not kept by month"):
        compact(lake, "instruments", clock=LATER)
