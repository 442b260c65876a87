"""The book that `stress` and `model-backtest` look at: given weights, or the universe at equal ones."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qtm.errors import ConfigError
from qtm.settings import settings

if TYPE_CHECKING:
    from qtm.portfolio.history import DailyHistory
    from qtm.risk.measures import Floats
    from qtm.risk.stress import DailyPrices

Held = Annotated[
    Path | None,
    typer.Option(
        help="JSON file of weights, {symbol: weight} or what qtm optimize --json printed; "
        "negative is a short perpetual; else equal weights."
    ),
]
AsOf = Annotated[str | None, typer.Option(help="Last day used, YYYY-MM-DD; else the newest.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@dataclass(frozen=True, slots=True)
class Book:
    """Weights over the symbols that have a bar on the last day."""

    history: DailyHistory
    symbols: tuple[str, ...]
    weights: Floats
    prices: DailyPrices
    marks: DailyPrices | None
    title: str


def read_book(held: Path | None, as_of: str | None) -> Book:
    """The weights of a file, or equal ones, with the prices of their symbols; ConfigError for bad weights."""
    import numpy as np

    from qtm.market.lake import Lake
    from qtm.portfolio.history import daily_history
    from qtm.risk.mark_prices import daily_marks
    from qtm.risk.stress import DailyPrices

    config = settings()
    asked = None if held is None else read_weights(held)
    if asked is not None and not asked:
        raise ConfigError("a book needs at least one weight", where=f"{held}")
    symbols = config.market.daily_universe if asked is None else tuple(asked)
    lake = Lake.from_settings(config)
    history = daily_history(lake, symbols, as_of_ms=day_ms(as_of))
    priced = [i for i in range(len(history.symbols)) if np.isfinite(history.closes[-1, i])]
    present = tuple(history.symbols[i] for i in priced)
    if asked is None:
        weights = np.full(len(present), 1.0 / len(present))
        title = f"equal weights of {len(present)} symbols"
    else:
        unpriced = [symbol for symbol in asked if symbol not in present]
        if unpriced:
            raise ConfigError(
                "a held symbol has no price on the last day",
                where=", ".join(unpriced),
                remedy="ingest its daily bars, or take it out of the weights",
            )
        weights = np.array([asked[symbol] for symbol in present])
        title = f"{held}"
    days = history.open_time_ms
    tables = (table[:, priced] for table in (history.closes, history.lows, history.highs))
    marks = daily_marks(lake, present, days) if (weights < 0.0).any() else None
    return Book(history, present, weights, DailyPrices(days, *tables), marks, title)


def read_weights(path: Path) -> dict[str, float]:
    """Weights by symbol: a plain JSON object, or the `weights` of what `qtm optimize --json` printed.

    Raises
    ------
    ConfigError
        If the file cannot be read, or holds a weight that is no number.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        body = body["weights"] if isinstance(body.get("weights"), dict) else body
        weights = {str(symbol): float(weight) for symbol, weight in body.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"weights cannot be read: {error}",
            where=str(path),
            remedy='write JSON like {"BTCUSDT": 0.25}, or give what `qtm optimize --json` printed',
        ) from None
    if not all(math.isfinite(weight) for weight in weights.values()):
        raise ConfigError("weights must be numbers", where=str(path), remedy="mend the file")
    return weights


def day_of(text: str) -> date:
    """A day as written after --as-of."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a day", where="--as-of", remedy="write it as YYYY-MM-DD"
        ) from None


def day_ms(text: str | None) -> int | None:
    """The day's start in milliseconds; None for the newest day."""
    if text is None:
        return None
    return int(datetime.combine(day_of(text), time(), UTC).timestamp() * 1000)
