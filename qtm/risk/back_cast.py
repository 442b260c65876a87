"""Back-cast: the returns today's weights would have had, for whatever needs a history. Not a track record."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qtm.errors import RiskError
from qtm.risk.measures import Floats

LEAST_COVERED = 0.9
"""Share of the book's gross weight that must have prices for a day to count."""


def back_cast(
    closes: Floats, weights: Floats, *, least_covered: float = LEAST_COVERED
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Returns of weights rebalanced every bar, over the bars on which enough of the book had prices.

    The part without prices is taken to have moved like the part that had them.

    Parameters
    ----------
    closes
        Shape (D, N), NaN where there is no bar.
    weights
        Shape (N,), fractions of capital.

    Returns
    -------
    tuple
        Returns of shape (K,), and the row of `closes` each of them ends at.

    Raises
    ------
    RiskError
        If shapes disagree, or no bar covers enough of the book.
    """
    if closes.ndim != 2 or weights.shape != (closes.shape[1],):
        raise RiskError(
            "weights and closes do not belong together", where=f"shapes {closes.shape}, {weights.shape}"
        )
    returns = closes[1:] / closes[:-1] - 1.0
    known = np.isfinite(returns)
    gross = float(np.abs(weights).sum())
    if gross == 0.0:
        return np.zeros(returns.shape[0]), np.arange(1, closes.shape[0])
    covered = known @ np.abs(weights) / gross
    enough = covered >= least_covered
    if not enough.any():
        raise RiskError(
            f"no bar has prices for {least_covered:.0%} of the book",
            where=f"{closes.shape[0]} bars, {closes.shape[1]} symbols",
            remedy="ingest more history or drop the newest listings",
        )
    moves = np.where(known, returns, 0.0) @ weights
    path: Floats = moves[enough] / covered[enough]
    return path, np.flatnonzero(enough) + 1
