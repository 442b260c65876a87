"""Small markets for account tests: instruments, panels from rows, random walks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

import numpy as np

from qtm.backtest.account.panel import Listed, Panel
from qtm.backtest.funding import FundingRates
from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.trading.costs import FEE_IN_QUOTE, CostModel
from tests.backtest.scripted import NO_CHANGE, START_MS

KEEP = NO_CHANGE
FREE = CostModel(0.0, 0.0, 0.0, FEE_IN_QUOTE)


def coin(symbol: str, market: Market = Market.SPOT, **changes: str) -> Instrument:
    filters = {
        "tick_size": "0.01", "step_size": "0.001", "min_qty": "0.001", "max_qty": "9000", "min_notional": "5",
    } | changes  # fmt: skip
    numbers = {name: Decimal(value) for name, value in filters.items()}
    return Instrument(market, symbol, symbol.removesuffix("USDT"), "USDT", **numbers)


def series(
    symbol: str, rows: Sequence[tuple[float, ...] | None], interval: Interval = Interval.H1
) -> BarSeries:
    """Bars from (open, close, target) or (open, high, low, close, target) rows; None for no bar."""
    kept = [(at, row) for at, row in enumerate(rows) if row is not None]
    full = [row if len(row) == 5 else (row[0], max(row[:2]), min(row[:2]), row[1], row[2]) for _, row in kept]
    opened, high, low, close, target = (np.array(c, dtype=np.float64) for c in zip(*full, strict=True))
    times = START_MS + np.array([at for at, _ in kept], dtype=np.int64) * interval.ms
    return BarSeries(symbol, interval, times, opened, high, low, close, target)


def panel(
    rows: Mapping[str, Sequence[tuple[float, ...] | None]],
    market: Market = Market.SPOT,
    *,
    funding: Mapping[str, FundingRates] | None = None,
    interval: Interval = Interval.H1,
    **filters: str,
) -> Panel:
    """A panel from rows per symbol (see `series`)."""
    return Panel.of(
        [
            Listed(
                coin(symbol, market, **filters), series(symbol, given, interval), (funding or {}).get(symbol)
            )
            for symbol, given in rows.items()
        ]
    )


def wandering(symbols: Sequence[str], bars: int, seed: int, market: Market = Market.SPOT) -> Panel:
    """Random walks on a grid of cents, with volume; every instrument has all bars."""
    random = np.random.default_rng(seed)
    listed = []
    for symbol in symbols:
        close = np.round(100.0 * np.exp(np.cumsum(random.normal(0.0, 0.004, bars))), 2)
        opened = np.round(np.concatenate(([100.0], close[:-1])) * np.exp(random.normal(0.0, 0.0005, bars)), 2)
        reach = np.exp(np.abs(random.normal(0.0, 0.002, (2, bars))))
        high = np.round(np.maximum(opened, close) * reach[0], 2)
        low = np.round(np.minimum(opened, close) / reach[1], 2)
        volume = np.round(random.gamma(2.0, 500.0, bars), 3)
        times = START_MS + np.arange(bars, dtype=np.int64) * Interval.H1.ms
        listed.append(
            Listed(
                coin(symbol, market), BarSeries(symbol, Interval.H1, times, opened, high, low, close, volume)
            )
        )
    return Panel.of(listed)
