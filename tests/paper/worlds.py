"""Small markets for the paper exchange's tests: own bars, own instruments."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.paper.pacing import STEP
from qtm.paper.replay import BarReplay, ReplayBars
from qtm.paper.server import AccountSpec, PaperExchange
from qtm.trading.costs import SPOT_COSTS, CostModel

START_MS = 1_717_200_000_000
KEY, SECRET = "test-key", "test-secret"


def instrument(symbol: str = "BTCUSDT", base: str = "BTC", quote: str = "USDT") -> Instrument:
    """An instrument on Binance's BTCUSDT grid."""
    return Instrument(
        Market.SPOT,
        symbol,
        base,
        quote,
        Decimal("0.01"),
        Decimal("0.00001"),
        Decimal("0.00001"),
        Decimal("9000"),
        Decimal("5"),
        Decimal("0.01"),
        Decimal("1000000"),
    )


def bars(symbol: str, count: int = 40, price: float = 60000.0, seed: int = 1) -> BarSeries:
    """A random walk on the tick grid; opens differ from the previous close."""
    rng = np.random.default_rng(seed)
    close = np.round(price * np.exp(np.cumsum(rng.normal(0, 0.001, count))), 2)
    open_ = np.round(np.r_[price, close[:-1]] * np.exp(rng.normal(0, 0.0002, count)), 2)
    high = np.round(np.maximum(open_, close) * 1.0005, 2)
    low = np.round(np.minimum(open_, close) * 0.9995, 2)
    times = START_MS + 60_000 * np.arange(count, dtype=np.int64)
    return BarSeries(
        symbol, Interval.M1, times, open_, high, low, close, np.round(rng.uniform(1, 20, count), 5)
    )


def replay(
    *symbols: tuple[str, str, str],
    speed: float = STEP,
    count: int = 40,
    costs: CostModel = SPOT_COSTS,
    history: int = 5,
) -> BarReplay:
    """A replay of random walks for (symbol, base, quote) triples."""
    chosen = symbols or (("BTCUSDT", "BTC", "USDT"),)
    return BarReplay(
        [
            ReplayBars.from_series(
                instrument(*names), bars(names[0], count, seed=i + 1), start_ms=START_MS + history * 60_000
            )
            for i, names in enumerate(chosen)
        ],
        costs=costs,
        speed=speed,
    )


def exchange(feed: Any = None, balances: dict[str, str] | None = None, **options: Any) -> PaperExchange:
    """An exchange with one funded account."""
    funds = {"USDT": "100000", "BTC": "2"} if balances is None else balances
    return PaperExchange(
        replay() if feed is None else feed, accounts=[AccountSpec("desk", KEY, SECRET, funds)], **options
    )
