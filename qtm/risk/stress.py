"""Stress: dated market events replayed on the book.

Close-to-close returns hide the risk: on 2025-10-10 altcoins fell 55 to 70 % within the day and 15 to 27 % on
the close. Every event is therefore replayed on closes, on lows (each symbol at its worst moment at once),
with short legs removed, as auto-deleveraging would remove them, with shorts at their highs, and on marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from qtm.risk.measures import Floats


@dataclass(frozen=True, slots=True)
class StressEvent:
    """A dated event; days are UTC dates `YYYY-MM-DD`, both inclusive."""

    name: str
    first_day: str
    last_day: str


CRYPTO_EVENTS: tuple[StressEvent, ...] = (
    StressEvent("COVID crash, 12 March 2020", "2020-03-12", "2020-03-12"),
    StressEvent("COVID, 7-16 March 2020", "2020-03-07", "2020-03-16"),
    StressEvent("China ban, 19 May 2021", "2021-05-19", "2021-05-19"),
    StressEvent("Leverage flush, 12-23 May 2021", "2021-05-12", "2021-05-23"),
    StressEvent("LUNA collapse, 5-12 May 2022", "2022-05-05", "2022-05-12"),
    StressEvent("Celsius and 3AC, 10-18 June 2022", "2022-06-10", "2022-06-18"),
    StressEvent("FTX failure, 6-10 November 2022", "2022-11-06", "2022-11-10"),
    StressEvent("Yen carry unwind, 2-5 August 2024", "2024-08-02", "2024-08-05"),
    StressEvent("Tariff shock, 10 October 2025", "2025-10-10", "2025-10-10"),
    StressEvent("Sell-off, 29 January-5 February 2026", "2026-01-29", "2026-02-05"),
)

CRYPTO_DAYS: tuple[StressEvent, ...] = (
    StressEvent("COVID, the day after, 13 March 2020", "2020-03-13", "2020-03-13"),
    StressEvent("LUNA, 9 May 2022", "2022-05-09", "2022-05-09"),
    StressEvent("LUNA, 11 May 2022", "2022-05-11", "2022-05-11"),
    StressEvent("Celsius and 3AC, 13 June 2022", "2022-06-13", "2022-06-13"),
    StressEvent("FTX, 8 November 2022", "2022-11-08", "2022-11-08"),
    StressEvent("FTX, 9 November 2022", "2022-11-09", "2022-11-09"),
    StressEvent("Yen carry, 5 August 2024", "2024-08-05", "2024-08-05"),
    StressEvent("Sell-off, 5 February 2026", "2026-02-05", "2026-02-05"),
)
"""Single days inside or beside `CRYPTO_EVENTS`, for the detailed table."""


@dataclass(frozen=True, slots=True)
class DailyPrices:
    """Daily prices side by side: days of shape (D,), the rest (D, N), NaN where there is no bar."""

    open_time_ms: npt.NDArray[np.int64]
    closes: Floats
    lows: Floats
    highs: Floats


@dataclass(frozen=True, slots=True)
class StressLoss:
    """What an event does to a book, as fractions of capital (positive: loss).

    Attributes
    ----------
    on_closes, on_lows
        Every symbol at the last close, and every symbol at its low at once.
    on_lows_longs_only
        On lows, with short legs removed: auto-deleveraging closed them before the fall.
    on_extremes
        Every position at its own worst: longs at lows, shorts at highs. What a short book must stand.
    on_marks
        As `on_extremes`, with perpetuals (the shorts) at their mark price, which margin is reckoned on; None
        where a short has no mark price of those days or the book holds none.
    proxied
        Symbols that had no price then; they take the median move of those that had.
    """

    name: str
    first_day: str
    last_day: str
    on_closes: float
    on_lows: float
    on_lows_longs_only: float
    on_extremes: float
    on_marks: float | None
    worst_symbol: str
    worst_symbol_loss: float
    proxied: tuple[str, ...]

    @property
    def worst(self) -> float:
        """The largest loss of all ways to look at the event."""
        return max(
            self.on_closes, self.on_lows, self.on_lows_longs_only, self.on_extremes, self.on_marks or 0.0
        )


def replay(
    event: StressEvent,
    symbols: Sequence[str],
    weights: Floats,
    prices: DailyPrices,
    marks: DailyPrices | None = None,
) -> StressLoss | None:
    """Replay `event` on the book; None when the prices do not cover it.

    Parameters
    ----------
    symbols, weights
        The book, N entries, weights as fractions of capital; a negative one is a short perpetual.
    prices, marks
        Daily prices of the symbols, and mark prices of their perpetuals if there are any.
    """
    moves = _moves(event, prices)
    if moves is None:
        return None
    known = np.asarray(np.isfinite(moves).all(axis=0))
    if not known.any():
        return None
    close_move, low_move, high_move = (np.where(known, m, np.median(m[known])) for m in moves)
    losses = -weights * low_move
    short = weights < 0.0
    own_worst = -weights * np.where(short, high_move, low_move)
    worst = int(np.argmax(own_worst))
    return StressLoss(
        name=event.name,
        first_day=event.first_day,
        last_day=event.last_day,
        on_closes=-float(weights @ close_move),
        on_lows=float(losses.sum()),
        on_lows_longs_only=float(losses[weights > 0.0].sum()),
        on_extremes=float(own_worst.sum()),
        on_marks=_on_marks(event, weights, own_worst, marks),
        worst_symbol=symbols[worst],
        worst_symbol_loss=float(own_worst[worst]),
        proxied=tuple(s for s, have, held in zip(symbols, known, weights, strict=True) if held and not have),
    )


def replay_all(
    symbols: Sequence[str],
    weights: Floats,
    prices: DailyPrices,
    marks: DailyPrices | None = None,
    events: Sequence[StressEvent] = CRYPTO_EVENTS,
) -> tuple[StressLoss, ...]:
    """Every event the prices cover, worst first."""
    losses = (replay(event, symbols, weights, prices, marks) for event in events)
    return tuple(sorted((loss for loss in losses if loss is not None), key=lambda loss: -loss.worst))


def _moves(event: StressEvent, prices: DailyPrices) -> Floats | None:
    """Moves against the close before, at the last close, the lowest low and the highest high; (3, N)."""
    days = prices.open_time_ms
    first, last = (int(np.searchsorted(days, _day_ms(day))) for day in (event.first_day, event.last_day))
    if first == 0 or last >= days.shape[0] or days[last] != _day_ms(event.last_day):
        return None
    span = slice(first, last + 1)
    with np.errstate(invalid="ignore"):
        reached = (
            prices.closes[last],
            np.fmin.reduce(prices.lows[span], axis=0),
            np.fmax.reduce(prices.highs[span], axis=0),
        )
        moves: Floats = np.array(reached) / prices.closes[first - 1] - 1.0
    return moves


def _on_marks(
    event: StressEvent, weights: Floats, own_worst: Floats, marks: DailyPrices | None
) -> float | None:
    """Loss with every short at the highest mark price of the event."""
    short = weights < 0.0
    moves = None if marks is None or not short.any() else _moves(event, marks)
    if moves is None or not np.isfinite(moves[2][short]).all():
        return None
    return float(own_worst[~short].sum() - (weights[short] * moves[2][short]).sum())


def _day_ms(day: str) -> int:
    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1000
