"""Reverse stress: the smallest market move that breaches a limit, and the least unlikely way to a loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from qtm.errors import RiskError
from qtm.risk.composite_stress import StressBook
from qtm.risk.measures import Floats


@dataclass(frozen=True, slots=True)
class Breach:
    """The smallest move of the market that breaches one limit; None when no move of it can."""

    limit: str
    headroom: float
    move: float | None
    move_without_hedges: float | None


def smallest_breaches(
    book: StressBook, headroom: Mapping[str, float], betas: Mapping[str, float] | None = None
) -> tuple[Breach, ...]:
    """Reverse stress: how far the market must move before each limit breaks, the nearest limit first.

    Parameters
    ----------
    headroom
        Loss that each limit still allows, in the unit of the book; zero or less is breached already.
    betas
        Sensitivity of each symbol to the market move; without them all move alike. A symbol that is missing
        raises, because its move would be guessed.

    Raises
    ------
    RiskError
        If a held symbol has no beta or a headroom is not a number.
    """
    missing = [h.symbol for h in book.holdings if betas is not None and h.symbol not in betas]
    if missing:
        raise RiskError("a held symbol has no beta", where=", ".join(missing), remedy="measure it first")
    if any(math.isnan(left) for left in headroom.values()):
        raise RiskError("the headroom of a limit is unknown", where=", ".join(headroom))
    slopes = [(h, h.value * (1.0 if betas is None else betas[h.symbol])) for h in book.holdings]
    whole = sum(slope for _, slope in slopes)
    falling = sum(slope for holding, slope in slopes if slope > 0.0 or not holding.perpetual)
    rising = sum(slope for holding, slope in slopes if slope < 0.0 or not holding.perpetual)
    breaches = [
        Breach(
            limit,
            left,
            _move(left, whole),
            _nearer(_move(left, max(falling, 0.0)), _move(left, min(rising, 0.0))),
        )
        for limit, left in headroom.items()
    ]
    return tuple(sorted(breaches, key=lambda breach: math.inf if breach.move is None else abs(breach.move)))


def _move(headroom: float, slope: float) -> float | None:
    """Move m with -slope m = headroom; None when the book cannot lose that much."""
    if headroom <= 0.0:
        return 0.0
    if slope == 0.0 or headroom / slope > 1.0:
        return None
    return -headroom / slope


def _nearer(one: float | None, other: float | None) -> float | None:
    moves = [move for move in (one, other) if move is not None]
    return min(moves, key=abs) if moves else None


def deviations_to_lose(loss: float, weights: Floats, covariance: Floats) -> float:
    """Standard deviations of the least unlikely move that costs `loss` of capital; NaN without risk.

    The move lies along the covariance of the symbols' returns, shape (N, N).
    """
    deviation = math.sqrt(max(float(weights @ covariance @ weights), 0.0))
    return loss / deviation if deviation > 0.0 else math.nan
