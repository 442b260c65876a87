"""Scenario sets the scenario tests share."""

import numpy as np

from qtm.portfolio.scenarios.scenario_set import Provenance, ScenarioSet

DAY_MS = 86_400_000


def scenario_set(returns: np.ndarray, first: int = 0) -> ScenarioSet:
    """Daily historical scenarios over `returns` (T, N), the first of day number `first`."""
    times = (first + np.arange(returns.shape[0])) * DAY_MS
    return ScenarioSet(
        tuple(f"S{column}" for column in range(returns.shape[1])),
        times,
        returns,
        provenance=Provenance((int(times[0]), int(times[-1])), lake="lake", lake_version=7),
    )
