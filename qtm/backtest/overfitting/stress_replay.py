"""What the strategy would have done in the market's worst days, marked at the worst price of every bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from qtm.backtest.conditions.contract import Result
from qtm.backtest.holdings import Floats, worst_equity
from qtm.backtest.session import DAY_MS
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


def replay_stress(result: Result, events: Sequence[StressEvent] = CRYPTO_EVENTS) -> tuple[StressReplay, ...]:
    """Look up every event that the run covers whole, with a bar before it; worst fall first.

    The market of an account is all its symbols held in equal parts.
    """
    spans = [(event, _span(result, event)) for event in events]
    if all(span is None for _, span in spans):
        return ()
    worst, close = worst_equity(result), result.bars.close
    found = [_replay(result, event, span, worst, close) for event, span in spans if span is not None]
    return tuple(sorted(found, key=lambda one: -one.worst_fall))


def _span(result: Result, event: StressEvent) -> tuple[int, int] | None:
    """The first bar of an event and the one after its last; None where the run does not cover it."""
    times, interval_ms = result.open_time_ms, result.bars.interval.ms
    begin, end = _day_ms(event.first_day), _day_ms(event.last_day) + DAY_MS
    first, stop = (int(i) for i in np.searchsorted(times, (begin, end)))
    if first == 0 or first == stop or int(times[-1]) + interval_ms < end:
        return None
    return first, stop


def _replay(
    result: Result, event: StressEvent, span: tuple[int, int], worst: Floats, close: Floats
) -> StressReplay:
    first, stop = span
    inside = worst[first:stop]
    before = float(result.equity[first - 1])
    peak = np.maximum.accumulate(result.equity[first - 1 : stop - 1])
    fall = 1.0 - inside / peak
    return StressReplay(
        name=event.name,
        first_day=event.first_day,
        last_day=event.last_day,
        strategy_return=float(result.equity[stop - 1]) / before - 1.0,
        market_return=float(close[stop - 1] / close[first - 1]) - 1.0,
        worst_fall=max(0.0, float(fall.max())),
        worst_equity=float(inside.min()),
    )


def _day_ms(day: str) -> int:
    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1000
