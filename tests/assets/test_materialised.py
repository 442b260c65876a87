"""Every asset made for real, in process, on a synthetic market."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from assets.research_config import strategy_of_partition
from pipelines.definitions import defs
from qtm.control.candidate import candidate_of
from qtm.control.promotion import Ladder
from qtm.errors import StrategyError
from qtm.market.instruments import Market
from qtm.market.intervals import Interval
from qtm.settings import settings
from qtm.store.database import open_database
from qtm.strategies.registry import load_strategy
from tests.assets.conftest import BOOK_DAYS, HISTORY_DAYS, MINUTE_DAYS, RISK_TABLES, failure, metadata

EVERY_ASSET = sorted(key.to_user_string() for key in defs.resolve_asset_graph().materializable_asset_keys)


@pytest.mark.parametrize("asset", EVERY_ASSET)
def test_every_asset_materialises_and_says_something_about_itself(made, asset):
    result = made.results[asset]
    assert result.success
    shown = metadata(result, asset)
    assert len(shown) >= 2
    assert all(value is not None for value in shown.values())


def test_every_day_of_a_range_is_recorded_with_its_own_table(made):
    events = made.results["bars_1d"].asset_materializations_for_node("bars_1d")
    by_day = {event.partition: event.metadata for event in events}
    assert (min(by_day), max(by_day)) == HISTORY_DAYS
    assert by_day["2024-02-29"]["bars"].value == len(settings().market.daily_universe)
    assert "BTCUSDT" in by_day["2024-02-29"]["by symbol"].value
    pictures = [day for day, shown in by_day.items() if "closes" in shown]
    assert pictures == [HISTORY_DAYS[1]]


def test_synthetic_rows_say_so_on_every_dataset(made):
    for asset in ("instruments", "bars_1m", "bars_1d", "um_bars_5m", "um_funding"):
        shown = metadata(made.results[asset], asset)
        assert shown["source"].startswith("synthetic market")
        assert "No price here ever traded" in shown["SYNTHETIC"]


def test_hours_are_the_minutes_they_were_made_of(made):
    minutes = made.lake.scan_bars(Market.SPOT, Interval.M1, symbols=["BTCUSDT"]).collect()
    hours = made.lake.scan_bars(Market.SPOT, Interval.H1, symbols=["BTCUSDT"]).collect()
    assert (len(minutes), len(hours)) == (3 * 1440, 3 * 24)
    assert hours["close"][-1] == minutes["close"][-1]
    assert hours["volume"].sum() == pytest.approx(minutes["volume"].sum())


def test_the_book_keeps_its_mandate_in_the_lake(made):
    book = made.lake.sql("SELECT * FROM weights")
    assert book["open_time_ms"].n_unique() == 2
    sums = book.group_by("open_time_ms").agg(pl.sum("weight"), pl.max("weight").alias("largest"))
    assert (sums["weight"] <= 1 + 1e-6).all()
    assert (sums["largest"] <= settings().risk.max_weight + 1e-6).all()
    verdicts = {e.check_name: e.passed for e in made.results["weights"].get_asset_check_evaluations()}
    assert verdicts["weights_within_mandate"] and verdicts["cvar_within_cap"]


def test_the_risk_tables_answer_sql_by_day_and_agree_with_the_book(made):
    answered = made.lake.sql(
        "SELECT open_time_ms, cvar FROM risk_measures WHERE engine = 'Historical' AND alpha = 0.95"
    )
    assert answered["open_time_ms"].n_unique() == 2
    cvar = made.lake.sql("SELECT open_time_ms, sum(cvar_component) AS cvar FROM weights GROUP BY 1")
    both = answered.join(cvar, on="open_time_ms")
    assert (both["cvar"] - both["cvar_right"]).abs().max() < 1e-9


def test_reports_are_pages_that_exist(made):
    for day in BOOK_DAYS:
        assert (made.home / "reports" / "risk" / f"risk-{day}.html").stat().st_size > 10_000
    sheet = metadata(made.results["tear_sheet"], "tear_sheet")["tear sheet"]
    assert Path(sheet).is_file()


def test_roll_ups_sum_the_reports_that_were_made(made):
    shown = metadata(made.results["risk_roll_ups"], "risk_roll_ups")
    assert shown["weekly days"] == "2024-06-24 to 2024-06-30"
    assert (shown["weekly days without a report"], shown["monthly days without a report"]) == (5, 28)
    for period in ("weekly", "monthly"):
        assert Path(shown[f"{period} report"]).with_suffix(".pdf").read_bytes().startswith(b"%PDF")


def test_a_risk_tables_page_shows_the_figures_and_names_its_columns(made):
    measures = metadata(made.results["risk_measures"], "risk_measures")
    cvar = made.lake.sql(
        "SELECT cvar FROM risk_measures WHERE engine = 'Historical' AND alpha = 0.975 ORDER BY open_time_ms"
    )["cvar"][-1]
    assert measures["Historical CVaR 97.5, %"] == pytest.approx(100 * cvar, abs=1e-5)
    assert f"{100 * cvar:.2f}" in measures["next day, %"]
    specs = {spec.key.to_user_string(): spec for one in defs.assets for spec in one.specs}
    for name in RISK_TABLES:
        columns = specs[name].metadata["dagster/column_schema"].columns
        held = made.lake.sql(f"SELECT * FROM {name} LIMIT 1").columns
        assert {column.name for column in columns} == set(held) - {"month"}


def test_a_sweep_has_one_row_per_combination(made):
    shown = metadata(made.results["sweep"], "sweep")
    assert shown["combinations"] == 4
    assert set(shown["best parameters"]) == {"fast", "slow"}
    assert pl.read_parquet(shown["all rows"]).height == 4


def test_luck_is_judged_by_every_gate_and_every_trial_is_counted(made):
    result = made.results["overfitting"]
    shown = metadata(result, "overfitting")
    assert shown["trials counted"] == 4
    (check,) = result.get_asset_check_evaluations()
    assert check.passed == (shown["gates passed"] == 7)
    assert check.description == shown["verdict"]
    assert Path(shown["report"]).is_file()


def test_a_walk_forward_trades_only_what_it_had_not_seen(made):
    shown = metadata(made.results["walk_forward"], "walk_forward")
    assert shown["refits"] == 4
    assert "2023-12-20 to 2024-03-19" in shown["steps"]


def test_the_inventory_knows_yesterday_is_missing(made):
    result = made.results["lake_coverage"]
    assert (
        "| spot_bars_1m | 2 | 8,640 | 2024-06-28 | 2024-06-30 |"
        in metadata(result, "lake_coverage")["inventory"]
    )
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed
    assert "spot_bars_1d" in check.metadata["failures"].value


def test_making_a_day_again_changes_nothing(branch):
    before = {i: branch.lake.scan_bars(Market.SPOT, i).collect() for i in (Interval.M1, Interval.H1)}
    day = (MINUTE_DAYS[1], MINUTE_DAYS[1])
    again = branch.make("bars_1m", "bars_1h", days=day)
    assert again.success
    for interval, rows in before.items():
        assert branch.lake.scan_bars(Market.SPOT, interval).collect().equals(rows)
    assert metadata(again, "bars_1m")["fetch"].splitlines()[-1].startswith("| 0 | 2 |")


def test_finished_months_become_one_file_and_keep_their_rows(branch):
    branch.make("bars_1m", days=("2024-06-27", "2024-06-27"))
    before = branch.lake.scan_bars(Market.SPOT, Interval.M1).collect()
    assert len(branch.lake.tables.files("spot_bars_1m")) > 1
    shown = metadata(branch.make("compacted_months"), "compacted_months")
    assert "| spot_bars_1m | 2024-06 |" in shown["months"]
    assert len(branch.lake.tables.files("spot_bars_1m")) == 1
    assert branch.lake.scan_bars(Market.SPOT, Interval.M1).collect().equals(before)


def test_the_verdict_goes_on_record_for_promotion_and_onto_the_tear_sheet(made):
    trend = load_strategy("trend")
    shown = metadata(made.results["overfitting"], "overfitting")
    assert shown["parameters judged"] == {"fast": 2.0, "slow": 16.0, "below": 0.0}
    candidate = candidate_of(
        trend,
        trend.params(shown["parameters judged"]),
        market="spot",
        symbol="BTCUSDT",
        interval="1d",
        settings=settings(),
    )
    have = settings()
    ladder = Ladder(open_database(made.database), have.control, have.dossiers_dir)
    pack = ladder.pack(trend, candidate)
    assert pack.verdict.summary == shown["verdict"] and pack.complete
    assert candidate.digest[:12] in shown["on record for"]
    sheet = metadata(made.results["tear_sheet"], "tear_sheet")
    assert sheet["verdict"] == shown["verdict"]
    assert "| Verdict |" in sheet["sections"] and Path(sheet["PDF"]).read_bytes().startswith(b"%PDF")


def test_a_tear_sheet_of_other_parameters_says_which_were_examined(made):
    other = {"interval": "1d", "params": {"fast": 3, "slow": 16}}
    assert made.make("backtest", strategy="trend", config=other).success
    shown = metadata(made.make("tear_sheet", strategy="trend"), "tear_sheet")
    assert shown["verdict"].startswith("these parameters were never examined")
    assert "examined were below 0, fast 2, slow 16 on BTCUSDT 1d" in shown["verdict"]
    assert "Examined were below 0, fast 2, slow 16" in Path(shown["tear sheet"]).read_text()


@pytest.mark.parametrize(
    ("strategy", "config"),
    [
        ("cross-momentum", {"params": {"lookback": 10, "hold": 3}}),
        ("grid", {"symbols": "BTCUSDT", "interval": "1m"}),
        ("pairs", {"params": {"window": 40}}),
    ],
)
def test_every_kind_materialises_on_what_suits_it(made, strategy, config):
    result = made.make("backtest", strategy=strategy, config=config)
    assert result.success
    shown = metadata(result, "backtest")
    assert shown["kind"] == load_strategy(strategy).kind
    assert "data:image/png" in shown["equity"] and "FILLED" in shown["orders by state"]
    assert shown["loss limits"] == "not passed" or "PT-09" in shown["loss limits"]
    assert ("um_funding" in shown["data version"]) == (strategy == "pairs")
    assert ("Sharpe while it traded" in shown) == (shown["trading stopped"] != "no")


def test_a_partition_of_another_version_is_refused():
    with pytest.raises(StrategyError, match="Reload definitions"):
        strategy_of_partition("trend@000000000000")


def test_a_tear_sheet_needs_a_backtest(firm):
    words = failure(firm.make("tear_sheet", strategy="regime"), "tear_sheet")
    assert "materialise `backtest` of the same partition first" in words
