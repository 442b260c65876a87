"""One archive file: what is recognised, and what is refused with a message that names it."""

from __future__ import annotations

import io
import zipfile

import polars as pl
import pytest

from qtm.errors import DataError
from qtm.market.archive_file import parse_bars, parse_funding, unzip_single
from qtm.market.lake import month_window
from qtm.market.schemas import BAR_SCHEMA
from tests.market.archive_files import HEADER, kline, minutes

MONTH = month_window("2024-01")


def parsed(rows: list[str], month: str = "2024-01") -> pl.DataFrame:
    return parse_bars("\n".join(rows).encode(), "BTCUSDT", "BTCUSDT-1m.zip", *month_window(month))


def test_a_file_without_header_is_read_by_position() -> None:
    bars = parsed(minutes("2024-01", 3))
    assert dict(bars.schema) == BAR_SCHEMA
    assert bars["open_time_ms"].to_list() == [MONTH[0], MONTH[0] + 60_000, MONTH[0] + 120_000]
    assert bars.row(1, named=True) == {
        "symbol": "BTCUSDT", "open_time_ms": MONTH[0] + 60_000, "open": 100.0, "high": 102.0, "low": 99.0,
        "close": 101.0, "volume": 2.0, "quote_volume": 200.0, "trades": 3, "taker_base": 1.0,
        "taker_quote": 100.0,
    }  # fmt: skip


def test_a_header_names_the_columns_in_any_order() -> None:
    names = HEADER.split(",")
    swapped = ",".join([names[0], names[4], names[2], names[3], names[1], *names[5:]])
    row = f"{MONTH[0]},7.0,9.0,1.0,5.0,2.0,{MONTH[0] + 59_999},12.0,3,1.0,6.0,0"
    bars = parsed([swapped, row])
    assert bars.select("open", "close").row(0) == (5.0, 7.0)


def test_microseconds_become_milliseconds() -> None:
    bars = parsed(minutes("2025-01", 2, micro=True), "2025-01")
    assert bars["open_time_ms"].to_list() == [1_735_689_600_000, 1_735_689_660_000]


def test_funding_keeps_the_venues_jittered_times() -> None:
    text = b"calc_time,funding_interval_hours,last_funding_rate\n1704067200004,8,0.00010000\n"
    rates = parse_funding(text, "BTCUSDT", "f.zip", *MONTH)
    assert rates.row(0) == ("BTCUSDT", 1_704_067_200_004, 8, 0.0001)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([HEADER.replace("close,", ""), minutes("2024-01", 1)[0]], "column 'close' is missing for BTCUSDT"),
        ([",".join(minutes("2024-01", 1)[0].split(",")[:7])], "column 'quote_volume' is missing"),
        ([kline(MONTH[0]), kline(MONTH[0])], "BTCUSDT at 2024-01-01T00:00:00Z occurs twice"),
        (
            [kline(MONTH[0] + 60_000), kline(MONTH[0])],
            "BTCUSDT at 2024-01-01T00:00:00Z comes after a later one",
        ),
        ([kline(MONTH[0]).replace("100.00,", "NaN,", 1)], "empty or NaN value at 2024-01-01T00:00:00Z"),
        ([kline(MONTH[0]).replace("100.00,", ",", 1)], "empty or NaN value at 2024-01-01T00:00:00Z"),
        ([kline(MONTH[0]).replace("100.00,", "inf,", 1)], "empty or NaN value"),
        ([kline(MONTH[1])], "impossible date for BTCUSDT: 2024-02-01T00:00:00Z"),
        ([kline(10**13)], "impossible date for BTCUSDT: 2286-11-20T17:46:40Z"),
        ([kline(MONTH[0]).replace("100.00,", "a hundred,", 1)], "BTCUSDT cannot be parsed"),
        ([""], "the file of BTCUSDT is empty"),
    ],
)
def test_damage_is_named_with_file_symbol_and_remedy(rows: list[str], message: str) -> None:
    with pytest.raises(DataError) as refused:
        parsed(rows)
    assert message in str(refused.value)
    assert refused.value.where == "BTCUSDT-1m.zip"
    assert "nothing was written" in refused.value.remedy


def zipped(*members: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in members:
            archive.writestr(name, "1,2,3\n" * 100)
    return buffer.getvalue()


def test_a_zip_is_inflated() -> None:
    assert unzip_single(zipped("a.csv"), "a.zip") == b"1,2,3\n" * 100


def test_any_flipped_byte_of_the_content_is_noticed() -> None:
    good = zipped("a.csv")
    begin = 30 + len("a.csv")
    for position in range(begin, begin + 12):
        bad = bytearray(good)
        bad[position] ^= 0xFF
        with pytest.raises(DataError, match="damaged zip"):
            unzip_single(bytes(bad), "a.zip")


@pytest.mark.parametrize(
    "content",
    [b"", b"not a zip", zipped("a.csv")[:-30], zipped("a.csv")[:40]],
    ids=["empty", "something else", "without its directory", "its header"],
)
def test_a_truncated_zip_is_damaged(content: bytes) -> None:
    with pytest.raises(DataError, match="damaged zip"):
        unzip_single(content, "a.zip")


def test_a_zip_of_two_files_is_refused() -> None:
    with pytest.raises(DataError, match="holds 2 files"):
        unzip_single(zipped("a.csv", "b.csv"), "a.zip")
