"""Probability of backtest overfitting by combinatorially symmetric cross-validation (CSCV).

Source: Bailey, Borwein, Lopez de Prado and Zhu, "The probability of backtest overfitting" (2017). The rows of
a T x N matrix of trial returns are cut into S blocks. For every choice of S/2 blocks the best trial in them
(by Sharpe ratio) is looked up in the other S/2: if it ranks in the lower half there, the choice was luck.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Final

import numpy as np
import numpy.typing as npt

from qtm.backtest.overfitting.observations import Floats, checked_trials
from qtm.errors import RiskError

_CHUNK_BYTES: Final = 16 * 2**20
"""Memory for one array of (splits x trials); about eight are alive at a time."""
_MAX_BLOCKS: Final = 20
_ROUNDING: Final = 1e-13


@dataclass(frozen=True, slots=True)
class OverfittingProbability:
    """The outcome of CSCV over C splits.

    Attributes
    ----------
    probability
        PBO: share of splits whose in-sample best ranks at or below the median out of sample.
    logits
        Shape (C,): ln(w / (1 - w)) of the best's relative out-of-sample rank w = rank / (N + 1).
    in_sample, out_of_sample
        Shape (C,): Sharpe ratio per period of the chosen trial in either half.
    degradation
        Slope of `out_of_sample` on `in_sample`: below zero, the better it looked the worse it did. NaN when
        the in-sample ratios do not vary.
    probability_of_loss
        Share of splits in which the chosen trial loses out of sample.
    blocks, rows
        S, and the rows used (the oldest T mod S are left out).
    """

    probability: float
    logits: Floats
    in_sample: Floats
    out_of_sample: Floats
    degradation: float
    probability_of_loss: float
    blocks: int
    rows: int

    @property
    def splits(self) -> int:
        """How many ways the blocks were halved: C(S, S/2)."""
        return int(self.logits.shape[0])


def probability_of_backtest_overfitting(returns: npt.ArrayLike, blocks: int = 16) -> OverfittingProbability:
    """Run CSCV on the returns of N trials, shape (T, N).

    A trial that holds nothing through a half has a Sharpe ratio of zero there. Equal ratios share their rank.
    Time grows with C(S, S/2) x N; memory is bounded whatever N.

    Raises
    ------
    RiskError
        If `blocks` is odd, below 4 or above 20, there are fewer than two rows per block or two trials, or a
        return is missing.
    """
    if blocks % 2 or not 4 <= blocks <= _MAX_BLOCKS:
        raise RiskError(
            "the number of blocks must be even, from 4 to 20", where=f"blocks={blocks}", remedy="use 16"
        )
    values = checked_trials(returns, at_least=2 * blocks, purpose="the probability of backtest overfitting")
    height = values.shape[0] // blocks
    values = values[values.shape[0] - height * blocks :]
    trials = values.shape[1]
    moments = _BlockMoments(values, blocks)
    halves = _halves(blocks)
    chosen_in = np.empty(halves.shape[0])
    chosen_out = np.empty(halves.shape[0])
    relative_rank = np.empty(halves.shape[0])
    step = max(1, _CHUNK_BYTES // (8 * trials))
    for start in range(0, halves.shape[0], step):
        part = slice(start, start + step)
        inside = moments.sharpe(halves[part])
        outside = moments.sharpe(1.0 - halves[part])
        best = inside.argmax(axis=1)
        each = np.arange(best.shape[0])
        chosen_in[part] = inside[each, best]
        chosen_out[part] = outside[each, best]
        relative_rank[part] = _rank_of(outside, chosen_out[part]) / (trials + 1)
    logits = np.log(relative_rank / (1.0 - relative_rank))
    return OverfittingProbability(
        probability=float((logits <= 0.0).mean()),
        logits=logits,
        in_sample=chosen_in,
        out_of_sample=chosen_out,
        degradation=_slope(chosen_in, chosen_out),
        probability_of_loss=float((chosen_out < 0.0).mean()),
        blocks=blocks,
        rows=height * blocks,
    )


class _BlockMoments:
    """Sums of each block, from which the Sharpe ratios of any union of blocks follow by one product."""

    def __init__(self, values: Floats, blocks: int) -> None:
        self.height = values.shape[0] // blocks
        self.mean = values.mean(axis=0)
        centred = (values - self.mean).reshape(blocks, self.height, values.shape[1])
        self.sums = centred.sum(axis=1)
        self.squares = np.einsum("bij,bij->bj", centred, centred)

    def sharpe(self, members: Floats) -> Floats:
        """Sharpe ratios, shape (C, N), over the blocks marked 1 in `members`, shape (C, S)."""
        count = self.height * int(members[0].sum())
        mean = members @ self.sums / count
        squares = members @ self.squares
        spread = squares - count * mean**2
        spread[spread <= _ROUNDING * squares] = 0.0
        deviation = np.sqrt(spread / (count - 1))
        mean += self.mean
        ratios: Floats = np.zeros_like(mean)
        np.divide(mean, deviation, out=ratios, where=deviation > 0.0)
        return ratios


def _halves(blocks: int) -> Floats:
    """Every choice of half the blocks as rows of ones and zeros, shape (C(S, S/2), S)."""
    chosen = np.array(list(combinations(range(blocks), blocks // 2)))
    members = np.zeros((comb(blocks, blocks // 2), blocks))
    np.put_along_axis(members, chosen, 1.0, axis=1)
    return members


def _rank_of(row_values: Floats, chosen: Floats) -> Floats:
    """Ascending rank (1..N, ties averaged) of `chosen[c]` within row c."""
    below = (row_values < chosen[:, None]).sum(axis=1)
    equal = (row_values == chosen[:, None]).sum(axis=1)
    return np.asarray(below + (equal + 1) / 2.0)


def _slope(x: Floats, y: Floats) -> float:
    centred = x - x.mean()
    spread = float(centred @ centred)
    return float(centred @ (y - y.mean())) / spread if spread > 0.0 else float("nan")
