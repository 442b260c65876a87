"""Other lives of the same strategy: resampled returns and reshuffled trades.

A block bootstrap of the returns shows how far the result could have come out differently; a shuffle of the
trades keeps what was won and lost and shows how kind their order was to the drawdown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qtm.backtest.overfitting.bootstrap import block_length, resampled_rows
from qtm.backtest.overfitting.observations import Floats, checked_returns
from qtm.compiled import compiled
from qtm.errors import RiskError

LUCKY = 0.9
"""An actual result better than this share of the simulated ones is flagged."""

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, slots=True)
class Distribution:
    """Where an actual value falls among simulated ones.

    Attributes
    ----------
    actual
        The backtest's value.
    simulated
        Shape (paths,), sorted.
    better_than
        Share of paths the actual value beats; ties count half.
    """

    actual: float
    simulated: Floats
    better_than: float

    @property
    def lucky(self) -> bool:
        """The actual value lies in the best tenth: expect worse."""
        return self.better_than > LUCKY

    def quantiles(self) -> dict[float, float]:
        """The simulated values at 5, 25, 50, 75 and 95 %."""
        return {q: float(np.quantile(self.simulated, q)) for q in QUANTILES}


@dataclass(frozen=True, slots=True)
class SimulatedPaths:
    """Compounded total return and deepest drawdown (a positive fraction) of the simulated paths."""

    total_return: Distribution
    max_drawdown: Distribution
    block_length: int

    @property
    def probability_of_loss(self) -> float:
        """Share of paths that end below where they began."""
        return float((self.total_return.simulated < 0.0).mean())


def bootstrap_paths(
    returns: npt.ArrayLike, *, paths: int = 1000, mean_block: int | None = None, seed: int = 7
) -> SimulatedPaths:
    """Resample returns per period, shape (T,), in blocks into paths of the same length.

    Raises
    ------
    RiskError
        For fewer than 20 returns, a missing one, one of -100 % or below, or returns that never vary.
    """
    values = _compoundable(returns, "a bootstrap of paths")
    block = mean_block or block_length(values)
    if not 1 <= block <= values.shape[0]:
        raise RiskError("the mean block must lie between 1 and T", where=f"mean_block={mean_block}")
    outcomes = _bootstrapped(np.random.default_rng(seed), np.log1p(values), float(block), _counted(paths))
    return _against(_outcome(np.log1p(values)), outcomes, block)


def shuffled_trades(trade_returns: npt.ArrayLike, *, paths: int = 1000, seed: int = 7) -> SimulatedPaths:
    """Put the trades, each a fraction of the equity before it, shape (K,), in other orders.

    The total return is the same in every order; the drawdown is not.

    Raises
    ------
    RiskError
        As `bootstrap_paths`.
    """
    values = _compoundable(trade_returns, "a shuffle of trades")
    outcomes = _shuffled(np.random.default_rng(seed), np.log1p(values), _counted(paths))
    return _against(_outcome(np.log1p(values)), outcomes, 1)


def _compoundable(returns: npt.ArrayLike, purpose: str) -> Floats:
    values = checked_returns(returns, at_least=20, purpose=purpose)
    if (values <= -1.0).any():
        raise RiskError(f"{purpose} cannot go on after a loss of everything", where=f"{values.min():g}")
    return values


def _counted(paths: int) -> int:
    if paths < 100:
        raise RiskError("at least 100 paths are needed", where=f"paths={paths}")
    return paths


def _against(actual: tuple[float, float], outcomes: Floats, block: int) -> SimulatedPaths:
    totals, drawdowns = np.sort(outcomes[:, 0]), np.sort(outcomes[:, 1])
    return SimulatedPaths(
        total_return=Distribution(actual[0], totals, _share_below(totals, actual[0])),
        max_drawdown=Distribution(actual[1], drawdowns, 1.0 - _share_below(drawdowns, actual[1])),
        block_length=block,
    )


def _share_below(ordered: Floats, value: float) -> float:
    """Share of `ordered` below `value`; what differs from it by rounding counts half."""
    slack = 1e-12 * max(1.0, abs(value))
    first = int(np.searchsorted(ordered, value - slack, "left"))
    last = int(np.searchsorted(ordered, value + slack, "right"))
    return (first + last) / (2.0 * len(ordered))


@compiled
def _outcome(log_returns: Floats) -> tuple[float, float]:
    """Total return and deepest drawdown of one path of log returns."""
    level = 0.0
    peak = 0.0
    deepest = 0.0
    for step in log_returns:
        level += step
        peak = max(peak, level)
        deepest = max(deepest, peak - level)
    return np.expm1(level), -np.expm1(-deepest)


@compiled
def _bootstrapped(rng: np.random.Generator, log_returns: Floats, length: float, paths: int) -> Floats:
    outcomes = np.empty((paths, 2))
    for p in range(paths):
        picked = resampled_rows(rng, log_returns.shape[0], length)
        outcomes[p, 0], outcomes[p, 1] = _outcome(log_returns[picked])
    return outcomes


@compiled
def _shuffled(rng: np.random.Generator, log_returns: Floats, paths: int) -> Floats:
    outcomes = np.empty((paths, 2))
    order = log_returns.copy()
    for p in range(paths):
        rng.shuffle(order)
        outcomes[p, 0], outcomes[p, 1] = _outcome(order)
    return outcomes
