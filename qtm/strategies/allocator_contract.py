"""The contract of an allocator: a window of returns goes in, weights come out, at each rebalance.

    class Params(NamedTuple):
        lookback: int = 90


    @allocator(name="risers", summary="Equal parts of what has risen.", params=Params,
               bounds={"lookback": (2, 1000)}, window=lambda params: params.lookback, every="weekly")
    def risers(params, window):
        risen = np.nansum(window.returns, axis=0) > 0.0
        return risen / max(1, risen.sum())

Any Python and any library will do. The window ends with the bar just closed; nothing later is in it. A weight
is a share of the strategy's equity: 0 is flat, negative is short (futures), NaN leaves the holding as it is.
`Weights(values, note)` answers with a note that the result keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.errors import StrategyError
from qtm.strategies.declaration import Declaration
from qtm.strategies.provenance import source_digest

Floats = npt.NDArray[np.float64]

DAY_MS = 86_400_000
CALENDAR = ("daily", "weekly", "monthly")


@dataclass(frozen=True, slots=True)
class Window:
    """What an allocator may know at the close of a bar.

    Attributes
    ----------
    symbols
        N names.
    time_ms
        When the last bar closed.
    returns
        Simple returns of the last W bars, shape (W, N); NaN where either close is missing.
    closes
        Closes of the last W + 1 bars, shape (W + 1, N); NaN where there is no bar.
    weights
        Present positions as shares of the strategy's equity, shape (N,).
    """

    symbols: tuple[str, ...]
    time_ms: int
    returns: Floats
    closes: Floats
    weights: Floats

    @property
    def complete(self) -> npt.NDArray[np.bool_]:
        """Which symbols have every return of the window, shape (N,)."""
        return np.asarray(np.isfinite(self.returns).all(axis=0))

    @property
    def tradable(self) -> npt.NDArray[np.bool_]:
        """Which symbols have a bar now, shape (N,)."""
        return np.asarray(np.isfinite(self.closes[-1]))


class Weights(NamedTuple):
    """An answer with a note for the record, such as why a fallback was taken; a bare vector has none."""

    values: Any
    note: str = ""


Allocate = Callable[[Any, Window], Any]


@dataclass(frozen=True)
class AllocatorStrategy(Declaration):
    """An allocator: see the module docstring. Built by `allocator`.

    Attributes
    ----------
    window
        Number of returns the parameters ask for; before there are as many, nothing is decided.
    every
        When the parameters rebalance: a number of bars, `daily`, `weekly` (Mondays 00:00 UTC) or `monthly`.
    drift
        Changes of weight up to this much are not worth an order.
    """

    kind: ClassVar[str] = "allocator"

    allocate: Allocate
    window: Callable[[Any], int]
    every: Callable[[Any], int | str]
    drift: Callable[[Any], float]

    @property
    def definition(self) -> Callable[..., Any]:
        """`allocate`."""
        return self.allocate

    def warmup(self, params: Any) -> int:
        """Bars before the first decision."""
        return self.window(params) + 1


def allocator(
    *,
    name: str,
    summary: str,
    params: type[Any],
    bounds: Mapping[str, tuple[float, float]],
    window: Callable[[Any], int],
    every: int | str | Callable[[Any], int | str] = "weekly",
    drift: float | Callable[[Any], float] = 0.0,
) -> Callable[[Allocate], AllocatorStrategy]:
    """Declare an allocator; see the module docstring for an example.

    Raises
    ------
    StrategyError
        For a schedule that is neither a number of bars nor one of the calendar's words.
    """
    if not callable(every) and not (isinstance(every, int) and every > 0) and every not in CALENDAR:
        raise StrategyError(
            f"unknown schedule {every!r}", where=name, remedy=f"use a number of bars or {', '.join(CALENDAR)}"
        )

    def build(allocate: Allocate) -> AllocatorStrategy:
        return AllocatorStrategy(
            name=name,
            summary=summary,
            params_type=params,
            bounds=bounds,
            allocate=allocate,
            digest=source_digest(allocate),
            window=window,
            every=every if callable(every) else lambda _params: every,
            drift=drift if callable(drift) else lambda _params: drift,
        )

    return build


def period_of(schedule: str, close_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The number of the day, week (from Monday) or month in which each close falls; shape (T,)."""
    days = close_ms // DAY_MS
    if schedule == "daily":
        return np.asarray(days)
    if schedule == "weekly":
        return np.asarray((days + 3) // 7)
    return np.asarray(close_ms.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64))
