"""The whole asset graph as one table, and what loading it costs."""

from __future__ import annotations

import subprocess
import sys

import dagster as dg
import pytest

from pipelines.definitions import defs

GRAPH = defs.resolve_asset_graph()
# asset          group      cut by    made from (or the pool it fetches in)
EXPECTED = """
backtest         research   strategy  bars_1d bars_1h bars_1m instruments um_bars_5m um_funding
bars_1d          market     day       binance
bars_1h          market     day       bars_1m
bars_1m          market     day       binance
compacted_months quality    -         bars_1d bars_1h bars_1m um_bars_5m um_funding
instruments      market     -         binance
lake_coverage    quality    -         bars_1d bars_1h bars_1m um_bars_5m um_funding
live_trading     risk       -
model_backtests  risk       day       weights
overfitting      research   strategy  bars_1d bars_1h bars_1m instruments um_bars_5m um_funding
risk_measures    risk       day       weights
risk_report      risk       day       weights
risk_roll_ups    risk       -         risk_report
scenarios        portfolio  day       bars_1d
stress           risk       day       weights
sweep            research   strategy  bars_1d bars_1h bars_1m instruments um_bars_5m um_funding
tear_sheet       research   strategy  backtest
um_bars_5m       market     day       binance
um_funding       market     day       binance
walk_forward     research   strategy  bars_1d bars_1h bars_1m instruments um_bars_5m um_funding
weights          portfolio  day       scenarios
"""


def cut(asset):
    if asset.partitions_def is None:
        return "-"
    return "day" if isinstance(asset.partitions_def, dg.TimeWindowPartitionsDefinition) else "strategy"


def test_the_graph_is_the_one_agreed_on():
    rows = []
    for key in sorted(GRAPH.materializable_asset_keys):
        asset = GRAPH.get(key)
        upstream = sorted(parent.to_user_string() for parent in asset.parent_keys) or sorted(
            asset.pools or []
        )
        rows.append([key.to_user_string(), asset.group_name, cut(asset), *upstream])
    expected = [line.replace("", "").split() for line in EXPECTED.strip().splitlines()]
    assert rows == expected


@pytest.mark.parametrize("key", sorted(GRAPH.materializable_asset_keys), ids=str)
def test_every_asset_is_owned_and_explained(key):
    asset = GRAPH.get(key)
    assert asset.description and len(asset.description) > 60
    assert [owner for owner in asset.owners if owner.startswith("team:")]
    assert asset.kinds


def test_quality_checks_are_blocking_where_the_catalogue_says_so():
    blocking = {
        (spec.asset_key.to_user_string(), spec.name)
        for asset in defs.assets or []
        for spec in asset.check_specs
        if spec.blocking
    }
    for table in ("bars_1m", "bars_1h", "bars_1d", "um_bars_5m"):
        assert (table, "ohlc_consistent") in blocking
        assert (table, "no_jump") not in blocking
    assert ("um_funding", "no_missing_funding") in blocking
    assert ("weights", "cvar_within_cap") in blocking


def test_ingestion_backfills_a_month_a_run_and_transforms_any_range():
    def days_a_run(name):
        return GRAPH.get(dg.AssetKey(name)).backfill_policy.max_partitions_per_run

    assert [days_a_run(name) for name in ("bars_1m", "bars_1d", "um_bars_5m", "um_funding")] == [31] * 4
    assert [days_a_run(name) for name in ("bars_1h", "weights", "risk_report")] == [None] * 3


def test_fetches_try_again_with_growing_jittered_pauses():
    policy = defs.resolve_assets_def("bars_1m").op.retry_policy
    assert policy.max_retries == 3
    assert (policy.backoff, policy.jitter) == (dg.Backoff.EXPONENTIAL, dg.Jitter.PLUS_MINUS)


def test_loading_the_definitions_imports_nothing_heavy_and_warns_of_nothing():
    heavy = ("numba", "great_expectations", "cvxpy", "matplotlib", "plotly", "ccxt", "scipy", "pandas")
    program = (
        "import warnings; warnings.simplefilter('error', DeprecationWarning, append=True)\n"
        "import sys, pipelines.definitions as d\n"
        "d.defs.resolve_all_job_defs()\n"
        f"print(*[name for name in {heavy!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
    assert done.stderr == ""
