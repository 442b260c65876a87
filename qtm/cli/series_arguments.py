"""What the market data commands read from the command line: markets, symbols, days and windows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qtm.errors import ConfigError
from qtm.settings import settings

if TYPE_CHECKING:
    from qtm.market.intervals import Interval

SymbolsOption = Annotated[
    str | None,
    typer.Option(
        "--symbols", "-s", help="Comma-separated, BTCUSDT,ETHUSDT (default: the settings' universe)."
    ),
]
KindOption = Annotated[str, typer.Option("--kind", help="bars, or mark or index prices of um.")]
FromOption = Annotated[
    str | None, typer.Option("--from", help="First day, UTC: 2024-01-31 (default: the settings' start).")
]
ToOption = Annotated[str | None, typer.Option("--to", help="Day after the last, UTC (default: today).")]


def split_symbols(symbols: str) -> list[str]:
    """`BTCUSDT,ETHUSDT` as names in capitals, each once."""
    names = [name.strip().upper() for name in symbols.split(",") if name.strip()]
    if not names:
        raise ConfigError("no symbols given", where="--symbols", remedy="name at least one, such as BTCUSDT")
    return list(dict.fromkeys(names))


def chosen_symbols(symbols: str | None, interval: Interval) -> list[str]:
    """The symbols asked for; by default the settings' universe for bars of that length."""
    if symbols is not None:
        return split_symbols(symbols)
    market = settings().market
    return list(market.daily_universe if interval.ms >= 86_400_000 else market.intraday_symbols)


def market_named(text: str) -> Any:
    """The `Market` of that name."""
    from qtm.market.instruments import Market

    return choice(Market, text, "--market")


def choice(kind: Any, text: str, option: str) -> Any:
    """The member of an enumeration of that value; the error names the option and the known ones."""
    try:
        return kind(text)
    except ValueError:
        known = ", ".join(str(one) for one in kind)
        raise ConfigError(f"unknown value {text!r}", where=option, remedy=f"use one of {known}") from None


def day_ms(text: str, option: str) -> int:
    """00:00 UTC of a day written 2024-01-31."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a date", where=option, remedy="write year-month-day, such as 2024-01-31"
        ) from None
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def window(start: str | None, end: str | None) -> tuple[int, int]:
    """The half-open window of two days; by default from the settings' first day to the start of today."""
    first = start or settings().market.history_start.isoformat()
    after = end or datetime.now(UTC).date().isoformat()
    start_ms, end_ms = day_ms(first, "--from"), day_ms(after, "--to")
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    if end_ms > day_ms(tomorrow.isoformat(), "--to"):
        raise ConfigError(f"{after} lies in the future", where="--to", remedy="--to is at most tomorrow")
    if end_ms <= start_ms:
        raise ConfigError(
            f"the window from {first} to {after} is empty",
            where="--from and --to",
            remedy="give the earlier day as --from; --to is the day after the last",
        )
    return start_ms, end_ms
