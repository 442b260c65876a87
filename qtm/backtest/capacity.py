"""How much capital a strategy bears: the same run with more and more of it, until impact eats what it earns.

A trade of q in a bar of volume V moves the price by `impact` x sigma x sqrt(q / V) against it, with a factor
near one wherever it was measured (Toth et al., "Anomalous price impact and the critical nature of liquidity
in financial markets", Physical Review X 1, 021006, 2011): what is lost grows with the root of the capital.
Orders that would take more than `participation` of their bar are cut to it. An account far too large for its
market hardly gets into a position or out of it, and then earns what holding earns; so a strategy bears a
capital only while it gets what it asks for.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from qtm.backtest.account.result import AccountResult
from qtm.backtest.conditions.contract import Conditions, Result
from qtm.backtest.place import Place
from qtm.backtest.session import DAY_MS
from qtm.errors import ConfigError
from qtm.strategies.order_contract import OrderStrategy
from qtm.strategies.registry import Strategy
from qtm.trading.costs import CostModel

Progress = Callable[[str, int, int], None]

USUAL_IMPACT: Final = 1.0
USUAL_PARTICIPATION: Final = 0.1

KEPT: Final = 0.5
"""The part of its Sharpe ratio that a strategy keeps, and gets of what it asks for, where it bears it."""

_A_DECADE = 2
_HALVINGS = 6


@dataclass(frozen=True, slots=True)
class Step:
    """A run with one capital.

    Attributes
    ----------
    cash
        Quote currency it began with.
    earned_a_year
        Profit in quote currency, per year of 365 days.
    filled
        Share of what its orders asked for that was traded, by value at the closes they were decided at; NaN
        without an order.
    """

    cash: float
    annual_return: float
    sharpe: float
    max_drawdown: float
    earned_a_year: float
    filled: float


@dataclass(frozen=True, slots=True)
class Capacity:
    """What a strategy earns with more and more capital.

    Attributes
    ----------
    free
        The run with the smallest capital as if its own trades moved nothing and found all they ask for.
    steps
        By capital, ascending; the last one is the first that was too much, if any was.
    bears
        The largest capital found that the strategy bears (see `KEPT`), None where it does not even bear the
        smallest.
    """

    strategy: str
    params: dict[str, float]
    place: Place
    impact: float
    participation: float
    free: Step
    steps: tuple[Step, ...]
    bears: Step | None

    @property
    def is_bounded(self) -> bool:
        """Whether more capital than the strategy bears was tried."""
        return self.bears is not self.steps[-1]

    def in_words(self) -> str:
        """What was found, in a sentence."""
        if math.isnan(self.free.filled):
            return f"It makes no order with {self.free.cash:,.0f}: begin with more."
        if not _earns(self.free):
            return "It earns nothing even where its trades move no price: there is nothing to enlarge."
        if self.bears is None:
            return f"{self.steps[0].cash:,.0f} is already more than it bears: {self._too_much()}."
        if not self.is_bounded:
            return f"It bears {self.bears.cash:,.0f}, the most that was tried."
        return f"It bears {self.bears.cash:,.0f}; with more, {self._too_much()}."

    def _too_much(self) -> str:
        broken = next(step for step in self.steps if not _is_borne(step, self.free))
        if not _earns(broken):
            return "it earns nothing"
        if broken.sharpe < KEPT * self.free.sharpe:
            return f"less than {KEPT:.0%} of its Sharpe ratio is left"
        return f"its orders get less than {KEPT:.0%} of what they ask for"


def capacity_of(
    strategy: Strategy,
    params: Any,
    conditions: Conditions,
    *,
    most: float,
    impact: float = USUAL_IMPACT,
    participation: float = USUAL_PARTICIPATION,
    on_progress: Progress | None = None,
) -> Capacity:
    """Run a strategy with the capital of `conditions` and more, up to `most`.

    Parameters
    ----------
    params
        A parameter tuple of the strategy.
    impact, participation
        See `qtm.trading.costs.CostModel`; they replace those of the conditions.

    Raises
    ------
    ConfigError
        For a strategy that sizes its own orders, or no capital between that of the conditions and `most`.
    """
    if isinstance(strategy, OrderStrategy):
        raise ConfigError(
            f"{strategy.name!r} sizes its own orders, so more capital changes nothing",
            remedy="raise its quantity in the parameters and compare the runs",
        )
    if not most > conditions.cash:
        raise ConfigError(
            f"the most capital must be above that of the run, {conditions.cash:,.0f}",
            where=f"{most:,.0f}",
            remedy="give more, or start with less cash",
        )

    def run(at: Conditions) -> Step:
        return _step(at, at.run(strategy, params))

    def charged(cash: float) -> Conditions:
        return conditions.with_cash(cash).with_costs(
            lambda costs: costs._replace(impact=impact, participation=participation)
        )

    ladder = _ladder(conditions.cash, most)
    steps: list[Step] = []

    def try_with(cash: float) -> Step:
        step = run(charged(cash))
        steps.append(step)
        if on_progress is not None:
            on_progress("capitals", len(steps), len(ladder) + _HALVINGS)
        return step

    free = run(conditions.with_costs(_free))
    bears: Step | None = None
    for cash in ladder:
        step = try_with(cash)
        if not _is_borne(step, free):
            bears = _halve(bears, step, free, try_with)
            break
        bears = step
    named = {name: float(value) for name, value in params._asdict().items()}
    by_capital = tuple(sorted(steps, key=lambda step: step.cash))
    return Capacity(strategy.name, named, conditions.place, impact, participation, free, by_capital, bears)


def _halve(borne: Step | None, broken: Step, free: Step, try_with: Callable[[float], Step]) -> Step | None:
    """Close in, in logarithm, on the largest capital that is borne."""
    if borne is None:
        return None
    for _ in range(_HALVINGS):
        step = try_with(math.sqrt(borne.cash * broken.cash))
        if _is_borne(step, free):
            borne = step
        else:
            broken = step
    return borne


def _is_borne(step: Step, free: Step) -> bool:
    kept = step.sharpe >= KEPT * free.sharpe and step.filled >= KEPT
    return _earns(free) and _earns(step) and kept


def _earns(step: Step) -> bool:
    """A mean above zero is not enough: what varies widely around it may still shrink."""
    return step.sharpe > 0.0 and step.annual_return > 0.0


def _free(costs: CostModel) -> CostModel:
    return costs._replace(impact=0.0, participation=0.0)


def _ladder(cash: float, most: float) -> list[float]:
    """Capitals from `cash` to `most`, evenly apart in logarithm."""
    count = 1 + max(1, math.ceil(_A_DECADE * math.log10(most / cash) - 1e-9))
    return [float(one) for one in np.geomspace(cash, most, count)]


def _step(conditions: Conditions, result: Result) -> Step:
    found, times = result.statistics, result.open_time_ms
    years = (int(times[-1]) - int(times[0])) / DAY_MS / 365.0
    return Step(
        cash=conditions.cash,
        annual_return=found.annual_return,
        sharpe=found.sharpe,
        max_drawdown=found.max_drawdown,
        earned_a_year=(found.final_equity - conditions.cash) / years if years > 0.0 else math.nan,
        filled=_filled(result),
    )


def _filled(result: Result) -> float:
    """Lots of one symbol are worth a thousand times those of another: only their value adds up."""
    orders = result.order_rows
    if isinstance(result, AccountResult):
        of = result.legs["instrument"][orders["leg"]]
        lot = result.panel.close[orders["bar"], of] * result.sizes[of]
    else:
        lot = result.bars.close[orders["bar"]]
    asked = float(np.nansum(np.abs(orders["lots"]) * lot))
    return float(np.nansum(np.abs(orders["filled_lots"]) * lot)) / asked if asked > 0.0 else math.nan
