"""Whether the signal knows when to be in the market, or would have earned as much at any other time.

The positions held are slid along the returns by every possible number of bars (wrapping around). Each slide
keeps the dependence inside the returns, the dependence inside the positions, the average exposure and the
turnover; only the timing is destroyed. The share of slides that earn at least as much is the p-value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qtm.backtest.overfitting.observations import Floats, checked_returns
from qtm.errors import RiskError


@dataclass(frozen=True, slots=True)
class SignalTest:
    """The outcome of sliding the signal.

    Attributes
    ----------
    p_value
        Share of slides, the actual one included, that earn at least as much.
    earned
        Sum of position x return with the actual timing, before costs (costs do not depend on timing).
    by_exposure
        What the same average position earns without timing.
    slides
        Number of slides compared, the actual one included.
    """

    p_value: float
    earned: float
    by_exposure: float
    slides: int

    @property
    def by_timing(self) -> float:
        """What timing added."""
        return self.earned - self.by_exposure


def signal_permutation_test(positions: npt.ArrayLike, returns: npt.ArrayLike) -> SignalTest:
    """Compare the signal's timing with every other; exact, and O(T log T) by fast Fourier transform.

    Parameters
    ----------
    positions
        Shape (T,), or (T, N) for N instruments whose signals slide together: position held over each bar as
        a fraction of equity, decided before the bar.
    returns
        The same shape: the instruments' returns over the same bars.

    Raises
    ------
    RiskError
        For fewer than 30 bars, a missing value, unequal shapes, or positions that never change (then there
        is no timing to test).
    """
    held, moved = (np.asarray(given, dtype=np.float64) for given in (positions, returns))
    if held.shape != moved.shape:
        raise RiskError(
            "positions and returns must cover the same bars", where=f"{held.shape}, {moved.shape}"
        )
    held, moved = (np.atleast_2d(given.T) for given in (held, moved))
    for row in (*held, *moved):
        checked_returns(row, at_least=30, purpose="the permutation test")
    if not np.ptp(held, axis=1).any():
        raise RiskError(
            "the position never changes, so there is no timing to test",
            where=", ".join(f"position {row[0]:g}" for row in held[:3]),
            remedy="test over a window in which the strategy trades",
        )
    earned = sum((slid_earnings(*pair) for pair in zip(held, moved, strict=True)), np.zeros(held.shape[1]))
    slack = 1e-9 * float((np.abs(held).max(axis=1) * np.abs(moved).sum(axis=1)).sum())
    return SignalTest(
        p_value=float((earned >= earned[0] - slack).mean()),
        earned=float((held * moved).sum()),
        by_exposure=float((held.mean(axis=1) * moved.sum(axis=1)).sum()),
        slides=held.shape[1],
    )


def slid_earnings(positions: Floats, returns: Floats) -> Floats:
    """Sum over t of positions[(t - s) mod T] x returns[t] for every slide s, shape (T,)."""
    product = np.conj(np.fft.rfft(positions)) * np.fft.rfft(returns)
    return np.fft.irfft(product, positions.shape[0])
