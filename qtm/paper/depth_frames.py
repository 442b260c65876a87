"""Depth as the venue writes it, read exactly: what recorded frames and the live mirror have in common."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from qtm.errors import DataError
from qtm.paper.wire import parse_amount

Levels = list[tuple[int, int]]
"""(price, quantity) pairs in 1e-8 units."""


def amount_of(text: str) -> int:
    """A price or quantity in 1e-8 units; DataError for what is no decimal number."""
    parsed = parse_amount(text)
    if parsed is None:
        raise DataError("the venue sent an amount that is no number", where=repr(text))
    return parsed[0]


def levels_of(rows: Iterable[Sequence[str]]) -> Levels:
    """`[["61837.63000000", "3.78826000"], ...]` in units."""
    return [(amount_of(row[0]), amount_of(row[1])) for row in rows]
