"""Block bootstrap: history redrawn in runs of days, for horizons over which days follow one another.

A single redrawn day has the historical distribution; what blocks keep is the order of days inside a run, and
with it the volatility clusters that make ten-day losses worse than ten independent days.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from qtm.errors import RiskError
from qtm.portfolio.scenarios.scenario_set import ScenarioSet
from qtm.risk.measures import Floats


class Blocks(StrEnum):
    """How blocks are drawn."""

    STATIONARY = "stationary"
    """Geometric lengths (Politis and Romano 1994)."""
    CIRCULAR = "circular"
    """One fixed length, wrapped around the end (Politis and Romano 1992)."""


def block_bootstrap(
    scenarios: ScenarioSet,
    *,
    draws: int = 5000,
    horizon: int = 1,
    block: float | None = None,
    blocks: Blocks = Blocks.STATIONARY,
    seed: int = 0,
) -> ScenarioSet:
    """`draws` joint returns compounded over `horizon` rows of redrawn history.

    Parameters
    ----------
    scenarios
        Historical scenarios, equally likely and in time order.
    draws
        Scenarios to make.
    horizon
        Rows compounded into one scenario.
    block
        Mean block length; by default the estimate of Politis and White (2004, corrected 2009) for the size of
        the equal-weighted return, whose clusters are what a block has to keep.
    blocks
        Stationary or circular.
    seed
        Of the draw.

    Raises
    ------
    RiskError
        If the scenarios are weighted, or a length is out of range.
    """
    count = scenarios.returns.shape[0]
    if scenarios.probabilities is not None:
        raise RiskError("a bootstrap redraws equally likely days", where=scenarios.model)
    if draws < 1 or not 1 <= horizon <= count:
        raise RiskError(
            "draws and horizon must be positive and the horizon fit the history",
            where=f"{draws} draws over {horizon} of {count} rows",
        )
    length = _block_length(scenarios.returns, blocks) if block is None else block
    if not 1.0 <= length <= count:
        raise RiskError("a block must be between one row and the history", where=f"{length:g} of {count}")
    rows = _redrawn(count, length, draws, horizon, blocks, seed)
    returns = scenarios.returns[rows[:, 0]]
    for step in range(1, horizon):
        returns = (1.0 + returns) * (1.0 + scenarios.returns[rows[:, step]]) - 1.0
    provenance = replace(
        scenarios.provenance,
        seed=seed,
        parameters={
            **scenarios.provenance.parameters,
            "draws": float(draws),
            "horizon": float(horizon),
            "block": length,
            "blocks": blocks.value,
        },
    )
    return replace(
        scenarios,
        open_time_ms=scenarios.open_time_ms[rows[:, -1]],
        returns=returns,
        model=f"{blocks.value} bootstrap, blocks of {length:.1f}, horizon {horizon}",
        provenance=provenance,
    )


def _block_length(returns: Floats, blocks: Blocks) -> float:
    from arch.bootstrap import optimal_block_length  # costs most of a second to import

    sizes = np.abs(returns.mean(axis=1))
    if sizes.min() == sizes.max():
        return 1.0
    estimate = float(optimal_block_length(sizes)[blocks.value].iloc[0])
    return float(min(max(estimate, 1.0), returns.shape[0]))


def _redrawn(
    count: int, length: float, draws: int, horizon: int, blocks: Blocks, seed: int
) -> npt.NDArray[np.int64]:
    """Rows of each scenario, shape (draws, horizon): runs that do not overlap in the redrawn paths."""
    from arch.bootstrap import CircularBlockBootstrap, StationaryBootstrap

    kind = StationaryBootstrap if blocks is Blocks.STATIONARY else CircularBlockBootstrap
    whole = max(round(length), 1)
    redraw = kind(whole, np.arange(count), seed=np.random.default_rng(seed))
    runs = count // horizon
    paths = [
        np.asarray(positional[0], dtype=np.int64)[: runs * horizon].reshape(runs, horizon)
        for positional, _ in redraw.bootstrap(-(-draws // runs))
    ]
    return np.concatenate(paths)[:draws]
