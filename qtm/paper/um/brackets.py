"""Leverage brackets: how much leverage a notional allows and the maintenance margin it needs.

Maintenance margin is `notional * rate - cum` of the bracket that holds the notional; `cum` makes it
continuous over bracket borders. The tables are of the venue's shape and size, not a copy of today's.
"""

from __future__ import annotations

from typing import NamedTuple

from qtm.paper.wire import E8


class Bracket(NamedTuple):
    """One bracket; notionals and `cum` in 1e-8 quote units, `rate` in 1e-8."""

    number: int
    leverage: int
    floor: int
    cap: int
    rate: int
    cum: int


def bracket_table(rows: list[tuple[int, int, int]]) -> tuple[Bracket, ...]:
    """Brackets from (leverage, notional cap in quote currency, maintenance rate in 1e-8)."""
    table: list[Bracket] = []
    floor = cum = last_rate = 0
    for number, (leverage, cap, rate) in enumerate(rows, start=1):
        cum += floor * (rate - last_rate) // E8
        table.append(Bracket(number, leverage, floor, cap * E8, rate, cum))
        floor, last_rate = cap * E8, rate
    return tuple(table)


LARGE = bracket_table(
    [
        (125, 300_000, 400_000), (100, 800_000, 500_000), (75, 3_000_000, 650_000),
        (50, 12_000_000, 1_000_000),
        (25, 70_000_000, 2_000_000), (20, 100_000_000, 2_500_000), (10, 230_000_000, 5_000_000),
        (5, 480_000_000, 10_000_000), (4, 600_000_000, 12_500_000), (3, 800_000_000, 15_000_000),
        (2, 1_200_000_000, 25_000_000), (1, 1_800_000_000, 50_000_000),
    ]
)  # fmt: skip
"""For the two largest contracts."""

SMALL = bracket_table(
    [
        (75, 10_000, 1_000_000), (50, 50_000, 1_500_000), (25, 400_000, 2_000_000),
        (20, 1_000_000, 2_500_000),
        (10, 4_000_000, 5_000_000), (5, 8_000_000, 10_000_000), (4, 10_000_000, 12_500_000),
        (2, 20_000_000, 25_000_000), (1, 40_000_000, 50_000_000),
    ]
)  # fmt: skip
"""For every other contract."""


def brackets_of(base: str) -> tuple[Bracket, ...]:
    """The table of a contract on `base`."""
    return LARGE if base in ("BTC", "ETH") else SMALL


def bracket_at(table: tuple[Bracket, ...], notional: int) -> Bracket:
    """The bracket that holds a notional (the last one beyond the table)."""
    return next((bracket for bracket in table if notional <= bracket.cap), table[-1])


def maintenance(table: tuple[Bracket, ...], notional: int) -> int:
    """Maintenance margin of a notional, 1e-8 units, rounded up."""
    notional = abs(notional)
    if not notional:
        return 0
    bracket = bracket_at(table, notional)
    return -(-notional * bracket.rate // E8) - bracket.cum


def max_notional(table: tuple[Bracket, ...], leverage: int) -> int:
    """The largest notional a leverage allows."""
    return max((bracket.cap for bracket in table if bracket.leverage >= leverage), default=0)
