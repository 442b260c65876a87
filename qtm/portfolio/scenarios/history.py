"""From closes to scenarios: which symbols can be measured, and what is done where history is missing.

Rules, each recorded in the result and never silent:

- a symbol without a price at the end of the window is excluded (it is halted, delisted or dead);
- a hole longer than `longest_gap` bars ends the usable history there: a symbol that comes back after it may
  be another asset, as LUNAUSDT was in May 2022;
- a shorter hole is kept as a position would have lived it: nothing while there is no price, then the whole
  move at once;
- a symbol with fewer than `least_history` usable returns is excluded;
- the bars before a newly listed symbol's first price are filled with its regression on the equal-weighted
  return of the symbols that have them all, plus residuals redrawn from its own history, so that neither its
  common nor its own risk is understated.
"""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt
import polars as pl

from qtm.clock import iso_utc
from qtm.errors import DataError, RiskError
from qtm.portfolio.scenarios.scenario_set import Backfill, Exclusion, Provenance, ScenarioSet
from qtm.risk.measures import Floats


def historical_scenarios(
    closes: pl.DataFrame, *, least_history: int = 180, longest_gap: int = 5
) -> ScenarioSet:
    """Simple returns of consecutive bars of a wide close table.

    Parameters
    ----------
    closes
        `open_time_ms` (strictly increasing) and one price column per symbol, null where there is no bar.
    least_history
        Fewest returns a symbol must have to be measured.
    longest_gap
        Most consecutive bars without a price inside a usable history.

    Raises
    ------
    DataError
        If times are not strictly increasing or a price is not positive; the message names symbol and time.
    RiskError
        If no symbol is left, naming why each was excluded.
    """
    times = closes["open_time_ms"].to_numpy().astype(np.int64)
    if times.shape[0] < 3 or not (np.diff(times) > 0).all():
        raise DataError("closes need three bars or more in increasing time", where="open_time_ms")
    columns: dict[str, Floats] = {}
    excluded: list[Exclusion] = []
    for symbol in (name for name in closes.columns if name != "open_time_ms"):
        prices = _prices(closes, symbol, times)
        usable = _usable_history(prices, longest_gap)
        returns = _returns(usable)
        known = int(np.isfinite(returns).sum())
        if not np.isfinite(prices[-1]):
            excluded.append(
                Exclusion(symbol, f"no price at {iso_utc(int(times[-1]))}, the end of the window")
            )
        elif known < least_history:
            excluded.append(Exclusion(symbol, f"{known} usable returns, fewer than {least_history}"))
        else:
            columns[symbol] = returns
    if not columns:
        why = "; ".join(f"{entry.symbol}: {entry.reason}" for entry in excluded)
        raise RiskError(
            "no symbol has enough history", where=why, remedy="widen the window or ingest more days"
        )
    symbols = tuple(columns)
    table, backfilled = _backfill(symbols, np.column_stack(list(columns.values())), times)
    return ScenarioSet(
        symbols=symbols,
        open_time_ms=times[1:],
        returns=table,
        excluded=tuple(excluded),
        backfilled=backfilled,
        provenance=Provenance((int(times[1]), int(times[-1]))),
    )


def _prices(closes: pl.DataFrame, symbol: str, times: npt.NDArray[np.int64]) -> Floats:
    prices = closes[symbol].cast(pl.Float64).fill_null(np.nan).to_numpy().astype(np.float64)
    wrong = np.flatnonzero(np.isfinite(prices) & (prices <= 0.0) | np.isinf(prices))
    if wrong.size:
        raise DataError(
            f"close {prices[wrong[0]]} cannot be a price",
            where=f"{symbol} {iso_utc(int(times[wrong[0]]))}",
            remedy="run `qtm quality` and quarantine the bar",
        )
    return prices


def _usable_history(prices: Floats, longest_gap: int) -> Floats:
    """Prices with everything before the last hole longer than `longest_gap` bars forgotten."""
    known = np.flatnonzero(np.isfinite(prices))
    breaks = np.flatnonzero(np.diff(known) > longest_gap + 1)
    if breaks.size == 0:
        return prices
    usable = prices.copy()
    usable[: known[breaks[-1] + 1]] = np.nan
    return usable


def _returns(prices: Floats) -> Floats:
    """Returns with short holes lived through; NaN before the first price."""
    known = np.flatnonzero(np.isfinite(prices))
    returns = np.full(prices.shape[0] - 1, np.nan)
    if known.size < 2:
        return returns
    returns[known[0] : known[-1]] = 0.0
    returns[known[1:] - 1] = prices[known[1:]] / prices[known[:-1]] - 1.0
    return returns


def _backfill(
    symbols: tuple[str, ...], table: Floats, times: npt.NDArray[np.int64]
) -> tuple[Floats, tuple[Backfill, ...]]:
    missing = ~np.isfinite(table)
    if not missing.any():
        return table, ()
    whole = ~missing.any(axis=0)
    if not whole.any():
        raise RiskError(
            "no symbol has a price over the whole window to relate the newly listed ones to",
            where=", ".join(symbols),
            remedy="shorten the window",
        )
    market = table[:, whole].mean(axis=1)
    filled = table.copy()
    notes = []
    for column in np.flatnonzero(missing.any(axis=0)):
        known = ~missing[:, column]
        centred = market[known] - market[known].mean()
        beta = float(centred @ table[known, column] / max(float(centred @ centred), 1e-300))
        residual = table[known, column] - table[known, column].mean() - beta * centred
        draw = np.random.default_rng(zlib.crc32(symbols[column].encode()))
        gap = missing[:, column]
        filled[gap, column] = np.maximum(beta * market[gap] + draw.choice(residual, int(gap.sum())), -0.99)
        first = int(times[int(np.flatnonzero(known)[0])])
        notes.append(Backfill(symbols[column], int(gap.sum()), first, beta))
    return filled, tuple(notes)
