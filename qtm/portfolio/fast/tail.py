"""CVaR, a subgradient and the VaR of a portfolio over some or all scenarios of a distribution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.portfolio.problem import Distribution
from qtm.risk.measures import Floats, tail_count

Indices = npt.NDArray[np.int64]


class TailPoint(NamedTuple):
    """CVaR at a portfolio, its subgradient (N,), and every scenario's loss."""

    value: float
    gradient: Floats
    losses: Floats


@dataclass(frozen=True, slots=True)
class TailShape:
    """What each scenario can weigh in CVaR: `density` (T,), its probability over 1 - alpha.

    Of equally likely scenarios the tail is `whole` of them and a `share` of the next.
    """

    density: Floats
    equal: bool
    whole: int
    share: float

    @classmethod
    def of(cls, distribution: Distribution, alpha: float) -> TailShape:
        """The tail of `distribution` at confidence `alpha`."""
        whole, share = tail_count(distribution.returns.shape[0], alpha)
        return cls(distribution.density(alpha), distribution.probabilities is None, whole, share)

    def at(self, returns: Floats, weights: Floats, rows: Indices | None = None) -> TailPoint:
        """Evaluate `weights` on `returns` (M, N), which are all scenarios or those of `rows` (M,).

        On some of the scenarios the value is a lower bound of the CVaR and the gradient that of a plane below
        it: what is missing of the tail's measure falls on the mildest of the rows given.
        """
        losses = -(returns @ weights)
        density = self.density if rows is None else self.density[rows]
        if self.equal:
            order = self._worst(losses)
            heavy, boundary = order[: self.whole], order[-1]
            size = self.whole + self.share
            missing = size - heavy.shape[0]
            total = float(losses[heavy].sum()) + missing * float(losses[boundary])
            counted = np.zeros(losses.shape[0])  # a product over all rows is quicker than gathering some
            counted[heavy], counted[boundary] = 1.0, missing
            return TailPoint(total / size, -(counted @ returns) / size, losses)
        order = np.argsort(-losses, kind="stable")
        before = np.cumsum(density[order]) - density[order]
        taken = np.clip(1.0 - before, 0.0, density[order])
        taken[-1] += max(1.0 - float(taken.sum()), 0.0)
        used = order[taken > 0.0]
        scale = taken[taken > 0.0]
        return TailPoint(float(scale @ losses[used]), -(scale @ returns[used]), losses)

    def filled(self, raw: Floats, rows: Indices, total: float) -> Floats | None:
        """Scenario weights near `raw` (M,) that `rows` may have and that sum to `total`; None if none do.

        Only weights that sum to the whole bound CVaR from below.
        """
        most = self.density[rows]
        valid = np.clip(np.nan_to_num(raw), 0.0, most)
        missing = total - float(valid.sum())
        room = most - valid if missing > 0.0 else valid
        valid = valid + missing * room / max(float(room.sum()), 1e-300)
        return (
            valid if abs(float(valid.sum()) - total) < 1e-9 and float((valid - most).max()) < 1e-9 else None
        )

    def value(self, losses: Floats) -> float:
        """CVaR of `losses`, those of all scenarios."""
        if not self.equal:
            order = np.argsort(-losses, kind="stable")
            before = np.cumsum(self.density[order]) - self.density[order]
            return float(np.clip(1.0 - before, 0.0, self.density[order]) @ losses[order])
        order = self._worst(losses)
        total = float(losses[order[: self.whole]].sum()) + self.share * float(losses[order[-1]])
        return total / (self.whole + self.share)

    def gradient(self, returns: Floats, losses: Floats) -> Floats:
        """A subgradient of CVaR at the portfolio with these `losses` on all scenarios, shape (N,)."""
        order, tail = self.ranked(losses, 0)
        heavy = order[:tail]
        return -(self.density[heavy] @ returns[heavy])

    def ranked(self, losses: Floats, reach: int) -> tuple[Indices, int]:
        """The worst scenarios, worst first up to ties of the partition, and how many of them are the tail.

        Parameters
        ----------
        losses
            Of every scenario, shape (T,).
        reach
            How many scenarios beyond the tail the caller looks at.
        """
        if not self.equal:
            order = np.argsort(-losses, kind="stable")
            return order, int(np.searchsorted(np.cumsum(self.density[order]), 1.0)) + 1
        count = losses.shape[0]
        kept = min(self.whole + reach, count)
        order = np.argpartition(losses, count - kept)[count - kept :]
        return order[np.argsort(-losses[order], kind="stable")], self.whole

    @property
    def size(self) -> int:
        """Scenarios in the tail of equal weights of the same density; a guide for sizes of bands."""
        return self.whole + 1

    def _worst(self, losses: Floats) -> Indices:
        """Indices of the `whole + 1` worst losses, the least of them last."""
        count = losses.shape[0]
        kept = min(self.whole + 1, count)
        split = np.argpartition(losses, count - kept)[count - kept :]
        boundary = int(np.argmin(losses[split]))
        split[boundary], split[-1] = split[-1], split[boundary]
        return split
