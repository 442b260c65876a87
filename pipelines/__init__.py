"""When and how the assets are made: definitions, jobs, schedules, sensors, resources."""

import warnings

from dagster import BetaWarning

# Meant: a job that holds ingestion (31 days a run) and transforms (any number) goes by the smaller one.
warnings.filterwarnings("ignore", message="Asset job .* materializes assets with varying BackfillPolicies")
# Raised by Dagster's own reading of `group:"market"`.
warnings.filterwarnings("ignore", message="Parameter `include_sources`", category=BetaWarning)
