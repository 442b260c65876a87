"""Returns by calendar month, coloured by size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from qtm.reports.blocks import BAD, GOOD, Block, Cell, table
from qtm.reports.formats import percent

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FULL_COLOUR = 0.10
"""Monthly return at which the colour is at its strongest."""


def monthly_returns(
    days: npt.NDArray[np.int64], equity: npt.NDArray[np.float64], cash: float
) -> dict[tuple[int, int], float]:
    """Return of each calendar month, by (year, month), from daily equities; `days` count from 1970-01-01."""
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    last = np.flatnonzero(np.append(months[1:] != months[:-1], True))
    closing = equity[last]
    returns = closing / np.concatenate(([cash], closing[:-1])) - 1.0
    numbers = months[last].astype(int)
    return {(1970 + n // 12, n % 12 + 1): float(r) for n, r in zip(numbers.tolist(), returns, strict=True)}


def monthly_table(days: npt.NDArray[np.int64], equity: npt.NDArray[np.float64], cash: float) -> Block:
    """A row per year, a column per month, and the year's return."""
    found = monthly_returns(days, equity, cash)
    rows = []
    for year in sorted({year for year, _ in found}):
        values = [found.get((year, month)) for month in range(1, 13)]
        known = [value for value in values if value is not None]
        rows.append(
            (str(year), *(_cell(value) for value in values), _cell(float(np.prod(np.add(known, 1.0)) - 1.0)))
        )
    return table(("Year", *_MONTHS, "Year"), rows)


def _cell(value: float | None) -> str | Cell:
    if value is None:
        return ""
    strength = min(1.0, abs(value) / _FULL_COLOUR) * 0.38
    colour = GOOD if value > 0 else BAD
    return Cell(
        percent(value, 1, signed=True), colour=f"{colour}{round(strength * 255):02x}" if value else ""
    )
