"""A small firm: every asset made for real on a synthetic market, once per session."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.partitions import STRATEGIES, strategy_of
from assets.resources import MarketHistory, MarketLake, OperationalStore, ReportFolder
from pipelines.backfill import RANGE_END, RANGE_START
from pipelines.definitions import defs
from qtm.market.lake import Lake

UNREACHABLE = "http://127.0.0.1:9"
"""Nothing listens there: the source falls back to the synthetic market at once."""

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


def partition_of(strategy: str) -> str:
    """The partition of a strategy as it is today."""
    return next(key for key in STRATEGIES.get_partition_keys() if strategy_of(key)[0] == strategy)


@dataclass
class Firm:
    """Assets and their resources in one folder, with one instance that forgets."""

    home: Path
    instance: dg.DagsterInstance
    archive: str = UNREACHABLE
    results: dict[str, dg.ExecuteInProcessResult] = field(default_factory=dict)

    @property
    def lake(self) -> Lake:
        return Lake(str(self.home / "lake"))

    @property
    def database(self) -> str:
        return f"sqlite:///{self.home / 'qtm.db'}"

    @property
    def resources(self) -> dict[str, Any]:
        return {
            "lake": MarketLake(uri=str(self.home / "lake")),
            "history": MarketHistory(archive=self.archive, synthetic_seed=7),
            "store": OperationalStore(url=self.database),
            "reports": ReportFolder(folder=str(self.home / "reports")),
        }

    def make(
        self,
        *assets: str,
        days: tuple[str, str] | None = None,
        strategy: str | None = None,
        config: dict[str, Any] | None = None,
    ) -> dg.ExecuteInProcessResult:
        """Materialise assets together in one run; a failure is returned, not raised."""
        tags = {RANGE_START: days[0], RANGE_END: days[1]} if days and days[0] != days[1] else {}
        ops = {"ops": {assets[0]: {"config": config}}} if config else {}
        return dg.materialize(
            list(defs.assets or []),
            selection=list(assets),
            instance=self.instance,
            resources=self.resources,
            partition_key=partition_of(strategy) if strategy else (days[0] if days and not tags else None),
            tags=tags,
            run_config={**QUIET, **ops},
            raise_on_error=False,
        )


def failure(result: dg.ExecuteInProcessResult, step: str) -> str:
    """The words a failed step ended with."""
    data = result.failure_data_for_node(step)
    assert data is not None and data.error is not None
    cause = data.error.cause
    return data.error.message + (cause.message if cause else "")


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """Metadata of the newest partition an asset made."""
    made = [
        event.materialization
        for event in result.get_asset_materialization_events()
        if event.asset_key == dg.AssetKey(asset)
    ]
    return {name: value.value for name, value in made[-1].metadata.items()}


@pytest.fixture
def firm(tmp_path):
    with dg.DagsterInstance.ephemeral() as instance:
        yield Firm(tmp_path, instance)


GRID = {"fast": [5, 10], "slow": [30, 60]}
DAILY_GRID = {"fast": [2, 4], "slow": [8, 16]}
JUDGED = {"params": {"fast": 2, "slow": 16}}
WALK = {"train_days": 90, "test_days": 30}
MINUTE_DAYS = ("2024-06-28", "2024-06-30")
HISTORY_DAYS = ("2023-12-20", "2024-06-30")
RISK_TABLES = ("risk_measures", "stress", "model_backtests")
BOOK_DAYS = ("2024-06-29", "2024-06-30")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """The whole graph materialised, upstream first; keep it read-only."""
    with dg.DagsterInstance.ephemeral() as instance:
        firm = Firm(tmp_path_factory.mktemp("firm"), instance)
        minutes, daily = {"interval": "1m"}, {"interval": "1d"}
        plan: list[tuple[tuple[str, ...], dict[str, Any]]] = [
            (("instruments",), {}),
            (("bars_1m", "bars_1h", "um_bars_5m", "um_funding"), {"days": MINUTE_DAYS}),
            (("bars_1d",), {"days": HISTORY_DAYS}),
            (("scenarios", "weights", *RISK_TABLES, "risk_report"), {"days": BOOK_DAYS}),
            (("risk_roll_ups",), {}),
            (("lake_coverage",), {}),
            (("sweep",), {"strategy": "trend", "config": {**minutes, "grid": GRID}}),
            (("overfitting",), {"strategy": "trend", "config": {**daily, "grid": DAILY_GRID, **JUDGED}}),
            (("backtest",), {"strategy": "trend", "config": {**daily, **JUDGED}}),
            (("tear_sheet",), {"strategy": "trend"}),
            (("walk_forward",), {"strategy": "trend", "config": {**daily, "grid": DAILY_GRID, **WALK}}),
            (("live_trading",), {}),
            (("compacted_months",), {}),
        ]
        for assets, how in plan:
            result = firm.make(*assets, **how)
            for asset in assets:
                firm.results[asset] = result
        yield firm


@pytest.fixture
def branch(made, firm):
    """A firm that starts from a copy of the session's lake and may change it."""
    shutil.copytree(made.home, firm.home, dirs_exist_ok=True)
    return firm
