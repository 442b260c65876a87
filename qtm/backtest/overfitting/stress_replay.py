"""What the strategy would have done in the market's worst days, marked at the worst price of every bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from qtm.backtest.overfitting.trials import Holdings
from qtm.backtest.session import DAY_MS
from qtm.backtest.tape.result import SymbolResult
from qtm.risk.stress import CRYPTO_EVENTS, StressEvent


@dataclass(frozen=True, slots=True)
class StressReplay:
    """The strategy inside one event; fractions of the equity at the close before it.

    Attributes
    ----------
    strategy_return, market_return
        Close before the event to its last close.
    worst_fall
        Deepest fall below the highest close since the event began, at the lows of longs and highs of shorts.
    worst_equity
        Equity at that price, in quote currency: not above zero means ruin.
    """

    name: str
    first_day: str
    last_day: str
    strategy_return: float
    market_return: float
    worst_fall: float
    worst_equity: float


def replay_stress(
    result: SymbolResult, events: Sequence[StressEvent] = CRYPTO_EVENTS
) -> tuple[StressReplay, ...]:
    """Look up every event that the run covers whole, with a bar before it; worst fall first."""
    found = (_replay(result, event) for event in events)
    return tuple(sorted((one for one in found if one is not None), key=lambda one: -one.worst_fall))


def _replay(result: SymbolResult, event: StressEvent) -> StressReplay | None:
    times = result.bars.open_time_ms
    begin, end = _day_ms(event.first_day), _day_ms(event.last_day) + DAY_MS
    first, stop = (int(i) for i in np.searchsorted(times, (begin, end)))
    if first == 0 or first == stop or int(times[-1]) + result.bars.interval.ms < end:
        return None
    inside = slice(first, stop)
    bars = result.bars
    worst = Holdings.of(result).worst_equity(bars.low, bars.high)[inside]
    before = float(result.equity[first - 1])
    peak = np.maximum.accumulate(result.equity[first - 1 : stop - 1])
    fall = 1.0 - worst / peak
    deepest = int(np.argmax(fall))
    return StressReplay(
        name=event.name,
        first_day=event.first_day,
        last_day=event.last_day,
        strategy_return=float(result.equity[stop - 1]) / before - 1.0,
        market_return=float(bars.close[stop - 1] / bars.close[first - 1]) - 1.0,
        worst_fall=max(0.0, float(fall[deepest])),
        worst_equity=float(worst.min()),
    )


def _day_ms(day: str) -> int:
    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1000
