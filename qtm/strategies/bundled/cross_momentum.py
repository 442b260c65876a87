"""Cross-sectional momentum: hold the strongest of many symbols, as long as they rise at all.

Jegadeesh and Titman, "Returns to Buying Winners and Selling Losers", 1993; the newest bars are left out of
the ranking, as there, because short-term winners fall back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.strategies.allocator_contract import Floats, Window, allocator


class Params(NamedTuple):
    """Bars ranked over and left out, symbols held, bars between rebalances, least change traded."""

    lookback: int = 90
    skip: int = 7
    hold: int = 5
    every: int = 7
    drift: float = 0.02


@allocator(
    name="cross-momentum",
    summary="Equal parts of the `hold` symbols that rose most over `lookback` bars, or cash.",
    params=Params,
    bounds={"lookback": (2, 2_000), "skip": (0, 500), "hold": (1, 500), "every": (1, 2_000), "drift": (0, 1)},
    window=lambda params: params.lookback + params.skip,
    every=lambda params: params.every,
    drift=lambda params: params.drift,
)
def strategy(params: Any, window: Window) -> Floats:
    """Rank what can be traded now and has a whole history; ties go to the earlier name."""
    ranked_to = window.closes.shape[0] - 1 - params.skip
    risen = window.closes[ranked_to] / window.closes[0] - 1.0
    able = window.complete & window.tradable
    strength = np.where(able, risen, -np.inf)
    chosen = np.argsort(-strength, kind="stable")[: params.hold]
    weights = np.zeros(len(window.symbols))
    weights[chosen[strength[chosen] > 0.0]] = 1.0 / params.hold
    return weights
