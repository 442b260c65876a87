"""Leverage brackets of USD-M contracts: the larger a position, the less leverage and the more maintenance.

Maintenance margin is `notional x rate - cum` of the bracket that holds the notional; `cum` makes it
continuous over bracket borders. The tables are of the venue's shape and size, not a copy of today's: an
account's own are at `GET /fapi/v1/leverageBracket`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class BracketRow(NamedTuple):
    """Largest leverage, the notional in quote currency up to which it holds, and the maintenance rate."""

    leverage: int
    cap: int
    maintenance_rate: Decimal


def _rows(*rows: tuple[int, int, str]) -> tuple[BracketRow, ...]:
    return tuple(BracketRow(leverage, cap, Decimal(rate)) for leverage, cap, rate in rows)


LARGE = _rows(
    (125, 300_000, "0.004"), (100, 800_000, "0.005"), (75, 3_000_000, "0.0065"), (50, 12_000_000, "0.01"),
    (25, 70_000_000, "0.02"), (20, 100_000_000, "0.025"), (10, 230_000_000, "0.05"), (5, 480_000_000, "0.1"),
    (4, 600_000_000, "0.125"), (3, 800_000_000, "0.15"), (2, 1_200_000_000, "0.25"),
    (1, 1_800_000_000, "0.5"),
)  # fmt: skip
"""For the two largest contracts."""

SMALL = _rows(
    (75, 10_000, "0.01"), (50, 50_000, "0.015"), (25, 400_000, "0.02"), (20, 1_000_000, "0.025"),
    (10, 4_000_000, "0.05"), (5, 8_000_000, "0.1"), (4, 10_000_000, "0.125"), (2, 20_000_000, "0.25"),
    (1, 40_000_000, "0.5"),
)  # fmt: skip
"""For every other contract."""


def rows_of(base: str) -> tuple[BracketRow, ...]:
    """The table of a contract on `base`."""
    return LARGE if base in ("BTC", "ETH") else SMALL


def bracket_array(rows: tuple[BracketRow, ...]) -> npt.NDArray[np.float64]:
    """The table for compiled code, shape (B, 4): lowest notional, rate, `cum`, largest leverage."""
    table = np.empty((len(rows), 4))
    floor, cum, last_rate = 0, Decimal(0), Decimal(0)
    for at, row in enumerate(rows):
        cum += floor * (row.maintenance_rate - last_rate)
        table[at] = floor, float(row.maintenance_rate), float(cum), row.leverage
        floor, last_rate = row.cap, row.maintenance_rate
    return table
