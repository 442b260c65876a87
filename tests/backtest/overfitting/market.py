"""A small made-up market for the tests of this folder."""

from decimal import Decimal

import numpy as np

from qtm.backtest.conditions.bars import BarConditions
from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.trading.book import Sizing
from qtm.trading.costs import SPOT_COSTS

DAY_MS = 86_400_000
FIRST_DAY = 18_262  # 2020-01-01
PER_DAY = 6


def instrument(symbol="BTCUSDT", market=Market.SPOT):
    return Instrument(
        market, symbol, symbol[:-4], "USDT", Decimal("0.01"), Decimal("0.00001"), Decimal("0.00001"),
        Decimal("9000"), Decimal("5"),
    )  # fmt: skip


def bars_from(steps, symbol="BTCUSDT", first_day=FIRST_DAY):
    """4h bars whose log closes rise by `steps`, each opening at the close before."""
    close = np.round(1000.0 * np.exp(np.cumsum(steps)), 2)
    opens = np.concatenate(([1000.0], close[:-1]))
    times = first_day * DAY_MS + np.arange(close.size, dtype=np.int64) * (DAY_MS // PER_DAY)
    high, low = np.maximum(opens, close) * 1.002, np.minimum(opens, close) * 0.998
    return BarSeries(symbol, Interval.H4, times, opens, high, low, close, np.ones(close.size))


def noise_steps(days, seed, drift=0.0, scale=0.01):
    return np.random.default_rng(seed).normal(drift, scale, days * PER_DAY)


def trending_steps(days, seed, strength=0.004, run=60):
    """Steps whose drift keeps its random sign for `run` bars, so that a trend can be followed."""
    bars = days * PER_DAY
    signs = np.random.default_rng(seed + 1000).choice([-1.0, 1.0], bars // run + 1)
    return noise_steps(days, seed, scale=0.006) + strength * np.repeat(signs, run)[:bars]


def conditions(bars, costs=SPOT_COSTS, cash=100_000.0):
    return BarConditions(bars, instrument(bars.symbol), cash, costs, Sizing())
