"""What failed stays out of backtests until it is mended or waived by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from qtm.clock import ManualClock
from qtm.errors import ConfigError, DataError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.market.lake import Lake
from qtm.quality import judge
from qtm.quality.judge import check_bars, require_passed
from qtm.quality.record import Waiver, grant_waiver, quarantined, verdicts, waivers
from tests.quality.made_bars import START, at, made, minute, store

NOW = ManualClock(START + 10**9)
WAIVER = Waiver(
    "spot_bars_1m", "BTCUSDT", "ohlc_consistent", minute(90), minute(120), "A. Quant", "seen and understood",
    until_ms=NOW.now_ms() + 1000, granted_ms=NOW.now_ms(),
)  # fmt: skip


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """600 minutes of BTCUSDT whose minute 100 is impossible."""
    lake = Lake(str(tmp_path / "lake"))
    store(lake, made().with_columns(at(100, "high", 1.0)))
    return lake


def required(
    lake: Lake, start: int = START, end: int = minute(600), clock: ManualClock = NOW
) -> tuple[Waiver, ...]:
    return require_passed(lake, Market.SPOT, Interval.M1, ["BTCUSDT"], start, end, clock=clock)


def test_a_window_over_the_fault_is_refused_with_symbol_time_and_remedy(lake: Lake) -> None:
    with pytest.raises(DataError) as refused:
        required(lake)
    assert "BTCUSDT from 2024-01-01T01:40:00Z to 2024-01-01T01:41:00Z is in quarantine" in str(refused.value)
    assert "it failed ohlc_consistent" in refused.value.what
    assert refused.value.remedy


def test_a_window_beside_the_fault_passes(lake: Lake) -> None:
    assert required(lake, end=minute(100)) == ()
    assert required(lake, start=minute(101)) == ()


def test_a_waiver_lets_it_pass_and_is_handed_on_for_the_lineage(lake: Lake) -> None:
    check_bars(lake, Market.SPOT, Interval.M1, ["BTCUSDT"], START, minute(600))
    grant_waiver(lake, WAIVER)
    assert required(lake) == (WAIVER,)
    assert waivers(lake) == (WAIVER,)


def test_a_waiver_ends(lake: Lake) -> None:
    check_bars(lake, Market.SPOT, Interval.M1, ["BTCUSDT"], START, minute(600))
    grant_waiver(lake, WAIVER)
    with pytest.raises(DataError, match="quarantine"):
        required(lake, clock=ManualClock(WAIVER.until_ms))


@pytest.mark.parametrize(
    "other",
    [{"check": "prices_positive"}, {"symbol": "ETHUSDT"}, {"from_ms": minute(101)}, {"to_ms": minute(100)},
     {"dataset": "spot_bars_1h"}, {"who": " "}, {"why": ""}, {"until_ms": NOW.now_ms()}],
)  # fmt: skip
def test_a_waiver_must_name_somebody_a_reason_a_future_end_and_what_is_in_quarantine(
    lake: Lake, other: dict[str, object]
) -> None:
    check_bars(lake, Market.SPOT, Interval.M1, ["BTCUSDT"], START, minute(600))
    with pytest.raises(ConfigError):
        grant_waiver(lake, replace(WAIVER, **other))  # type: ignore[arg-type]
    assert waivers(lake) == ()


def test_mended_data_leaves_the_quarantine(lake: Lake) -> None:
    with pytest.raises(DataError):
        required(lake)
    assert quarantined(lake)["from_ms"].to_list() == [minute(100)]
    store(lake, made())
    assert required(lake) == (), "the rewritten window is judged again"
    assert quarantined(lake).is_empty()


def test_a_verdict_on_data_that_changed_does_not_count(lake: Lake) -> None:
    assert required(lake, start=minute(200)) == ()
    store(lake, made().with_columns(at(300, "high", 1.0)))
    with pytest.raises(DataError, match="2024-01-01T05:00:00Z"):
        required(lake, start=minute(200))


def test_judging_happens_once_per_content(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    required(lake, start=minute(200))
    calls = []
    monkeypatch.setattr(judge, "check_bars", lambda *a, **k: calls.append(a))
    required(lake, start=minute(200))
    required(lake, start=minute(300), end=minute(500))
    assert calls == []
    store(lake, made("ETHUSDT", start_ms=START + 40 * 86_400_000))
    required(lake, start=minute(200))
    assert calls == [], "another month of another symbol changed, not this window"


def test_days_judged_side_by_side_cover_their_union(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    for start, end in ((200, 300), (300, 450)):
        check_bars(lake, Market.SPOT, Interval.M1, ["BTCUSDT"], minute(start), minute(end))
    calls = []
    monkeypatch.setattr(judge, "check_bars", lambda *a, **k: calls.append(a))
    required(lake, start=minute(210), end=minute(450))
    assert calls == []
    required(lake, start=minute(210), end=minute(451))
    assert len(calls) == 1


def test_verdicts_are_kept_with_window_version_and_number(lake: Lake) -> None:
    report = check_bars(lake, Market.SPOT, Interval.M1, ["BTCUSDT"], START, minute(600))
    kept = verdicts(lake, "spot_bars_1m")
    assert len(kept) == len(report.results)
    (row,) = kept.filter(pl.col("check") == "ohlc_consistent").iter_rows(named=True)
    assert (row["passed"], row["blocking"], row["observed"], row["allowed"]) == (
        False,
        True,
        1.0,
        "at most 0",
    )
    assert (row["start_ms"], row["end_ms"], row["version"]) == (START, minute(600), report.version)
    check_bars(lake, Market.SPOT, Interval.M1, ["BTCUSDT"], START, minute(600))
    assert len(verdicts(lake)) == len(kept), "a repeated run replaces its verdicts"


def test_quarantine_of_one_symbol_does_not_hold_another(lake: Lake) -> None:
    store(lake, made("ETHUSDT"))
    assert require_passed(lake, Market.SPOT, Interval.M1, ["ETHUSDT"], START, minute(600)) == ()
