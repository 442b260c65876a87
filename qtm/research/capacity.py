"""How much capital a strategy bears, from names and dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from qtm.backtest.capacity import USUAL_IMPACT, USUAL_PARTICIPATION, Capacity, Progress, capacity_of
from qtm.research.gathering import gather
from qtm.research.request import Options
from qtm.strategies.registry import Strategy


def capacity(
    strategy: str | Strategy,
    symbols: str | Sequence[str],
    interval: str = "1m",
    *,
    params: Mapping[str, Any] | None = None,
    most: float = 1e9,
    impact: float = USUAL_IMPACT,
    participation: float = USUAL_PARTICIPATION,
    on_progress: Progress | None = None,
    **options: Unpack[Options],
) -> Capacity:
    """Run a strategy with more and more capital, from `cash` to `most`, where its trades move the price.

    The gate is left out: what the market bears is asked, not what the firm allows. Nothing is chosen by it,
    so nothing is counted in the trial registry. Strategy, symbols and options are those of
    `qtm.research.backtest`; what is returned and raised is that of `qtm.backtest.capacity.capacity_of`.
    """
    options["gated"] = False
    inputs = gather(strategy, symbols, interval, **options)
    return capacity_of(
        inputs.strategy,
        inputs.strategy.params(params or {}),
        inputs.conditions,
        most=most,
        impact=impact,
        participation=participation,
        on_progress=on_progress,
    )
