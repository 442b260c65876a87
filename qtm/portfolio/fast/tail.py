"""CVaR, a subgradient and the VaR of a portfolio over some or all scenarios."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.risk.measures import Floats, tail_count


class TailPoint(NamedTuple):
    """CVaR at a portfolio, its subgradient (N,), the VaR, and every scenario's loss."""

    value: float
    gradient: Floats
    var: float
    losses: Floats


@dataclass(frozen=True, slots=True)
class TailCount:
    """The fractional tail of T scenarios: `whole` scenarios and a `share` of the next; `size` is the sum."""

    whole: int
    share: float

    @classmethod
    def of(cls, scenarios: int, alpha: float) -> TailCount:
        """The tail of `scenarios` equally likely losses at confidence `alpha`."""
        return cls(*tail_count(scenarios, alpha))

    @property
    def size(self) -> float:
        """(1 - alpha) T."""
        return self.whole + self.share

    def at(self, returns: Floats, weights: Floats) -> TailPoint:
        """Evaluate on `returns` (M, N); on a subset of scenarios the value is a lower bound of the CVaR.

        The tail is that of the whole set: its `size` worst losses among the rows given.
        """
        losses = -(returns @ weights)
        order = self.worst(losses)
        tail, boundary = order[: self.whole], order[self.whole] if self.whole < order.shape[0] else order[-1]
        total = float(losses[tail].sum()) + self.share * float(losses[boundary])
        gradient = -(returns[tail].sum(axis=0) + self.share * returns[boundary]) / self.size
        return TailPoint(total / self.size, gradient, float(losses[boundary]), losses)

    def worst(self, losses: Floats) -> npt.NDArray[np.int64]:
        """Indices of the `whole + 1` worst losses, the least of them last."""
        count = losses.shape[0]
        kept = min(self.whole + 1, count)
        split = np.argpartition(losses, count - kept)[count - kept :]
        boundary = int(np.argmin(losses[split]))
        split[boundary], split[-1] = split[-1], split[boundary]
        return split
