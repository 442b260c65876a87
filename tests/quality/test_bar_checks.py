"""Each check fails for its own fault, names where, and passes without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from qtm.market.bars import BarKind
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.quality.judge import check_bars
from qtm.quality.report import QualityReport
from tests.quality.made_bars import HOUR_MS, MINUTE_MS, START, at, made, minute, store


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def judged(lake: Lake, start: int = START, end: int = minute(600), symbols=("BTCUSDT",)) -> QualityReport:  # type: ignore[no-untyped-def]
    return check_bars(lake, Market.SPOT, Interval.M1, symbols, start, end)


def failed(report: QualityReport) -> set[str]:
    return {result.name for result in report.failures}


def test_faultless_bars_pass_every_check(lake: Lake) -> None:
    store(lake, made())
    report = judged(lake)
    assert report.passed
    assert report.failures == ()
    assert report.rows == 600
    assert len(report.results) == 17


FAULTS: list[tuple[str, bool, Callable[[pl.DataFrame], pl.DataFrame], tuple[int, int]]] = [
    ("prices_positive", True, lambda f: f.with_columns(at(10, "low", -1.0)), (10, 11)),
    ("values_complete", True, lambda f: f.with_columns(at(10, "quote_volume", float("nan"))), (10, 11)),
    ("ohlc_consistent", True, lambda f: f.with_columns(at(10, "high", 99.0)), (10, 11)),
    ("ohlc_consistent", True, lambda f: f.with_columns(at(20, "low", 101.0)), (20, 21)),
    ("volume_not_negative", True, lambda f: f.with_columns(at(10, "volume", -2.0)), (10, 11)),
    ("no_gap", False, lambda f: f.filter(~pl.int_range(pl.len()).is_between(30, 34)), (30, 35)),
    ("no_jump", False, lambda f: f.with_columns(at(10, "close", 120.0), at(10, "high", 120.0)), (10, 12)),
    ("quote_volume_plausible", False, lambda f: f.with_columns(at(10, "quote_volume", 900.0)), (10, 11)),
    ("taker_within_volume", False, lambda f: f.with_columns(at(10, "taker_base", 3.0)), (10, 11)),
    ("mostly_traded", False, lambda f: f.with_columns(at(10, "volume", 0.0)), (10, 11)),
    ("window_covered", False, lambda f: f.head(590), (590, 600)),
    ("window_covered", False, lambda f: f.tail(590), (0, 10)),
]


@pytest.mark.parametrize(("check", "blocking", "spoil", "where"), FAULTS)
def test_a_fault_fails_its_check_and_is_located(
    lake: Lake,
    check: str,
    blocking: bool,
    spoil: Callable[[pl.DataFrame], pl.DataFrame],
    where: tuple[int, int],
) -> None:
    store(lake, spoil(made()))
    report = judged(lake)
    (result,) = [one for one in report.failures if one.name == check]
    assert result.blocking is blocking
    assert report.passed is not blocking
    assert [(span.from_ms, span.to_ms) for span in result.spans] == [(minute(where[0]), minute(where[1]))]


def test_bars_off_the_minute_are_found_like_those_of_february_2018(lake: Lake) -> None:
    late = made().with_columns(
        pl.when(pl.int_range(pl.len()) >= 400).then(pl.col("open_time_ms") + 14_789).otherwise("open_time_ms")
    )
    store(lake, late)
    report = judged(lake)
    (result,) = [one for one in report.failures if one.name == "times_on_grid"]
    assert (result.observed, result.blocking) == (200, True)
    assert result.spans[0].from_ms == minute(400) + 14_789


def test_a_hole_of_more_than_a_day_blocks_and_a_shorter_one_warns(lake: Lake) -> None:
    hole = 2010
    after = made(start_ms=minute(300 + hole))
    store(lake, pl.concat([made(count=300), after]))
    report = judged(lake, end=minute(900 + hole))
    (result,) = [one for one in report.failures if one.name == "no_long_gap"]
    assert [(s.from_ms, s.to_ms) for s in result.spans] == [(minute(300), minute(300 + hole))]
    assert result.observed == hole * MINUTE_MS
    assert "no_long_gap" not in failed(judged(lake, end=minute(300 + 1440)))


def test_a_hole_across_the_windows_edge_counts_only_inside_it(lake: Lake) -> None:
    store(lake, pl.concat([made(count=300), made(start_ms=minute(2310))]))
    inside = judged(lake, start=minute(310 + 0), end=minute(2910))
    (result,) = [one for one in inside.failures if one.name == "no_long_gap"]
    assert result.spans[0].from_ms == minute(310)
    assert judged(lake, start=minute(2310), end=minute(2910)).failures == (), (
        "begins with the first bar after it"
    )


def test_a_symbol_given_to_another_coin_is_found_like_luna(lake: Lake) -> None:
    reborn = made(start_ms=minute(300 + 26_000)).with_columns(
        pl.col("open", "high", "low", "close", "quote_volume") * 1000
    )
    store(lake, pl.concat([made(count=300), reborn]))
    names = failed(judged(lake, end=minute(26_900)))
    assert {"same_instrument", "no_long_gap"} <= names
    assert "same_instrument" not in failed(judged(lake, start=minute(26_300), end=minute(26_900)))


def test_a_pause_at_the_same_price_is_a_gap_but_the_same_instrument(lake: Lake) -> None:
    store(lake, pl.concat([made(count=300), made(start_ms=minute(26_300))]))
    names = failed(judged(lake, end=minute(26_900)))
    assert "no_long_gap" in names
    assert "same_instrument" not in names


def test_a_wrong_decimal_point_blocks(lake: Lake) -> None:
    store(lake, made().with_columns(at(10, "close", 0.1), at(10, "low", 0.1)))
    assert "scale_kept" in failed(judged(lake))


def test_a_feed_that_stands_still_is_found(lake: Lake) -> None:
    still = made().with_columns(
        pl.when(pl.int_range(pl.len()).is_between(103, 252)).then(100.0).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "close")
    )
    store(lake, still)
    (result,) = [one for one in judged(lake).failures if one.name == "not_stale"]
    assert result.observed == 149
    assert (result.spans[0].from_ms, result.spans[0].to_ms) == (minute(103), minute(253))


def test_seventy_two_untraded_minutes_in_a_month_are_worth_a_warning(lake: Lake) -> None:
    month = made(count=44_560).with_columns(
        pl.when(pl.int_range(pl.len()).is_between(1000, 1071)).then(0.0).otherwise(pl.col(name)).alias(name)
        for name in ("volume", "quote_volume", "taker_base")
    )
    store(lake, month)
    report = judged(lake, end=minute(44_560))
    (result,) = report.failures
    assert (result.name, result.blocking, result.spans[0].rows) == ("mostly_traded", False, 72)


def test_symbols_are_judged_each_by_itself(lake: Lake) -> None:
    bad = made("ETHUSDT").with_columns(at(10, "high", 99.0))
    store(lake, pl.concat([made("BTCUSDT"), bad]))
    report = judged(lake, symbols=["ETHUSDT", "BTCUSDT", "NOPEUSDT"])
    assert {(one.symbol, one.name) for one in report.failures if one.blocking} == {
        ("ETHUSDT", "ohlc_consistent"), ("NOPEUSDT", "has_rows"),
    }  # fmt: skip
    assert all(span.symbol == "ETHUSDT" for one in report.failures for span in one.spans)


def test_mark_prices_have_no_volume_to_judge(lake: Lake) -> None:
    mark = made(step_ms=8 * HOUR_MS, count=30).with_columns(
        pl.lit(0.0).alias(name) for name in ("volume", "quote_volume", "taker_base")
    )
    end = START + 30 * 8 * HOUR_MS
    lake.write_bars(Market.UM, Interval.H8, mark, start_ms=START, end_ms=end, kind=BarKind.MARK)
    report = check_bars(lake, Market.UM, Interval.H8, ["BTCUSDT"], START, end, kind=BarKind.MARK)
    assert report.failures == ()
    assert "mostly_traded" not in {result.name for result in report.results}
