"""Ingestion: all or nothing, repeatable, resumable, and never mixed with synthetic prices."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from qtm.errors import ConfigError, DataError, StoreError
from qtm.market import ingest as ingestion
from qtm.market.ingest import ingest_instruments, ingest_series
from qtm.market.ingest_report import IngestReport
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, month_window
from qtm.market.source import Bars, Funding
from qtm.market.synthetic import SyntheticMarket
from qtm.market.vision import VisionArchive
from tests.market.archive_files import minutes, put, sign

JANUARY, FEBRUARY = month_window("2024-01")[0], month_window("2024-02")[0]
MARCH = month_window("2024-03")[0]
MINUTES = Bars(Market.SPOT, Interval.M1)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    root = tmp_path / "archive"
    for symbol in ("BTCUSDT", "ETHUSDT"):
        for month in ("2024-01", "2024-02"):
            put(root, symbol, month, minutes(month, 100))
    return root


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def ingest(lake: Lake, archive: Path, symbols=("BTCUSDT", "ETHUSDT"), end=MARCH, **options) -> IngestReport:  # type: ignore[no-untyped-def]
    source = VisionArchive(str(archive))
    return ingest_series(lake, source, MINUTES, symbols, JANUARY, end, **options)


def held(lake: Lake) -> list[tuple[str, int]]:
    return lake.coverage("spot_bars_1m").select("symbol", "rows").rows()


def test_an_ingestion_is_one_commit_with_every_row(lake: Lake, archive: Path) -> None:
    steps: list[tuple[int, int, str]] = []
    report = ingest(lake, archive, progress=lambda *step: steps.append(step))
    assert (report.rows, report.parts, report.version) == (400, 4, 0)
    assert held(lake) == [("BTCUSDT", 200), ("ETHUSDT", 200)]
    assert steps[-1] == (4, 4, "ETHUSDT 2024-02")
    assert report.as_json()["symbols"]["BTCUSDT"]["last"] == "2024-02-01T01:39:00Z"


def test_a_second_run_reads_nothing_and_makes_no_version(lake: Lake, archive: Path) -> None:
    first = ingest(lake, archive)
    second = ingest(lake, archive)
    assert (second.parts, second.unchanged, second.version) == (0, 4, first.version)


def test_a_replaced_file_is_read_again(lake: Lake, archive: Path) -> None:
    ingest(lake, archive)
    put(archive, "BTCUSDT", "2024-02", minutes("2024-02", 50))
    report = ingest(lake, archive)
    assert (report.parts, report.unchanged) == (1, 3)
    assert held(lake) == [("BTCUSDT", 150), ("ETHUSDT", 200)], "the shorter file replaced the month"


def test_refresh_reads_everything_again_and_changes_nothing(lake: Lake, archive: Path) -> None:
    ingest(lake, archive)
    before = lake.scan_bars(Market.SPOT, Interval.M1).collect()
    report = ingest(lake, archive, refresh=True)
    assert report.parts == 4
    assert lake.scan_bars(Market.SPOT, Interval.M1).collect().equals(before)


def test_days_taken_one_by_one_add_up(lake: Lake, tmp_path: Path) -> None:
    root = tmp_path / "days"
    put(root, "BTCUSDT", "2024-01", minutes("2024-01", 2880))
    day = 86_400_000
    source = VisionArchive(str(root))
    for start in (JANUARY, JANUARY + day):
        ingest_series(lake, source, MINUTES, ["BTCUSDT"], start, start + day)
    assert held(lake) == [("BTCUSDT", 2880)]
    both = ingest_series(lake, source, MINUTES, ["BTCUSDT"], JANUARY, JANUARY + 2 * day)
    assert both.unchanged == 1


def test_a_month_the_source_lacks_does_not_erase_the_lakes(lake: Lake, archive: Path) -> None:
    ingest(lake, archive)
    for file in (archive / "spot/monthly/klines/BTCUSDT/1m").glob("*2024-01*"):
        file.unlink()
    report = ingest(lake, archive, refresh=True)
    assert report.symbols["BTCUSDT"].months_absent == ["2024-01"]
    assert held(lake) == [("BTCUSDT", 200), ("ETHUSDT", 200)]


@pytest.mark.parametrize("damage", ["truncate", "checksum", "duplicate"])
def test_one_bad_file_among_good_ones_leaves_the_lake_as_it_was(
    lake: Lake, archive: Path, damage: str
) -> None:
    ingest(lake, archive, end=FEBRUARY)
    before = (lake.version("spot_bars_1m"), held(lake), lake.version("ingest_log"))
    path = archive / "spot/monthly/klines/ETHUSDT/1m/ETHUSDT-1m-2024-02.zip"
    if damage == "duplicate":
        rows = minutes("2024-02", 10)
        put(archive, "ETHUSDT", "2024-02", [*rows, rows[-1]])
    else:
        path.write_bytes(path.read_bytes()[:-20])
        if damage == "truncate":
            sign(path)
    with pytest.raises(DataError, match=r"ETHUSDT|damaged zip") as refused:
        ingest(lake, archive)
    assert refused.value.where == str(path)
    assert (lake.version("spot_bars_1m"), held(lake), lake.version("ingest_log")) == before


def test_a_symbol_nobody_has_is_named(lake: Lake, archive: Path) -> None:
    with pytest.raises(DataError, match="the source has nothing for NOPEUSDT"):
        ingest(lake, archive, symbols=["BTCUSDT", "NOPEUSDT"])
    assert lake.datasets() == []


def test_absent_symbols_may_be_reported_instead(lake: Lake, archive: Path) -> None:
    report = ingest(lake, archive, symbols=["BTCUSDT", "NOPEUSDT"], absent_ok=True)
    assert report.symbols["NOPEUSDT"].months_absent == ["2024-01", "2024-02"]
    with pytest.raises(DataError, match="NOPEUSDT"):
        ingest(lake, archive, symbols=["NOPEUSDT"], absent_ok=True)


@pytest.mark.parametrize(("symbols", "end"), [([], MARCH), (["BTCUSDT"], JANUARY), (["BTCUSDT"], 0)])
def test_an_impossible_request_is_refused(lake: Lake, archive: Path, symbols: list[str], end: int) -> None:
    with pytest.raises(ConfigError):
        ingest(lake, archive, symbols=symbols, end=end)


def test_synthetic_and_real_prices_never_share_a_table(lake: Lake, archive: Path) -> None:
    ingest(lake, archive)
    with pytest.raises(ConfigError, match="would mix with it"):
        ingest_series(lake, SyntheticMarket(7), MINUTES, ["BTCUSDT"], JANUARY, JANUARY + 60_000)


def test_funding_and_instruments_from_the_synthetic_market(lake: Lake) -> None:
    market = SyntheticMarket(7)
    report = ingest_series(lake, market, Funding(Market.UM), ["BTCUSDT"], JANUARY, JANUARY + 3 * 86_400_000)
    assert report.rows == 9
    taken = ingest_instruments(lake, market, Market.SPOT, ["BTCUSDT", "ETHUSDT"])
    assert [one.symbol for one in taken] == ["BTCUSDT", "ETHUSDT"]
    assert all(one.is_packaged for one in lake.instruments(Market.SPOT))
    with pytest.raises(DataError, match="the filters of NOPEUSDT on Spot are not known"):
        ingest_instruments(lake, market, Market.SPOT, ["NOPEUSDT"])


NOBODY = 65534
INGEST_CHILD = """
import os, resource, sys
import arro3.core, deltalake, scipy.special
from pathlib import Path
from qtm.market import ingest
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.market.source import Bars
from qtm.market.packaged import packaged_instruments
from qtm.market.synthetic import SyntheticMarket
packaged_instruments(Market.SPOT)
limit, uid = {limit}, {uid}
ingest.ROWS_PER_COMMIT = {rows_per_commit}
if uid:
    os.setuid(uid)
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
ingest.ingest_series(Lake(sys.argv[1]), SyntheticMarket(7), Bars(Market.SPOT, Interval.M1),
                     ["BTCUSDT", "ETHUSDT"], {start}, {end}, progress=lambda *step: print(step, flush=True))
lake = Path(sys.argv[1])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
(lake.parent / f"peak-{{lake.name}}").write_text(str(peak))
"""


def child(lake: Lake, start: int, end: int, **options: int) -> subprocess.Popen[str]:
    """An ingestion of two symbols in its own process.

    `limit` bounds the bytes of any file it writes, `uid` is who it runs as; it leaves its peak memory beside
    the lake.
    """
    values = {"limit": 0, "uid": 0, "rows_per_commit": 2_000_000, "start": start, "end": end, **options}
    return subprocess.Popen(
        [sys.executable, "-c", INGEST_CHILD.format(**values), lake.uri],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_full_disk_is_one_message_and_the_lake_as_it_was(lake: Lake) -> None:
    ingest_series(lake, SyntheticMarket(7), MINUTES, ["BTCUSDT"], JANUARY, FEBRUARY)
    before = (lake.version("spot_bars_1m"), held(lake))
    # A file size limit fails the write as a full disk does, at the byte where room runs out.
    _, errors = child(lake, FEBRUARY, MARCH, limit=100_000).communicate(timeout=120)
    assert "StoreError: dataset 'spot_bars_1m' cannot be written" in errors
    assert "nothing was committed" in errors
    assert (lake.version("spot_bars_1m"), held(lake)) == before


def test_what_the_disk_cannot_hold_is_refused_before_the_first_byte(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingestion, "BYTES_PER_ROW", 2**50)
    with pytest.raises(StoreError, match="nothing was written"):
        ingest_series(lake, SyntheticMarket(7), MINUTES, ["BTCUSDT"], JANUARY, FEBRUARY)
    assert not Path(lake.uri).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder to somebody else")
def test_a_read_only_lake_is_one_message_for_root() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        lake = Lake(f"{folder}/lake")
        ingest_series(lake, SyntheticMarket(7), MINUTES, ["BTCUSDT"], JANUARY, FEBRUARY)
        before = held(lake)
        _, errors = child(lake, FEBRUARY, MARCH, uid=NOBODY).communicate(timeout=120)
        assert "StoreError: dataset 'spot_bars_1m' cannot be written" in errors
        assert held(lake) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_lake_is_one_message(lake: Lake, tmp_path: Path) -> None:
    ingest_series(lake, SyntheticMarket(7), MINUTES, ["BTCUSDT"], JANUARY, FEBRUARY)
    folders = [Path(lake.uri), *(path for path in Path(lake.uri).rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            ingest_series(lake, SyntheticMarket(7), MINUTES, ["BTCUSDT"], FEBRUARY, MARCH)
    finally:
        for folder in folders:
            folder.chmod(0o755)


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.2, 0.5])
def test_killed_at_any_moment_the_lake_stays_readable_and_the_next_run_completes(
    lake: Lake, after_s: float
) -> None:
    ingest_series(lake, SyntheticMarket(7), MINUTES, ["BTCUSDT"], JANUARY, FEBRUARY)
    before = held(lake)
    end = month_window("2024-06")[1]
    running = child(lake, FEBRUARY, end)
    assert running.stdout is not None
    running.stdout.readline()
    time.sleep(after_s)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    after = held(lake)
    expected = [("BTCUSDT", (end - JANUARY) // 60_000), ("ETHUSDT", (end - FEBRUARY) // 60_000)]
    assert after in (before, expected), "either nothing of the run or all of it"
    ingest_series(lake, SyntheticMarket(7), MINUTES, ["BTCUSDT", "ETHUSDT"], FEBRUARY, end)
    assert held(lake) == expected


def test_a_long_window_takes_several_commits_so_that_memory_does_not_grow(lake: Lake) -> None:
    peaks = {}
    for months in (3, 12):
        target = Lake(f"{lake.uri}-{months}")
        running = child(target, JANUARY, month_window(f"2024-{months:02d}")[1], rows_per_commit=200_000)
        running.communicate()
        peaks[months] = int((Path(lake.uri).parent / f"peak-{Path(target.uri).name}").read_text())
        assert target.version("spot_bars_1m") == -(-months // 2) - 1, "two months of two symbols per commit"
    assert peaks[12] < peaks[3] * 1.2
