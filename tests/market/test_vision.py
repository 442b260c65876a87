"""The archive as a folder and over HTTP: what is found, verified, retried, refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from aiohttp import web

from qtm.clock import ManualClock
from qtm.errors import ConfigError, DataError, VenueError
from qtm.market.bars import BarKind
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import month_window
from qtm.market.source import Bars, Funding
from qtm.market.vision import VisionArchive
from tests.market.archive_files import HEADER, kline, minutes, put, sign
from tests.market.http_server import serving

SPOT = Bars(Market.SPOT, Interval.M1)
JANUARY = month_window("2024-01")


def read(archive: VisionArchive, series=SPOT, window=JANUARY, symbol="BTCUSDT"):  # type: ignore[no-untyped-def]
    return [archive.read(series, part) for part in archive.parts(series, symbol, *window)]


def test_a_monthly_file_is_found_and_read(tmp_path: Path) -> None:
    put(tmp_path, "BTCUSDT", "2024-01", minutes("2024-01", 5))
    (rows,) = read(VisionArchive(str(tmp_path)))
    assert len(rows.frame) == 5
    assert rows.size > 0


def test_only_the_window_asked_for_is_returned(tmp_path: Path) -> None:
    put(tmp_path, "BTCUSDT", "2024-01", minutes("2024-01", 60))
    (rows,) = read(VisionArchive(str(tmp_path)), window=(JANUARY[0] + 60_000, JANUARY[0] + 180_000))
    assert rows.frame["open_time_ms"].to_list() == [JANUARY[0] + 60_000, JANUARY[0] + 120_000]


def test_daily_files_stand_in_for_a_month_not_published(tmp_path: Path) -> None:
    for day, first in (("2024-01-01", 0), ("2024-01-03", 2 * 1440)):
        put(tmp_path, "BTCUSDT", day, minutes("2024-01", 3, first=first), room="spot/daily/klines")
    rows = read(VisionArchive(str(tmp_path)))
    assert [len(one.frame) for one in rows] == [3, 3]


def test_futures_files_with_header_mark_prices_and_funding(tmp_path: Path) -> None:
    start = JANUARY[0]
    hours = [HEADER, kline(start, step_ms=8 * 3_600_000)]
    put(tmp_path, "BTCUSDT", "2024-01", hours, room="futures/um/monthly/markPriceKlines", interval="8h")
    rates = ["calc_time,funding_interval_hours,last_funding_rate", f"{start + 4},8,0.0001"]
    put(tmp_path, "BTCUSDT", "2024-01", rates, room="futures/um/monthly/fundingRate", interval="")
    archive = VisionArchive(str(tmp_path))
    (mark,) = read(archive, Bars(Market.UM, Interval.H8, BarKind.MARK))
    (funding,) = read(archive, Funding(Market.UM))
    assert mark.frame["open_time_ms"].to_list() == [start]
    assert funding.frame.row(0) == ("BTCUSDT", start + 4, 8, 0.0001)


def test_a_symbol_without_files_has_no_parts(tmp_path: Path) -> None:
    assert VisionArchive(str(tmp_path)).parts(SPOT, "NOPEUSDT", *JANUARY) == []


def test_a_wrong_checksum_is_refused_with_file_and_remedy(tmp_path: Path) -> None:
    path = put(tmp_path, "BTCUSDT", "2024-01", minutes("2024-01", 5))
    content = bytearray(path.read_bytes())
    content[50] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="wrong checksum for BTCUSDT") as refused:
        read(VisionArchive(str(tmp_path)))
    assert refused.value.where == str(path)
    assert "download both again" in refused.value.remedy


def test_a_damaged_zip_with_a_matching_checksum_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, "BTCUSDT", "2024-01", minutes("2024-01", 5))
    path.write_bytes(path.read_bytes()[:-10])
    sign(path)
    with pytest.raises(DataError, match="damaged zip"):
        read(VisionArchive(str(tmp_path)))


def test_a_zip_without_checksum_cannot_be_verified(tmp_path: Path) -> None:
    put(tmp_path, "BTCUSDT", "2024-01", minutes("2024-01", 5), checksum=False)
    with pytest.raises(DataError, match=r"BTCUSDT cannot be verified: its \.CHECKSUM is missing"):
        read(VisionArchive(str(tmp_path)))


def test_a_checksum_without_its_zip_is_refused(tmp_path: Path) -> None:
    put(tmp_path, "BTCUSDT", "2024-01", minutes("2024-01", 5)).unlink()
    with pytest.raises(DataError, match="the zip of BTCUSDT is missing"):
        read(VisionArchive(str(tmp_path)))


def test_a_checksum_of_another_file_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, "BTCUSDT", "2024-01", minutes("2024-01", 5))
    sums = path.with_name(f"{path.name}.CHECKSUM")
    sums.write_text(sums.read_text().replace("BTCUSDT", "ETHUSDT"))
    with pytest.raises(DataError, match="does not name its file"):
        read(VisionArchive(str(tmp_path)))


def test_a_folder_that_is_not_there_is_a_setting_to_mend(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="archive folder does not exist"):
        VisionArchive(str(tmp_path / "nowhere"))


def test_spot_has_no_mark_prices_and_no_funding(tmp_path: Path) -> None:
    archive = VisionArchive(str(tmp_path))
    with pytest.raises(ConfigError, match="spot has no mark bars"):
        archive.parts(Bars(Market.SPOT, Interval.H8, BarKind.MARK), "BTCUSDT", *JANUARY)
    with pytest.raises(ConfigError, match="spot has no funding"):
        archive.parts(Funding(Market.SPOT), "BTCUSDT", *JANUARY)


def archive_server(
    root: Path, *, failing: int = 0, status: int = 503
) -> tuple[web.Application, Counter[str]]:
    """Serves `root`; the first `failing` requests of each path are answered with `status`."""
    seen: Counter[str] = Counter()

    async def answer(request: web.Request) -> web.StreamResponse:
        seen[request.path] += 1
        if seen[request.path] <= failing:
            return web.Response(status=status)
        file = root / request.path.lstrip("/")
        return web.FileResponse(file) if file.is_file() else web.Response(status=404)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    return application, seen


def test_the_archive_over_http_is_the_archive_in_the_folder(tmp_path: Path) -> None:
    put(tmp_path, "BTCUSDT", "2024-01", minutes("2024-01", 500))
    application, _ = archive_server(tmp_path)
    with serving(application) as url:
        remote = VisionArchive(url)
        (rows,) = read(remote)
        assert remote.parts(SPOT, "ETHUSDT", *JANUARY) == []
        remote.close()
    (local,) = read(VisionArchive(str(tmp_path)))
    assert rows.frame.equals(local.frame)


def test_a_passing_failure_is_tried_again(tmp_path: Path) -> None:
    put(tmp_path, "BTCUSDT", "2024-01", minutes("2024-01", 5))
    application, seen = archive_server(tmp_path, failing=1)
    with serving(application) as url:
        (rows,) = read(VisionArchive(url, retries=2))
    assert len(rows.frame) == 5
    assert min(seen.values()) >= 2, "each path failed once and was asked for again"


def test_a_lasting_failure_ends_in_one_message(tmp_path: Path) -> None:
    application, seen = archive_server(tmp_path, failing=99)
    with serving(application) as url, pytest.raises(VenueError, match=r"the archive does not answer.*503"):
        VisionArchive(url, retries=1).parts(SPOT, "BTCUSDT", *JANUARY)
    assert set(seen.values()) == {2}, "one attempt and one retry"


def test_nobody_listening_is_a_venue_error_and_not_reachable() -> None:
    archive = VisionArchive("http://127.0.0.1:9", retries=0, timeout_s=1.0)
    assert archive.reachable()
    with pytest.raises(VenueError, match="does not answer"):
        archive.parts(SPOT, "BTCUSDT", *JANUARY)


def test_daily_files_of_a_remote_archive_are_asked_for_only_when_the_month_is_young(tmp_path: Path) -> None:
    put(tmp_path, "BTCUSDT", "2024-01-01", minutes("2024-01", 3), room="spot/daily/klines")
    application, _ = archive_server(tmp_path)
    two_days = (JANUARY[0], JANUARY[0] + 2 * 86_400_000)
    with serving(application) as url:
        young = VisionArchive(url, clock=ManualClock(JANUARY[1]))
        old = VisionArchive(url, clock=ManualClock(JANUARY[1] + 60 * 86_400_000))
        assert len(young.parts(SPOT, "BTCUSDT", *two_days)) == 1
        assert old.parts(SPOT, "BTCUSDT", *two_days) == []
