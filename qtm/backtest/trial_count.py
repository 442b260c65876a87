"""How many trials a strategy has had, and the Sharpe ratio that the luckiest of them shows without skill.

The published formula takes the number of trials and the variance of their Sharpe ratios. Trials that say
nothing, twins of each other or combinations that never traded, lower the variance faster than they raise the
number, so that padding the registry would lower the bar. But the best of all trials is at least as lucky as
the best of any part of them: the formula is applied to all and to every natural part (one run, version,
symbol, interval, window, or value of a parameter), and the highest bar counts.

The formula also takes all trials to be equally long. Without skill a Sharpe ratio over T days scatters by
1 / sqrt(T), so one of a month says little about one of three years; each ratio counts as what the same luck
would have made of it over the length of the examined run. One of a few days is no measurement at all (that of
two days has no finite spread): such trials are counted, and set no bar for longer runs.

A trial is a way of choosing: source, parameters, terms, data and window. The same way run with and without
the risk gate is one draw of luck, not two: a search under the gate and the examination of its best without it
look at the same chances. But limits are numbers like any parameter and can be searched like one, so that
every further set of limits that a way was run under is a trial of its own.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from qtm.backtest.overfitting.sharpe import expected_maximum_sharpe
from qtm.backtest.session import DAY_MS

_LEAST_DAYS: Final = 30.0
"""A Sharpe ratio over fewer days sets no bar for a longer run."""
_LEAST: Final = 5
"""The variance of fewer trials is too rough to be a bar of its own."""


@dataclass(frozen=True, slots=True)
class TrialCount:
    """What was tried of a strategy.

    Attributes
    ----------
    strategy
        Its name.
    trials, sharpe_variance
        Distinct trials, and the variance of their daily Sharpe ratios over the examined length.
    best_by_luck
        The daily Sharpe ratio that the luckiest of them would show without skill.
    aliases
        Other names under which the same strategy was tried; their trials are counted too.
    """

    strategy: str
    trials: int
    sharpe_variance: float
    best_by_luck: float
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tried:
    """One way of choosing under one set of limits, or without a gate: its daily Sharpe ratio and its parts.

    Attributes
    ----------
    way
        What makes it another trial than others, whatever the gate.
    limits
        Stands for the limits it was run under; None for a run without a gate.
    """

    way: Hashable
    limits: float | None
    daily_sharpe: float
    strategy_version: str
    params: Mapping[str, float]
    symbol: str
    interval: str
    window: tuple[int, int]
    runs: Collection[str]

    def sharpe_over(self, days: float) -> float:
        """The daily Sharpe ratio that equal luck gives over a history of `days`."""
        return self.daily_sharpe * math.sqrt(days_of(self.window) / days)

    def parts(self) -> Iterator[tuple[str, Hashable]]:
        """The parts of all trials that it belongs to: what they have in common, and its value."""
        yield from (("run", run) for run in self.runs)
        yield from (("version", self.strategy_version), ("window", self.window))
        yield from (("symbol", self.symbol), ("interval", self.interval))
        yield from self.params.items()


def days_of(window: tuple[int, int]) -> float:
    """Length of a window in milliseconds, in days; at least one."""
    return max(1.0, (window[1] - window[0]) / DAY_MS)


def count_of(
    strategy: str, tried: Sequence[Tried], aliases: Sequence[str] = (), window: tuple[int, int] | None = None
) -> TrialCount:
    """Count distinct trials for a run over `window`, by default the longest that was tried."""
    days = max((days_of(one.window) for one in tried), default=1.0) if window is None else days_of(window)
    counted = distinct(tried)
    seen = [counted]
    gated = [one for one in tried if one.limits is not None]
    if gated and len(gated) < len(tried):
        # Whoever chose among the runs of one side had the luck of that side.
        seen += [gated, [one for one in tried if one.limits is None]]
    return TrialCount(
        strategy,
        len(counted),
        _variance([one.sharpe_over(days) for one in counted]),
        max((_highest_bar(side, days) for side in seen), default=0.0),
        tuple(sorted(aliases)),
    )


def distinct(tried: Iterable[Tried]) -> list[Tried]:
    """The draws of luck: without a gate where a way was run so, instead of one of its sets of limits."""
    ways: dict[Hashable, list[Tried]] = defaultdict(list)
    for one in tried:
        ways[one.way].append(one)
    found: list[Tried] = []
    for runs in ways.values():
        bare = [one for one in runs if one.limits is None]
        gated = [one for one in runs if one.limits is not None]
        found += bare + gated[len(bare) :]
    return found


def _highest_bar(tried: Iterable[Tried], days: float) -> float:
    """The highest bar that trials set together, or any part of them that is large enough for one."""
    together: list[float] = []
    parts: dict[str, dict[Hashable, list[float]]] = defaultdict(lambda: defaultdict(list))
    for one in tried:
        # What never traded could not have been chosen.
        if one.daily_sharpe != 0.0 and days_of(one.window) >= min(days, _LEAST_DAYS):
            ratio = one.sharpe_over(days)
            together.append(ratio)
            for kind, value in one.parts():
                parts[kind][value].append(ratio)
    groups = [found for kind in parts.values() for found in kind.values()]
    large = [found for found in groups if _LEAST <= len(found) < len(together)]
    return max((_bar(found) for found in [together, *large] if found), default=0.0)


def _bar(ratios: Sequence[float]) -> float:
    return expected_maximum_sharpe(len(ratios), _variance(ratios))


def _variance(ratios: Sequence[float]) -> float:
    variance = float(np.var(ratios, ddof=1)) if len(ratios) > 1 else 0.0
    return variance if math.isfinite(variance) else 0.0
