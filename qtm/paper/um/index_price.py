"""Where the index price of a contract comes from: spot bars, a synthetic premium, or the contract itself.

The venue weighs the spot prices of several exchanges; a paper market knows one spot market at most. Without
any, the index is the middle of the contract's own book: the premium is nil then.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from qtm.paper.replay import ReplayBars
from qtm.paper.wire import E8, units_of

PREMIUM_MEAN = 1e-4
PREMIUM_DEVIATION = 4e-4
PREMIUM_RETURN_MS = 1_800_000
"""The synthetic premium: its long-run mean and deviation, and the time in which a shock falls to 1/e."""


class IndexSource(Protocol):
    """Tells index prices."""

    constituent: str
    """The exchange whose price the index is, as `constituents` names it."""

    def price(self, symbol: str, ts_ms: int, middle: int) -> int:
        """Index price at a moment, in 1e-8 units; `middle` is the contract's own middle price."""
        ...

    def informs(self, symbol: str) -> bool:
        """Whether the index of a contract says more than the contract's own price."""
        ...


class OwnMiddle:
    """The index of a market without a spot side: the contract's own middle price."""

    constituent = "paper"

    def price(self, symbol: str, ts_ms: int, middle: int) -> int:
        """`middle`."""
        return middle

    def informs(self, symbol: str) -> bool:
        """Never."""
        return False


class SyntheticPremium:
    """The index of a synthetic contract: its price less a premium that reverts to a small mean.

    The premium is an Ornstein-Uhlenbeck path, drawn exactly for whatever time has passed.
    """

    constituent = "paper"

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._paths: dict[str, tuple[np.random.Generator, int, float]] = {}

    def price(self, symbol: str, ts_ms: int, middle: int) -> int:
        """The middle price without the premium of the moment."""
        known = self._paths.get(symbol)
        if known is None:
            known = np.random.default_rng([self._seed, *b"premium", *symbol.encode()]), ts_ms, PREMIUM_MEAN
            self._paths[symbol] = known
        draws, since, premium = known
        if ts_ms > since:
            kept = float(np.exp(-(ts_ms - since) / PREMIUM_RETURN_MS))
            shock = PREMIUM_DEVIATION * float(np.sqrt(1 - kept * kept)) * float(draws.standard_normal())
            premium = PREMIUM_MEAN + (premium - PREMIUM_MEAN) * kept + shock
            self._paths[symbol] = draws, ts_ms, premium
        return round(middle / (1 + premium))

    def informs(self, symbol: str) -> bool:
        """Always."""
        return True


class SpotBars:
    """The index of a replayed contract: the spot market's bars of the same symbol and interval.

    Inside a bar the spot price walks as the contract's does (open, the nearer extreme first, close), so that
    the premium is that of the bars and not of two different walks. Before and after the spot bars, and in
    their gaps, the last known price stands.
    """

    constituent = "binance"

    def __init__(self, contracts: dict[str, ReplayBars], spot: dict[str, ReplayBars]) -> None:
        self._walks = {
            symbol: _Walk.of(contracts[symbol], bars) for symbol, bars in spot.items() if len(bars.times)
        }

    def price(self, symbol: str, ts_ms: int, middle: int) -> int:
        """The spot price; the contract's own middle for a symbol without spot bars."""
        walk = self._walks.get(symbol)
        return walk.at(ts_ms) if walk is not None else middle

    def informs(self, symbol: str) -> bool:
        """Whether there are spot bars."""
        return symbol in self._walks


class _Walk:
    """Spot prices at four points of every bar; `points` has shape (T, 4)."""

    def __init__(
        self, times: npt.NDArray[np.int64], points: npt.NDArray[np.float64], interval_ms: int
    ) -> None:
        self._times = times
        self._points = points
        self._interval_ms = interval_ms

    @classmethod
    def of(cls, contract: ReplayBars, spot: ReplayBars) -> _Walk:
        opened, high, low, close = (spot.values[:, column] for column in range(4))
        row = np.searchsorted(contract.times, spot.times).clip(max=len(contract.times) - 1)
        same = contract.times[row] == spot.times
        rising = np.where(
            same, contract.values[row, 3] >= contract.values[row, 0], close >= opened
        )  # the walk of `BarReplay`
        first, second = np.where(rising, low, high), np.where(rising, high, low)
        return cls(spot.times, np.column_stack([opened, first, second, close]), spot.interval_ms)

    def at(self, ts_ms: int) -> int:
        row = int(np.searchsorted(self._times, ts_ms, side="right")) - 1
        if row < 0:
            return units_of(float(self._points[0, 0]))
        quarter = (ts_ms - int(self._times[row])) * 4 // self._interval_ms
        return round(float(self._points[row, min(quarter, 3)]) * E8)
