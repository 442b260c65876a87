"""Everything Dagster loads: `dagster dev -w workspace.yaml` starts here."""

from __future__ import annotations

import dagster as dg

from assets import honesty, market, portfolio, quality, research, risk, risk_tables, scenarios
from pipelines.jobs import JOBS
from pipelines.resources import resources
from pipelines.schedules import SCHEDULES
from pipelines.sensors import SENSORS
from qtm.settings import settings

defs = dg.Definitions(
    assets=dg.load_assets_from_modules(
        [market, quality, research, honesty, scenarios, portfolio, risk, risk_tables]
    ),
    jobs=JOBS,
    schedules=SCHEDULES,
    sensors=SENSORS,
    resources=resources(settings()),
    # A run is one process: a step of its own would import everything again (about 1.3 s each).
    executor=dg.in_process_executor,
)
