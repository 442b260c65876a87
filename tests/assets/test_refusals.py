"""Bad data, mixed sources, stale books and wrong config end in one clear message, and stop what follows."""

from __future__ import annotations

import dagster as dg
import polars as pl
import pytest
from aiohttp import web

from assets.failures import failures_in_words
from assets.market import FETCH_RETRIES, um_funding
from qtm.errors import DataError, VenueError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.quality.record import Waiver, grant_waiver, quarantined
from qtm.settings import settings
from tests.assets.archive import DAY_MS, minutes, publish
from tests.assets.conftest import BOOK_DAYS, failure, metadata
from tests.market.http_server import serving

DAY, DAY_START = "2024-01-05", 1_704_412_800_000
EIGHT_HOURS = 8 * 3_600_000
WRONG_DECIMAL = DAY_START + 600 * 60_000
"""10:00, a minute whose prices are quoted thirty times too high."""


@pytest.fixture
def archive(tmp_path):
    """One day of two symbols; ETHUSDT has a minute with a wrong decimal point."""
    root = tmp_path / "archive"
    publish(root, "BTCUSDT", DAY, minutes("BTCUSDT", DAY_START))
    prices = ["open", "high", "low", "close", "quote_volume"]
    wrong = pl.col("open_time_ms") == WRONG_DECIMAL
    bars = minutes("ETHUSDT", DAY_START)
    publish(
        root,
        "ETHUSDT",
        DAY,
        bars.with_columns(pl.when(wrong).then(pl.col(p) * 30).otherwise(p).alias(p) for p in prices),
    )
    return root


def verdicts(result):
    """The checks of the minute bars."""
    found = result.get_asset_check_evaluations()
    return {e.check_name: e for e in found if e.asset_key == dg.AssetKey("bars_1m")}


def test_a_failed_blocking_check_stops_the_hours_and_quarantines_the_minute(firm, archive):
    firm.archive = str(archive)
    result = firm.make("bars_1m", "bars_1h", days=(DAY, DAY))
    assert not result.success
    check = verdicts(result)["scale_kept"]
    assert not check.passed and check.blocking
    assert "ETHUSDT" in check.description and "2024-01-05T10:00:00Z" in check.metadata["failures"].value
    assert verdicts(result)["ohlc_consistent"].passed
    assert [e.step_key for e in result.get_step_success_events()] == []
    assert not firm.lake.tables.exists("spot_bars_1h")
    assert set(quarantined(firm.lake)["symbol"]) == {"ETHUSDT"}


def test_a_named_waiver_lets_the_day_pass_and_the_check_names_who(firm, archive):
    firm.archive = str(archive)
    firm.make("bars_1m", days=(DAY, DAY))
    held = quarantined(firm.lake)
    for check, from_ms, to_ms in held.select("check", "from_ms", "to_ms").iter_rows():
        grant_waiver(
            firm.lake,
            Waiver("spot_bars_1m", "ETHUSDT", check, from_ms, to_ms, "R. Officer", "one bad print", 2**45, 1),
        )
    result = firm.make("bars_1m", "bars_1h", days=(DAY, DAY))
    check = verdicts(result)["scale_kept"]
    assert check.passed
    assert "R. Officer: one bad print" in check.metadata["failures"].value


def test_a_file_that_is_damaged_fails_the_step_in_words_and_writes_nothing(firm, archive):
    zipped = next(archive.rglob("BTCUSDT-1m-*.zip"))
    zipped.write_bytes(zipped.read_bytes()[:-7] + b"tampered")
    firm.archive = str(archive)
    result = firm.make("bars_1m", days=(DAY, DAY))
    assert "wrong checksum for BTCUSDT" in failure(result, "bars_1m")
    assert "nothing was written" in failure(result, "bars_1m")
    assert not firm.lake.tables.exists("spot_bars_1m") or firm.lake.coverage("spot_bars_1m").is_empty()


def test_synthetic_prices_never_join_real_ones_and_the_other_way_round(firm, archive, tmp_path):
    firm.archive = str(archive)
    firm.make("bars_1m", days=(DAY, DAY))
    version = firm.lake.version("spot_bars_1m")
    firm.archive = "http://127.0.0.1:9"
    refused = firm.make("bars_1m", days=("2024-01-06", "2024-01-06"))
    assert "holds real prices, and only the synthetic market is there" in failure(refused, "bars_1m")
    assert firm.lake.version("spot_bars_1m") == version

    firm.home = tmp_path / "second"
    assert firm.make("bars_1m", days=("2024-01-06", "2024-01-06")).success
    firm.archive = str(archive)
    refused = firm.make("bars_1m", days=(DAY, DAY))
    assert "holds synthetic prices" in failure(refused, "bars_1m")
    assert "point QTM_LAKE at a new folder" in failure(refused, "bars_1m")


def test_a_symbol_that_does_not_exist_yet_is_left_out_and_named(firm, archive):
    next(archive.rglob("ETHUSDT-1m-*.zip.CHECKSUM")).unlink()
    next(archive.rglob("ETHUSDT-1m-*.zip")).unlink()
    firm.archive = str(archive)
    result = firm.make("bars_1m", days=(DAY, DAY))
    assert result.success
    check = verdicts(result)["has_rows"]
    assert check.passed
    assert check.metadata["not judged: no bar for a week"].value == "ETHUSDT"


def test_a_symbol_that_stops_is_missed_the_next_day(firm, archive):
    next_day = "2024-01-06"
    publish(archive, "BTCUSDT", next_day, minutes("BTCUSDT", DAY_START + DAY_MS))
    publish(archive, "ETHUSDT", DAY, minutes("ETHUSDT", DAY_START))
    firm.archive = str(archive)
    assert firm.make("bars_1m", days=(DAY, DAY)).success
    check = verdicts(firm.make("bars_1m", days=(next_day, next_day)))["has_rows"]
    assert not check.passed
    assert "ETHUSDT" in check.description


@pytest.mark.parametrize(("error", "again"), [(DataError("damaged"), False), (VenueError("silent"), True)])
def test_only_a_silent_venue_is_asked_again(error, again):
    with pytest.raises(dg.Failure) as caught, failures_in_words():
        raise error
    assert caught.value.allow_retries is again
    assert caught.value.description == str(error)


def test_a_book_without_enough_history_says_which_days_to_fetch(firm):
    firm.make("bars_1d", days=("2024-06-01", "2024-06-30"))
    result = firm.make("scenarios", "weights", "risk_report", days=("2024-06-30", "2024-06-30"))
    words = failure(result, "scenarios")
    assert "scenarios for 2024-06-30 need 180 daily returns, the lake holds 29" in words
    assert "materialise bars_1d from 2024-01-02 on" in words


@pytest.fixture
def venue(monkeypatch):
    """A futures venue on loopback that pays 0.01 % every eight hours."""

    async def rates(request: web.Request) -> web.Response:
        start, end = (int(request.query[name]) for name in ("startTime", "endTime"))
        times = range(-(-start // EIGHT_HOURS) * EIGHT_HOURS, end + 1, EIGHT_HOURS)
        paid = {"symbol": request.query["symbol"], "fundingRate": "0.0001"}
        return web.json_response([{**paid, "fundingTime": time} for time in times])

    async def nothing(request: web.Request) -> web.Response:
        return web.json_response([])

    application = web.Application()
    application.router.add_get("/fapi/v1/fundingRate", rates)
    application.router.add_get("/fapi/v1/fundingInfo", nothing)
    with serving(application) as url:
        monkeypatch.setenv("QTM_MARKET__UM_REST", url)
        settings.cache_clear()
        yield url
    monkeypatch.undo()
    settings.cache_clear()


def test_funding_of_a_month_the_archive_has_not_published_comes_from_the_venue(firm, archive, venue):
    firm.archive = str(archive)
    result = firm.make("um_funding", days=(DAY, DAY))
    assert result.success, failure(result, "um_funding")
    assert "| 2024-01 | " in metadata(result, "um_funding")["months"]
    held = firm.lake.scan_funding(Market.UM).collect()
    assert len(held) == 3 * len(settings().market.intraday_symbols)


def test_funding_that_nobody_can_give_fails_in_words_and_writes_nothing(firm, archive, monkeypatch):
    monkeypatch.setenv("QTM_MARKET__UM_REST", "http://127.0.0.1:9")
    monkeypatch.setenv("QTM_MARKET__RETRIES", "0")
    monkeypatch.setattr(um_funding.node_def, "_retry_policy", FETCH_RETRIES._replace(delay=0))
    settings.cache_clear()
    firm.archive = str(archive)
    result = firm.make("um_funding", days=(DAY, DAY))
    settings.cache_clear()
    assert "127.0.0.1:9" in failure(result, "um_funding")
    assert len(result.filter_events(lambda event: event.is_step_restarted)) == FETCH_RETRIES.max_retries
    assert not firm.lake.tables.exists("um_funding")


@pytest.fixture
def long_memory(monkeypatch):
    """A firm that wants 190 days of every symbol."""
    monkeypatch.setenv("QTM_RISK__LEAST_HISTORY", "190")
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


def test_a_range_that_starts_before_the_first_book_makes_the_rest(branch, long_memory):
    result = branch.make("scenarios", "weights", days=("2024-06-25", "2024-06-30"))
    assert result.success
    outcomes = {
        event.partition: event.metadata["outcome"].value
        for event in result.asset_materializations_for_node("weights")
    }
    assert outcomes["2024-06-26"] == "no book: 189 daily returns before it, 190 needed"
    assert outcomes["2024-06-27"] == "optimal"
    assert metadata(result, "weights")["days without a book"] == 2


def test_a_report_refuses_weights_made_from_other_bars(branch):
    start = 1_709_251_200_000  # 2024-03-01
    march = {"start_ms": start, "end_ms": start + 30 * DAY_MS}
    bars = branch.lake.scan_bars(Market.SPOT, Interval.D1, **march).collect()
    branch.lake.write_bars(
        Market.SPOT,
        Interval.D1,
        bars.with_columns(pl.col("close") * pl.int_range(pl.len()).cos().abs().clip(0.9, 1.0)),
        **march,
    )
    words = failure(branch.make("weights", days=BOOK_DAYS), "weights")
    assert "the scenarios of 2024-06-29 are out of date" in words
    assert "materialise `scenarios` for that day again" in words
    assert branch.make("scenarios", days=BOOK_DAYS).success
    words = failure(branch.make("risk_report", days=BOOK_DAYS), "risk_report")
    assert "the weights of 2024-06-29 are out of date" in words
    assert "materialise `weights` for that day again" in words


def test_config_errors_name_the_field_the_parameter_or_the_strategy(made):
    with pytest.raises(dg.DagsterInvalidConfigError, match="simbol"):
        made.make("backtest", strategy="trend", config={"simbol": "BTCUSDT"})
    wrong = made.make("backtest", strategy="trend", config={"interval": "1m", "params": {"fats": 5}})
    assert "unknown parameter 'fats'" in failure(wrong, "backtest")
    wrong = made.make("backtest", strategy="trend", config={"interval": "7m"})
    assert "unknown interval '7m'" in failure(wrong, "backtest")
    wrong = made.make("weights", days=(BOOK_DAYS[0], BOOK_DAYS[0]), config={"cvar_cap": -1.0})
    assert "cap is out of range" in failure(wrong, "weights")
