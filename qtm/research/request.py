"""What a run may be told besides its strategy and its symbols, in one type that every entry point shares."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TypedDict

from qtm.errors import ConfigError
from qtm.market.instruments import Market
from qtm.market.lake import Lake
from qtm.risk.sizing import Sizer
from qtm.risk.sizing_rules import sizer_of
from qtm.trading.book import Sizing
from qtm.trading.costs import CostModel


class Options(TypedDict, total=False):
    """The keyword arguments of `backtest`, `gather` and what builds on them; all may be left out.

    market
        `spot` or `um`, for symbols that do not name theirs (`um:BTCUSDT`); spot by default.
    start, end
        First day and the day after the last, UTC (`2024-01-31` or `2024-01-31T12:00`); None means all.
    cash
        Quote currency to start with; the firm's capital by default.
    costs, sizing
        Defaults: the market's regular fees with 1 bp slippage; a target of 1.0 means all equity, or on many
        symbols an equal part of it. A sizing rule, or one as text (`volatility:target=0.01`), scales that;
        see `qtm.risk.sizing_rules`.
    band
        How far beyond the close protective limits stand, as a fraction; 1 % by default.
    gated
        False runs without the risk gate.
    lake
        The lake of the settings by default.
    """

    market: str
    start: str | date | None
    end: str | date | None
    cash: float | None
    costs: CostModel | None
    sizing: Sizing | Sizer | str | None
    band: float
    gated: bool
    lake: Lake | None


def parse_sizing(sizing: Sizing | Sizer | str | None) -> Sizing | Sizer | None:
    """A rule given as text by its name and settings; anything else as it is.

    Raises
    ------
    ConfigError, RiskError
        For an unknown rule, or a setting it does not have or that is out of range.
    """
    return sizer_of(sizing) if isinstance(sizing, str) else sizing


def parse_symbols(symbols: str | Sequence[str], market: str) -> list[tuple[Market, str]]:
    """`BTCUSDT`, `BTCUSDT,um:ETHUSDT` or a list of such names, as markets and symbols.

    Raises
    ------
    ConfigError
        For no symbol, or a market that is not there.
    """
    named = symbols.split(",") if isinstance(symbols, str) else list(symbols)
    found = []
    for name in named:
        where, colon, symbol = name.strip().rpartition(":")
        found.append((parse_market(where if colon else market), symbol))
    if not found or not all(symbol for _, symbol in found):
        raise ConfigError(
            "a symbol is missing", where=str(symbols), remedy="write BTCUSDT or BTCUSDT,ETHUSDT"
        )
    return found


def parse_market(text: str) -> Market:
    """`spot` or `um`; raises ConfigError for anything else."""
    try:
        return Market(text)
    except ValueError:
        raise ConfigError(f"unknown market {text!r}", remedy="use spot or um") from None


def parse_time(value: str | date | None) -> int | None:
    """UTC milliseconds of a day or a time; raises ConfigError when it cannot be read."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise ConfigError(
            f"{str(value)!r} is not a date", remedy="write 2024-01-31 or 2024-01-31T12:00"
        ) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return int(moment.timestamp() * 1000)


def parse_period(start: str | date | None, end: str | date | None) -> tuple[int | None, int | None]:
    """Both ends of a period in milliseconds; raises ConfigError when it is empty."""
    start_ms, end_ms = parse_time(start), parse_time(end)
    if start_ms is not None and end_ms is not None and start_ms >= end_ms:
        raise ConfigError("the period is empty", where=f"{start} .. {end}", remedy="end must be after start")
    return start_ms, end_ms
