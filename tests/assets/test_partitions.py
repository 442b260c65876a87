"""How runs are cut into days and strategies."""

import dagster as dg

from assets.partitions import DAILY, DAY_MS, STRATEGIES, run_window, window_of_days
from qtm.settings import settings
from qtm.strategies.registry import list_strategies


def test_strategy_partitions_are_the_registry_though_it_is_never_imported():
    assert STRATEGIES.get_partition_keys() == [f"{one.name}@{one.version}" for one in list_strategies()]


def test_days_start_with_the_settings_history():
    assert DAILY.get_first_partition_key() == settings().market.history_start.isoformat()


def test_a_window_is_half_open_in_utc_across_a_leap_day():
    window = window_of_days("2024-02-28", "2024-03-01")
    assert window.start_ms == 1709078400000
    assert window.days == 3
    assert [day.first for day in window.each()] == ["2024-02-28", "2024-02-29", "2024-03-01"]
    assert window.end_ms == window.start_ms + 3 * DAY_MS
    assert str(window) == "2024-02-28 to 2024-03-01 (3 days)"


def test_a_backfill_range_reaches_the_step_as_one_window():
    seen = []

    @dg.asset(partitions_def=DAILY, backfill_policy=dg.BackfillPolicy.single_run())
    def probe(context: dg.AssetExecutionContext) -> None:
        seen.append(str(run_window(context)))

    tags = {
        "dagster/asset_partition_range_start": "2024-01-30",
        "dagster/asset_partition_range_end": "2024-02-02",
    }
    with dg.DagsterInstance.ephemeral() as instance:
        dg.materialize([probe], tags=tags, instance=instance)
        dg.materialize([probe], partition_key="2024-01-30", instance=instance)
    assert seen == ["2024-01-30 to 2024-02-02 (4 days)", "2024-01-30"]
