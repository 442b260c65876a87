"""Stress: dated market events replayed on the book, and the smallest moves that would breach a limit.

Close-to-close returns hide the risk: on 2025-10-10 altcoins fell 55 to 70 % within the day and 15 to 27 % on
the close. Every event is therefore replayed on closes and on lows (each symbol at its worst moment at once),
and with short legs removed, as auto-deleveraging would remove them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt

from qtm.errors import RiskError
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
class StressLoss:
    """What an event does to a book, as fractions of capital (positive: loss).

    `proxied` symbols had no price then; they take the median move of those that had.
    """

    name: str
    first_day: str
    last_day: str
    on_closes: float
    on_lows: float
    on_lows_longs_only: float
    worst_symbol: str
    worst_symbol_loss: float
    proxied: tuple[str, ...]


def replay(
    event: StressEvent,
    symbols: Sequence[str],
    weights: Floats,
    open_time_ms: npt.NDArray[np.int64],
    closes: Floats,
    lows: Floats,
) -> StressLoss | None:
    """Replay `event` on the book; None when the prices do not cover it.

    Parameters
    ----------
    symbols, weights
        The book, N entries, weights as fractions of capital.
    open_time_ms
        Days of the price tables, shape (D,).
    closes, lows
        Daily prices of shape (D, N), NaN where there is no bar.
    """
    first = int(np.searchsorted(open_time_ms, _day_ms(event.first_day)))
    last = int(np.searchsorted(open_time_ms, _day_ms(event.last_day)))
    if first == 0 or last >= open_time_ms.shape[0] or open_time_ms[last] != _day_ms(event.last_day):
        return None
    before = closes[first - 1]
    close_move = closes[last] / before - 1.0
    with np.errstate(invalid="ignore"):
        low_move = np.fmin.reduce(lows[first : last + 1], axis=0) / before - 1.0
    known = np.isfinite(close_move) & np.isfinite(low_move)
    if not known.any():
        return None
    close_move = np.where(known, close_move, np.median(close_move[known]))
    low_move = np.where(known, low_move, np.median(low_move[known]))
    losses = -weights * low_move
    worst = int(np.argmax(losses))
    return StressLoss(
        name=event.name,
        first_day=event.first_day,
        last_day=event.last_day,
        on_closes=-float(weights @ close_move),
        on_lows=float(losses.sum()),
        on_lows_longs_only=float(losses[weights > 0.0].sum()),
        worst_symbol=symbols[worst],
        worst_symbol_loss=float(losses[worst]),
        proxied=tuple(s for s, have, held in zip(symbols, known, weights, strict=True) if held and not have),
    )


def replay_all(
    symbols: Sequence[str],
    weights: Floats,
    open_time_ms: npt.NDArray[np.int64],
    closes: Floats,
    lows: Floats,
    events: Sequence[StressEvent] = CRYPTO_EVENTS,
) -> tuple[StressLoss, ...]:
    """Every event the prices cover, worst on lows first."""
    losses = (replay(event, symbols, weights, open_time_ms, closes, lows) for event in events)
    return tuple(sorted((loss for loss in losses if loss is not None), key=lambda loss: -loss.on_lows))


def shocked(symbols: Sequence[str], weights: Floats, shocks: Mapping[str, float], otherwise: float) -> float:
    """Loss of the book under a made-up scenario: a move per named symbol, `otherwise` for the rest.

    Raises
    ------
    RiskError
        If a shock is below -100 % or not a number.
    """
    moves = np.array([shocks.get(symbol, otherwise) for symbol in symbols])
    if not (moves >= -1.0).all():
        raise RiskError("a price cannot fall by more than 100 %", where=f"shocks {dict(shocks)}")
    return -float(weights @ moves)


@dataclass(frozen=True, slots=True)
class ReverseStress:
    """The smallest move that costs `loss`: of the market (every symbol by its beta), and of any direction.

    `deviations` counts standard deviations of the book; NaN when no move of that kind can cost as much.
    """

    loss: float
    market_move: float
    deviations: float


def reverse_stress(loss: float, weights: Floats, betas: Floats, covariance: Floats) -> ReverseStress:
    """Smallest market move and smallest Mahalanobis move that lose `loss` of capital.

    Parameters
    ----------
    loss
        Fraction of capital, positive: the limit to be breached.
    weights, betas
        Shape (N,); betas against the market factor.
    covariance
        Of the symbols' returns, shape (N, N). The least unlikely move along it that loses `loss` lies
        `loss / deviation` standard deviations out.
    """
    slope = float(weights @ betas)
    deviation = float(np.sqrt(max(float(weights @ covariance @ weights), 0.0)))
    move = -loss / slope if slope != 0.0 else float("nan")
    return ReverseStress(
        loss=loss,
        market_move=move if move >= -1.0 else float("nan"),
        deviations=loss / deviation if deviation > 0.0 else float("nan"),
    )


def _day_ms(day: str) -> int:
    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1000
