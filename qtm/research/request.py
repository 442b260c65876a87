"""What a run may be told besides its strategy and its symbols, in one type that every entry point shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import TypedDict

from qtm.errors import ConfigError
from qtm.market.instruments import Market
from qtm.market.lake import Lake
from qtm.risk.sizing import Sizer
from qtm.risk.sizing_rules import sizer_of
from qtm.trading.book import Sizing
from qtm.trading.costs import CostModel
from qtm.trading.margin import MarginMode


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
    margin
        `cross`, the default, or `isolated`: each futures position on a wallet of its own.
    leverage
        Of futures: one number (5 by default), or one per symbol, as a mapping or as text
        (`5,BTCUSDT=10`), where a number without a name is for the others.
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
    margin: MarginMode | str | None
    leverage: float | str | Mapping[str, float] | None
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


def parse_margin(margin: MarginMode | str | None) -> MarginMode:
    """`cross` or `isolated`, cross by default; raises ConfigError for anything else."""
    try:
        return MarginMode(margin or MarginMode.CROSS)
    except ValueError:
        raise ConfigError(
            f"unknown margin mode {margin!r}", where="margin", remedy="use cross or isolated"
        ) from None


def parse_leverage(
    leverage: float | str | Mapping[str, float] | None,
) -> tuple[float | None, dict[str, float]]:
    """The leverage of futures that are not named, None when it is not given, and that of those that are.

    Raises
    ------
    ConfigError
        For a number below 1, or a text that cannot be read.
    """
    default: float | None = None
    named: dict[str, float] = {}
    if isinstance(leverage, str):
        for part in leverage.split(","):
            symbol, _, number = part.rpartition("=")
            if symbol:
                named[symbol.strip().upper()] = _number(number)
            else:
                default = _number(number)
    elif isinstance(leverage, Mapping):
        named = {symbol.upper(): float(value) for symbol, value in leverage.items()}
    elif leverage is not None:
        default = float(leverage)
    for value in (*named.values(), *([] if default is None else [default])):
        if not 1.0 <= value < float("inf"):
            raise ConfigError(f"leverage must be at least 1, not {value:g}", where="leverage")
    return default, named


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is no leverage", where="leverage", remedy="write 5, or 5,BTCUSDT=10"
        ) from None


def parse_symbols(symbols: str | Sequence[str], market: str) -> list[tuple[Market, str]]:
    """`BTCUSDT`, `BTCUSDT,um:ETHUSDT` or a list of such names, as markets and symbols in capitals.

    Raises
    ------
    ConfigError
        For no symbol, or a market that is not there.
    """
    named = symbols.split(",") if isinstance(symbols, str) else list(symbols)
    found = []
    for name in named:
        where, colon, symbol = name.strip().rpartition(":")
        found.append((parse_market(where if colon else market), symbol.strip().upper()))
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
