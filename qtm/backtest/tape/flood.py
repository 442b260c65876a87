"""When a run makes more orders than anybody will read, and which parameter would make it fewer."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from qtm.backtest.tape.events import Tape
from qtm.clock import iso_utc
from qtm.errors import StrategyError
from qtm.risk.rules import CONTROL_BITS, CONTROL_NAMES
from qtm.strategies.order_contract import OrderStrategy
from qtm.trading.desk import REFUSED

_NS: Final = 1_000_000

MOST_ORDERS = 8_000_000
"""Finished orders a run keeps, a gigabyte of them; a strategy that made more is asking in vain."""


def require_bearable(strategy: OrderStrategy, values: Any, tape: Tape, ends: npt.NDArray[np.void]) -> None:
    """Refuse to go on filling memory with orders nobody will read.

    Raises
    ------
    StrategyError
        With what refused most of them, and on bars the parameter that makes the strategy look once a bar.
    """
    if len(ends) < MOST_ORDERS:
        return
    refused = ends[ends["status"] == REFUSED]
    at = iso_utc(int(ends["end_ns"][-1]) // _NS)
    raise StrategyError(
        f"{strategy.name!r} has made {len(ends):,} orders by {at}, {len(refused):,} of them refused by the "
        f"gate{_mostly(refused)}",
        where=str(strategy.source),
        remedy=_remedy(strategy, values, tape),
    )


def _mostly(refused: npt.NDArray[np.void]) -> str:
    """The control that refused most of them."""
    times = {name: int(((refused["breached"] & bit) != 0).sum()) for bit, name in CONTROL_BITS.items()}
    busiest = max(times, key=lambda name: times[name])
    return f" (most by {busiest}, {CONTROL_NAMES[busiest]})" if times[busiest] else ""


def _remedy(strategy: OrderStrategy, values: Any, tape: Tape) -> str:
    usual = "let it look or quote less often, or run a shorter period"
    period_ns, bar_ns = strategy.period_ns(values), tape.interval.ms * _NS
    if not tape.of_bars or not 0 < period_ns < bar_ns:
        return usual
    looks = f"it looks {bar_ns / period_ns:,.0f} times a bar, and only a new bar or a fill tells it anything"
    name = _sets_the_period(strategy, values)
    if name is None:
        return f"{looks}: let it look once a bar"
    longer = getattr(values, name) * bar_ns / period_ns
    return f"{looks}: on bars of {tape.interval} set {name}={longer:.15g} or more"


def _sets_the_period(strategy: OrderStrategy, values: Any) -> str | None:
    """The parameter that the time between looks is proportional to."""
    period_ns = strategy.period_ns(values)
    doubled = (name for name in values._fields if strategy.period_ns(_twice(values, name)) == 2 * period_ns)
    return next(doubled, None)


def _twice(values: Any, name: str) -> Any:
    return values._replace(**{name: 2 * getattr(values, name)})
