"""The path a synthetic symbol's price takes, from coarse to fine.

* **Day**: log returns are `beta x market + own`, both GARCH(1,1) with Student-like jumps, pulled gently
  towards the symbol's anchor price so that a long path stays within its tick grid.
* **Hour**: Brownian bridges of the market's and the symbol's own part run through the 24 hours, with more
  variance and volume in the European and American hours.
* **Minute**: a bridge runs through each hour inside the hour's range and touches both of its ends.

Random numbers come from Philox counters addressed by day, one 64-bit draw per number, which is what makes a
slice independent of where it starts.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qtm.market.instruments import Instrument

DAY_MS = 86_400_000
HOUR_MS = 3_600_000
GENESIS_DAY = 17_167
"""2017-01-01, the first day of the path, counted from 1970-01-01."""

Floats = npt.NDArray[np.float64]


_ANCHOR_USDT = {
    "AAVE": 250.0, "ADA": 0.75, "ALGO": 0.25, "AVAX": 25.0, "BCH": 500.0, "BNB": 700.0, "BTC": 60_000.0,
    "DOGE": 0.2, "DOT": 5.0, "ETC": 20.0, "ETH": 3_000.0, "FIL": 3.0, "HBAR": 0.2, "ICP": 6.0, "LINK": 16.0,
    "LTC": 100.0, "NEAR": 3.0, "PAXG": 3_000.0, "SHIB": 0.000_02, "SOL": 150.0, "TRX": 0.3, "VET": 0.03,
    "XLM": 0.3, "XRP": 2.0, "1000PEPE": 0.01,
}  # fmt: skip
_DAILY_TURNOVER_USDT = 2e9
"""Traded value on an average day of the largest symbol; the others follow their rank."""

_HOUR_SHAPE = np.array(
    [1.05, 0.95, 0.85, 0.75, 0.7, 0.7, 0.75, 0.9, 1.05, 1.0, 0.95, 0.95,
     1.1, 1.45, 1.6, 1.55, 1.35, 1.15, 1.05, 1.0, 1.0, 0.95, 0.9, 0.9]
)  # fmt: skip
_HOUR_WEIGHT = _HOUR_SHAPE / _HOUR_SHAPE.sum()


class Character(NamedTuple):
    """How a symbol behaves: its anchor price, its share of the market's moves, its own daily volatility."""

    anchor: float
    beta: float
    own_volatility: float
    turnover: float


class SyntheticPath:
    """The path of one symbol, computed day by day and refined on demand."""

    def __init__(self, instrument: Instrument, seed: int) -> None:
        self.symbol = instrument.symbol
        self.seed = seed
        self.tick = float(instrument.tick_size)
        self.step = float(instrument.step_size)
        self.character = _character(instrument)

    def hours(self, days: npt.NDArray[np.int64]) -> dict[str, Floats]:
        """Hourly columns of shape (24 x days,): prices in ticks, volume in lots, trades as counts."""
        market = _daily("market", self.seed, 1.0)
        own = _daily(self.symbol, self.seed, self.character.own_volatility / _MARKET_VOLATILITY)
        at = days - GENESIS_DAY
        level = _log_level(self.character, self.symbol, self.seed)
        shared = _bridge(_normals(self.seed, "market/hour", days, 24), market.returns[at], market.sigma[at])
        alone = _bridge(_normals(self.seed, f"{self.symbol}/hour", days, 24), own.returns[at], own.sigma[at])
        steps = self.character.beta * shared + alone
        # The pull towards the anchor is spread over the day so that the last hour closes on the next open.
        drift = (level[at + 1] - level[at]) - steps.sum(axis=1)
        steps += drift[:, None] * _HOUR_WEIGHT
        close = level[at][:, None] + np.cumsum(steps, axis=1)
        close_ticks = np.maximum(np.rint(np.exp(close) / self.tick), 1.0)
        open_ticks = np.empty_like(close_ticks)
        open_ticks[:, 1:] = close_ticks[:, :-1]
        open_ticks[:, 0] = np.maximum(np.rint(np.exp(level[at]) / self.tick), 1.0)
        sigma = np.sqrt((self.character.beta * market.sigma[at]) ** 2 + own.sigma[at] ** 2)[
            :, None
        ] * np.sqrt(_HOUR_WEIGHT)
        reach = np.abs(_normals(self.seed, f"{self.symbol}/reach", days, 48)).reshape(-1, 24, 2)
        high, low = _range(open_ticks, close_ticks, sigma, reach)
        heat = sigma / (np.sqrt(_HOUR_WEIGHT) * 0.03)
        noise = np.exp(0.35 * _normals(self.seed, f"{self.symbol}/volume", days, 24) - 0.06)
        value = self.character.turnover * _HOUR_WEIGHT * heat * noise
        lots = np.maximum(np.rint(value / (close_ticks * self.tick) / self.step), 60.0)
        trades = np.maximum(np.rint(value / 900.0), 60.0)
        taker = np.clip(0.5 + 8.0 * steps, 0.2, 0.8)
        columns = {"open": open_ticks, "high": high, "low": low, "close": close_ticks,
                   "lots": lots, "trades": trades, "taker_lots": np.rint(lots * taker)}  # fmt: skip
        return {name: values.ravel() for name, values in columns.items()}

    def minutes(self, days: npt.NDArray[np.int64]) -> dict[str, Floats]:
        """Minute columns of shape (1440 x days,), inside the hours' ranges and touching their ends."""
        hour = {name: values[:, None] for name, values in self.hours(days).items()}
        count = hour["open"].shape[0]
        sigma = np.log(hour["high"] / hour["low"]) / 1.7
        draws = _normals(self.seed, f"{self.symbol}/minute", days, 1440).reshape(count, 60)
        steps = draws * sigma / np.sqrt(60.0)
        steps += (np.log(hour["close"] / hour["open"]) - steps.sum(axis=1, keepdims=True)) / 60.0
        close = np.rint(hour["open"] * np.exp(np.cumsum(steps, axis=1)))
        close = np.clip(close, hour["low"], hour["high"])
        close[:, -1] = hour["close"][:, 0]
        opens = np.concatenate([hour["open"], close[:, :-1]], axis=1)
        reach = np.abs(_normals(self.seed, f"{self.symbol}/minute reach", days, 2880)).reshape(count, 60, 2)
        high, low = _range(opens, close, sigma / np.sqrt(60.0), reach)
        high, low = np.minimum(high, hour["high"]), np.maximum(low, hour["low"])
        rows = np.arange(count)
        high[rows, np.argmax(high, axis=1)] = hour["high"][:, 0]
        low[rows, np.argmin(low, axis=1)] = hour["low"][:, 0]
        weights = np.exp(0.6 * _normals(self.seed, f"{self.symbol}/minute volume", days, 1440)).reshape(
            count, 60
        )
        columns = {"open": opens, "high": high, "low": low, "close": close}
        for name in ("lots", "trades", "taker_lots"):
            columns[name] = _split(hour[name], weights)
        return {name: values.ravel() for name, values in columns.items()}


class _Daily(NamedTuple):
    returns: Floats
    sigma: Floats


_MARKET_VOLATILITY = 0.028
_LAST_DAY = 29_220
"""2050-01-01: the days of one path, computed once per symbol and seed."""


@lru_cache(maxsize=64)
def _daily(name: str, seed: int, scale: float) -> _Daily:
    """Daily GARCH(1,1) log returns with jumps from 2017 to 2049, and their conditional volatilities."""
    days = np.arange(GENESIS_DAY, _LAST_DAY)
    normal = _normals(seed, f"{name}/day", days, 4)
    uniform = _uniforms(seed, f"{name}/jump", days, 4)
    jumps = np.where(uniform[:, 0] < 0.015, normal[:, 1] * 2.5 - 0.4, 0.0)
    shocks = (normal[:, 0] + jumps).tolist()
    long_run = (_MARKET_VOLATILITY * scale) ** 2
    alpha, persistence = 0.09, 0.89
    variance = long_run
    returns, sigma = [], []
    for shock in shocks:
        volatility = min(variance, 9.0 * long_run) ** 0.5
        moved = volatility * shock
        returns.append(moved)
        sigma.append(volatility)
        variance = long_run * (1.0 - alpha - persistence) + alpha * moved * moved + persistence * variance
    return _Daily(np.array(returns), np.array(sigma))


@lru_cache(maxsize=64)
def _log_level(character: Character, symbol: str, seed: int) -> Floats:
    """Log price at the start of each day since genesis; shape (days + 1,)."""
    market = _daily("market", seed, 1.0)
    own = _daily(symbol, seed, character.own_volatility / _MARKET_VOLATILITY)
    moves = (character.beta * market.returns + own.returns).tolist()
    anchor = float(np.log(character.anchor))
    level = anchor
    path = [level]
    for move in moves:
        level += move - 0.004 * (level - anchor)
        path.append(level)
    return np.array(path)


def _character(instrument: Instrument) -> Character:
    anchor = _ANCHOR_USDT[instrument.base]
    rank = _uniforms(0, f"{instrument.base}/character", np.array([0]), 4)[0]
    if instrument.base == "BTC":
        return Character(anchor, 0.95, 0.008, _DAILY_TURNOVER_USDT)
    if instrument.base == "PAXG":
        return Character(anchor, 0.05, 0.009, _DAILY_TURNOVER_USDT / 100)
    turnover = _DAILY_TURNOVER_USDT / (4.0 + 36.0 * rank[2])
    return Character(anchor, 0.9 + 0.5 * rank[0], 0.022 + 0.02 * rank[1], turnover)


def _uniforms(seed: int, stream: str, days: npt.NDArray[np.int64], per_day: int) -> Floats:
    """Uniform draws in (0, 1) of shape (days, per_day); the draws of a day depend on nothing but its number.

    `days` are consecutive and `per_day` a multiple of 4, because a Philox counter yields four draws.
    """
    digest = hashlib.blake2b(f"{seed}/{stream}".encode(), digest_size=16).digest()
    bits = np.random.Philox(key=np.frombuffer(digest, dtype=np.uint64))
    bits.advance(int(days[0]) * (per_day // 4))
    return np.random.Generator(bits).random((len(days), per_day)) + 2.0**-54


def _normals(seed: int, stream: str, days: npt.NDArray[np.int64], per_day: int) -> Floats:
    """Standard normal draws addressed as in `_uniforms`, by the inverse distribution function."""
    from scipy.special import ndtri

    draws: Floats = ndtri(_uniforms(seed, stream, days, per_day))
    return draws


def _bridge(draws: Floats, total: Floats, sigma: Floats) -> Floats:
    """Steps of shape (days, 24) with hourly variance shares that sum to `total` in each day."""
    steps = draws * sigma[:, None] * np.sqrt(_HOUR_WEIGHT)
    bridged: Floats = steps + (total - steps.sum(axis=1))[:, None] * _HOUR_WEIGHT
    return bridged


def _range(opens: Floats, close: Floats, sigma: Floats, reach: Floats) -> tuple[Floats, Floats]:
    """High and low in ticks: the ends of the body, extended by a fraction of `sigma` on each side."""
    top, bottom = np.maximum(opens, close), np.minimum(opens, close)
    high = np.maximum(np.rint(top * np.exp(0.45 * sigma * reach[..., 0])), top)
    low = np.minimum(np.rint(bottom * np.exp(-0.45 * sigma * reach[..., 1])), bottom)
    return high, np.maximum(low, 1.0)


def _split(total: Floats, weights: Floats) -> Floats:
    """Share whole `total` (n, 1) over `weights` (n, 60); each row sums to its total exactly."""
    reached = np.rint(np.cumsum(weights, axis=1) / weights.sum(axis=1, keepdims=True) * total)
    reached[:, -1] = total[:, 0]
    return np.diff(reached, axis=1, prepend=0.0)
