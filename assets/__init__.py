"""What exists: the data and results Dagster can make again, one module per group.

`pipelines` says when and how they are made; the domain they call (`qtm`) knows nothing of either.
"""

import warnings

from dagster import BetaWarning

# Backfill policies have been beta for years and are meant; one line per asset would hide real warnings.
warnings.filterwarnings("ignore", message="Parameter `backfill_policy`", category=BetaWarning)
