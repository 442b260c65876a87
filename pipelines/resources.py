"""The resources of a deployment, as the settings say."""

from __future__ import annotations

import dagster as dg

from assets.resources import MarketHistory, MarketLake, OperationalStore, ReportFolder
from qtm.settings import Settings


def resources(config: Settings) -> dict[str, dg.ConfigurableResource]:  # type: ignore[type-arg]
    """`lake`, `history`, `store` and `reports` for these settings."""
    return {
        "lake": MarketLake(uri=config.lake_uri),
        "history": MarketHistory(archive=config.market.archive, synthetic_seed=config.market.synthetic_seed),
        "store": OperationalStore(),
        "reports": ReportFolder(folder=str(config.reports_dir)),
    }
