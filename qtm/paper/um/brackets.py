"""Leverage brackets: how much leverage a notional allows and the maintenance margin it needs.

Maintenance margin is `notional * rate - cum` of the bracket that holds the notional; `cum` makes it
continuous over bracket borders.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from qtm.errors import ConfigError
from qtm.paper.wire import E8, units_of
from qtm.trading import brackets


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


LARGE, SMALL = (
    bracket_table([(row.leverage, row.cap, int(row.maintenance_rate * E8)) for row in rows])
    for rows in (brackets.LARGE, brackets.SMALL)
)
"""For the two largest contracts, and for every other one."""


def brackets_of(base: str) -> tuple[Bracket, ...]:
    """The table of a contract on `base`."""
    return LARGE if brackets.rows_of(base) is brackets.LARGE else SMALL


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


def bracket_view(bracket: Bracket) -> dict[str, Any]:
    """A bracket as leverageBracket shows it."""
    return {
        "bracket": bracket.number, "initialLeverage": bracket.leverage,
        "notionalCap": bracket.cap // E8, "notionalFloor": bracket.floor // E8,
        "maintMarginRatio": bracket.rate / E8, "cum": bracket.cum / E8,
    }  # fmt: skip


def load_brackets(path: Path) -> dict[str, tuple[Bracket, ...]]:
    """Read brackets by symbol from a JSON file (`.gz` too).

    The file holds what `GET /fapi/v1/leverageBracket` answers, or what ccxt's `fetch_leverage_tiers` makes of
    it (whose `info` members are the venue's rows).

    Raises
    ------
    ConfigError
        When the file cannot be read, or a table has gaps or a leverage that rises with the notional.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        tables = dict(_tables(json.loads(raw)))
    except (OSError, EOFError, ValueError, KeyError, TypeError, ArithmeticError) as error:
        raise ConfigError(
            f"the brackets cannot be read: {type(error).__name__}: {error}",
            where=str(path),
            remedy="give an answer of GET /fapi/v1/leverageBracket as a JSON file",
        ) from error
    for symbol, table in tables.items():
        pairs = pairwise(table)
        joined = all(low.cap == high.floor and low.leverage >= high.leverage for low, high in pairs)
        if not table or table[0].floor or not joined:
            raise ConfigError(f"the brackets of {symbol} do not join", where=str(path))
    return tables


def _tables(data: Any) -> Iterable[tuple[str, tuple[Bracket, ...]]]:
    if isinstance(data, Mapping) and "brackets" not in data:
        for name, tiers in data.items():
            symbol = str(name).partition(":")[0].replace("/", "")
            yield symbol, tuple(_bracket(tier["info"]) for tier in tiers)
        return
    for row in [data] if isinstance(data, Mapping) else data:
        yield str(row["symbol"]), tuple(_bracket(bracket) for bracket in row["brackets"])


def _bracket(row: Mapping[str, Any]) -> Bracket:
    return Bracket(
        int(row["bracket"]), int(row["initialLeverage"]), units_of(row["notionalFloor"]),
        units_of(row["notionalCap"]), units_of(row["maintMarginRatio"]), units_of(row["cum"]),
    )  # fmt: skip
