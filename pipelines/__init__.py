"""When and how the assets are made: definitions, jobs, schedules, sensors, resources."""

import warnings

# Meant: a job that holds ingestion (31 days a run) and transforms (any number) goes by the smaller one.
warnings.filterwarnings("ignore", message="Asset job .* materializes assets with varying BackfillPolicies")
