"""The books of a run's days, each with the bars known at its close."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from assets.partitions import DAY_MS, Window
from assets.scenarios import rows_of_days, scenarios_of_day
from assets.weights_table import Book, read_books
from qtm.errors import DataError
from qtm.market.lake import Lake
from qtm.settings import settings

if TYPE_CHECKING:
    from qtm.portfolio.daily import DailyAllocation
    from qtm.portfolio.history import DailyHistory

SAME_WEIGHT = 1e-4
"""Largest difference between the weights held and the optimum solved again that rounding explains."""


def books_of_run(lake: Lake, window: Window) -> Iterator[tuple[Window, DailyHistory, DailyAllocation | None]]:
    """Each day of `window`, the history up to its close, and its book (None when it has none).

    Raises
    ------
    DataError
        When no day has a book, a day has no bars, or its bars were changed since its book was made.
    """
    from qtm.portfolio.history import daily_history

    history = daily_history(lake, settings().market.daily_universe, as_of_ms=window.end_ms - DAY_MS)
    books = read_books(lake, window)
    for day, row in zip(window.each(), rows_of_days(history, window), strict=True):
        known = history.until(row)
        book = books.get(day.start_ms)
        yield day, known, None if book is None else _solved_again(lake, book, known, day)


def _solved_again(lake: Lake, book: Book, history: DailyHistory, day: Window) -> DailyAllocation:
    """The allocation behind the weights of a day, solved again under its own mandate and scenarios."""
    from qtm.portfolio.daily import allocate_daily

    stored = scenarios_of_day(lake, history, book.mandate)
    answer = allocate_daily(history, book.mandate, scenarios=stored)
    solved = dict(zip(answer.allocation.problem.symbols, answer.allocation.weights, strict=True))
    for symbol in sorted(solved.keys() | book.weights.keys()):
        held, found = book.weights.get(symbol, 0.0), float(solved.get(symbol, 0.0))
        if abs(held - found) > SAME_WEIGHT:
            raise DataError(
                f"the weights of {day.first} are out of date: {symbol} is held at {held:.4f}, the bars in "
                f"the lake now give {found:.4f}",
                where=f"{history.lake}/weights",
                remedy="materialise `weights` for that day again, then what follows from it",
            )
    return answer
