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
        Shape (T,): position held over each bar as a fraction of equity, decided before the bar.
    returns
        Shape (T,): the instrument's return over the same bars.

    Raises
    ------
    RiskError
        For fewer than 30 bars, a missing value, unequal lengths, or a position that never changes (then
        there is no timing to test).
    """
    held = checked_returns(positions, at_least=30, purpose="the permutation test")
    moved = checked_returns(returns, at_least=30, purpose="the permutation test")
    if held.shape != moved.shape:
        raise RiskError(
            "positions and returns must cover the same bars", where=f"{held.size} and {moved.size}"
        )
    if np.ptp(held) == 0.0:
        raise RiskError(
            "the position never changes, so there is no timing to test",
            where=f"position {held[0]:g}",
            remedy="test over a window in which the strategy trades",
        )
    earned = slid_earnings(held, moved)
    slack = 1e-9 * float(np.abs(held).max()) * float(np.abs(moved).sum())
    return SignalTest(
        p_value=float((earned >= earned[0] - slack).mean()),
        earned=float(held @ moved),
        by_exposure=float(held.mean() * moved.sum()),
        slides=held.shape[0],
    )


def slid_earnings(positions: Floats, returns: Floats) -> Floats:
    """Sum over t of positions[(t - s) mod T] x returns[t] for every slide s, shape (T,)."""
    product = np.conj(np.fft.rfft(positions)) * np.fft.rfft(returns)
    return np.fft.irfft(product, positions.shape[0])
