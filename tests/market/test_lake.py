"""The lake: windows replaced atomically, read back sorted, every version kept."""

from __future__ import annotations

import multiprocessing
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from qtm.errors import ConfigError, DataError, StoreError
from qtm.market.bars import BarKind
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake, Window, month_window, months_between
from qtm.market.schemas import BAR_SCHEMA

MINUTE_MS = 60_000
JANUARY = month_window("2024-01")[0]


def bars(
    symbol: str, start_ms: int, count: int, price: float = 100.0, step_ms: int = MINUTE_MS
) -> pl.DataFrame:
    columns = {name: [price] * count for name in ("open", "high", "low", "close", "volume", "quote_volume")}
    return pl.DataFrame(
        {
            "symbol": [symbol] * count,
            "open_time_ms": [start_ms + i * step_ms for i in range(count)],
            **columns,
            "trades": [1] * count,
            "taker_base": [0.5] * count,
            "taker_quote": [50.0] * count,
        },
        schema=BAR_SCHEMA,
    )


def write(lake: Lake, frame: pl.DataFrame, start_ms: int, end_ms: int) -> int:
    return lake.write_bars(Market.SPOT, Interval.M1, frame, start_ms=start_ms, end_ms=end_ms)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_a_window_read_back_is_the_window_written_and_sorted(lake: Lake) -> None:
    both = pl.concat([bars("ETHUSDT", JANUARY, 3), bars("BTCUSDT", JANUARY, 3)])
    write(lake, both.sample(fraction=1.0, shuffle=True, seed=1), JANUARY, JANUARY + 3 * MINUTE_MS)
    read = lake.scan_bars(Market.SPOT, Interval.M1).collect()
    assert read.equals(both.sort("symbol", "open_time_ms"))


def test_writing_a_window_again_replaces_it_and_nothing_else(lake: Lake) -> None:
    hour = JANUARY + 60 * MINUTE_MS
    write(lake, pl.concat([bars("BTCUSDT", JANUARY, 60), bars("ETHUSDT", JANUARY, 60)]), JANUARY, hour)
    write(lake, bars("BTCUSDT", JANUARY + 10 * MINUTE_MS, 5, 200.0), JANUARY + 600_000, JANUARY + 1_200_000)
    btc = lake.bars(Market.SPOT, Interval.M1, "BTCUSDT")
    assert len(btc) == 55, "ten minutes of the window gave way to the five written"
    assert btc.close[10:15].tolist() == [200.0] * 5
    assert btc.close[:10].tolist() + btc.close[15:].tolist() == [100.0] * 50
    assert len(lake.bars(Market.SPOT, Interval.M1, "ETHUSDT")) == 60


def test_a_window_over_a_month_end_lands_in_both_months(lake: Lake) -> None:
    february = month_window("2024-02")[0]
    write(lake, bars("BTCUSDT", february - 2 * MINUTE_MS, 4), february - 120_000, february + 120_000)
    assert len(lake.files_of("spot_bars_1m")) == 2
    assert len(lake.files_of("spot_bars_1m", february, february + 1)) == 1
    assert lake.bars(Market.SPOT, Interval.M1, "BTCUSDT", start_ms=february).open_time_ms[0] == february


def test_old_versions_stay_readable(lake: Lake) -> None:
    first = write(lake, bars("BTCUSDT", JANUARY, 2, 1.0), JANUARY, JANUARY + 120_000)
    second = write(lake, bars("BTCUSDT", JANUARY, 2, 2.0), JANUARY, JANUARY + 120_000)
    assert second > first
    assert lake.version("spot_bars_1m") == second
    old = lake.bars(Market.SPOT, Interval.M1, "BTCUSDT", version=first)
    assert old.close.tolist() == [1.0, 1.0]
    with pytest.raises(DataError, match="version 99"):
        lake.bars(Market.SPOT, Interval.M1, "BTCUSDT", version=99)


def test_closes_side_by_side_leave_missing_bars_null(lake: Lake) -> None:
    frame = pl.concat([bars("BTCUSDT", JANUARY, 3, 10.0), bars("ETHUSDT", JANUARY + MINUTE_MS, 2, 5.0)])
    write(lake, frame, JANUARY, JANUARY + 3 * MINUTE_MS)
    closes = lake.closes(Market.SPOT, Interval.M1, ["ETHUSDT", "BTCUSDT"])
    assert closes.columns == ["open_time_ms", "ETHUSDT", "BTCUSDT"]
    assert closes["ETHUSDT"].to_list() == [None, 5.0, 5.0]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: f.drop("volume"), "column 'volume' is missing"),
        (lambda f: pl.concat([f, f.head(1)]), "BTCUSDT at 2024-01-01T00:00:00Z occurs more than once"),
        (lambda f: f.with_columns(pl.col("open_time_ms") + 600_000), "lies outside the window"),
        (lambda f: f.with_columns(close=pl.lit(None, pl.Float64)), "column 'close' has nulls"),
        (lambda f: f.clear(), "nothing to write"),
    ],
)
def test_a_refused_write_leaves_the_lake_as_it_was(lake: Lake, spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    good = bars("BTCUSDT", JANUARY, 3)
    before = write(lake, good, JANUARY, JANUARY + 3 * MINUTE_MS)
    with pytest.raises(DataError, match=message):
        write(lake, spoil(good), JANUARY, JANUARY + 3 * MINUTE_MS)
    assert lake.version("spot_bars_1m") == before
    assert lake.scan_bars(Market.SPOT, Interval.M1).collect().equals(good)


def test_a_stream_that_fails_halfway_commits_nothing(lake: Lake) -> None:
    before = write(lake, bars("BTCUSDT", JANUARY, 3), JANUARY, JANUARY + 3 * MINUTE_MS)

    def batches():  # type: ignore[no-untyped-def]
        yield bars("BTCUSDT", JANUARY, 2, 7.0)
        raise DataError("the second file is damaged")

    with pytest.raises(DataError, match="the second file is damaged"):
        lake.replace("spot_bars_1m", batches, [Window(("BTCUSDT",), JANUARY, JANUARY + 10 * MINUTE_MS)])
    assert lake.version("spot_bars_1m") == before
    assert lake.bars(Market.SPOT, Interval.M1, "BTCUSDT").close.tolist() == [100.0] * 3


def test_a_first_write_that_fails_makes_no_table(lake: Lake) -> None:
    with pytest.raises(DataError):
        write(lake, bars("BTCUSDT", JANUARY, 3).drop("close"), JANUARY, JANUARY + 3 * MINUTE_MS)
    assert lake.datasets() == []


def test_what_is_not_there_is_said_with_what_is(lake: Lake) -> None:
    with pytest.raises(DataError, match="dataset 'spot_bars_1m' is not in the lake"):
        lake.bars(Market.SPOT, Interval.M1, "BTCUSDT")
    write(lake, bars("BTCUSDT", JANUARY, 3), JANUARY, JANUARY + 3 * MINUTE_MS)
    with pytest.raises(DataError, match=r"no XUSDT in spot_bars_1m.*holds BTCUSDT"):
        lake.bars(Market.SPOT, Interval.M1, "XUSDT")
    with pytest.raises(DataError, match="held from 2024-01-01T00:00:00Z to 2024-01-01T00:02:00Z"):
        lake.bars(Market.SPOT, Interval.M1, "BTCUSDT", start_ms=JANUARY + 10**9)


def test_mark_bars_and_trade_bars_are_different_tables(lake: Lake) -> None:
    frame = bars("BTCUSDT", JANUARY, 1)
    lake.write_bars(Market.UM, Interval.H8, frame, start_ms=JANUARY, end_ms=JANUARY + 1, kind=BarKind.MARK)
    assert lake.datasets() == ["um_mark_8h"]


def test_instruments_keep_their_decimals_exactly(lake: Lake) -> None:
    exact = Instrument(
        Market.SPOT, "SHIBUSDT", "SHIB", "USDT", Decimal("0.00000001"), Decimal("1"), Decimal("1.00"),
        Decimal("46116860414.00"), Decimal("5.00000000"), filters_source="a test",
    )  # fmt: skip
    lake.write_instruments([exact])
    lake.write_instruments([Instrument(**{**_fields(exact), "symbol": "PEPEUSDT"})])
    assert lake.instrument(Market.SPOT, "SHIBUSDT") == exact
    assert str(lake.instrument(Market.SPOT, "SHIBUSDT").min_qty) == "1.00"
    with pytest.raises(DataError, match=r"unknown symbol 'NOPE' on Spot.*known: PEPEUSDT, SHIBUSDT"):
        lake.instrument(Market.SPOT, "NOPE")


def _fields(instrument: Instrument) -> dict[str, object]:
    return {name: getattr(instrument, name) for name in Instrument.__dataclass_fields__}


def test_sql_answers_over_every_dataset(lake: Lake) -> None:
    write(lake, bars("BTCUSDT", JANUARY, 3), JANUARY, JANUARY + 3 * MINUTE_MS)
    answer = lake.sql(
        "SELECT symbol, count(*) AS bars, sum(volume) AS volume FROM spot_bars_1m GROUP BY symbol"
    )
    assert answer.rows() == [("BTCUSDT", 3, 300.0)]


def test_a_table_without_rows_answers_with_none(lake: Lake) -> None:
    empty = pl.DataFrame(schema={"event": pl.String, "month": pl.String})
    lake.tables.overwrite("stress", empty, predicate=None, partition_by=["month"])
    assert lake.sql("SELECT count(*) AS n FROM stress")["n"].to_list() == [0]


@pytest.mark.parametrize(
    "query",
    ["SELEC 1", "DROP VIEW spot_bars_1m", "COPY (SELECT 1) TO '/tmp/out.csv'", "SELECT 1; SELECT 2",
     "SELECT * FROM read_csv('/etc/passwd')", "SET memory_limit='9GB'", "ATTACH 'x.db'"],
)  # fmt: skip
def test_sql_only_reads_and_only_the_lake(lake: Lake, query: str) -> None:
    write(lake, bars("BTCUSDT", JANUARY, 1), JANUARY, JANUARY + MINUTE_MS)
    with pytest.raises(ConfigError):
        lake.sql(query)


def test_a_root_that_is_a_file_is_a_store_error(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("not a folder")
    with pytest.raises(StoreError, match="cannot be written"):
        write(Lake(str(tmp_path / "lake")), bars("BTCUSDT", JANUARY, 1), JANUARY, JANUARY + MINUTE_MS)


def _append_days(uri: str, symbol: str, days: int) -> None:
    lake = Lake(uri)
    for day in range(days):
        start = JANUARY + day * 86_400_000
        write(lake, bars(symbol, start, 10), start, start + 86_400_000)


def test_two_processes_making_and_writing_one_month_both_stand(lake: Lake) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_append_days, args=(lake.uri, s, 8)) for s in ("BTCUSDT", "ETHUSDT")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    held = lake.coverage("spot_bars_1m")
    assert held.select("symbol", "rows").rows() == [("BTCUSDT", 80), ("ETHUSDT", 80)]


def test_months_between_is_half_open() -> None:
    january, february = month_window("2024-01")
    assert months_between(january, february) == ["2024-01"]
    assert months_between(january, february + 1) == ["2024-01", "2024-02"]
    assert months_between(january, january) == []
    assert months_between(month_window("2023-12")[0], january + 1) == ["2023-12", "2024-01"]


def test_bar_columns_are_contiguous_for_the_engine(lake: Lake) -> None:
    write(lake, bars("BTCUSDT", JANUARY, 5), JANUARY, JANUARY + 5 * MINUTE_MS)
    series = lake.bars(Market.SPOT, Interval.M1, "BTCUSDT")
    assert series.open_time_ms.dtype == np.int64
    assert all(
        getattr(series, name).flags.c_contiguous for name in ("open", "high", "low", "close", "volume")
    )
