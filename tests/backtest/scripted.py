"""Strategies that do what the bar tells them: the target is the bar's volume, 999 meaning "no change"."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.strategies.contract import step_strategy
from qtm.trading.plan import KEEP, Plan

NO_CHANGE = 999.0
START_MS = 1_704_067_200_000  # 2024-01-01T00:00Z


class Params(NamedTuple):
    scale: float = 1.0


@step_strategy(name="scripted", summary="Obeys.", params=Params, bounds={}, state={"seen": "i8"})
def scripted(params: Any, state: Any, bar: Any, account: Any) -> float:
    state.seen += 1
    return np.nan if bar.volume == NO_CHANGE else bar.volume * params.scale


TARGETS = (NO_CHANGE, -1.0, -0.5, 0.0, 0.25, 0.5, 1.0)
"""What the last digit of a volume's thousandths tells `coded` to do."""


@step_strategy(name="coded", summary="Obeys the last digit.", params=Params, bounds={}, state={"seen": "i8"})
def coded(params: Any, state: Any, bar: Any, account: Any) -> float:
    target = TARGETS[int(np.rint(bar.volume * 1000.0)) % 10]
    return np.nan if target == NO_CHANGE else target * params.scale


class Exits(NamedTuple):
    """Distances of the exits from the close that decides the entry; 0 for none."""

    stop: float = 0.0
    take_profit: float = 0.0
    trail: float = 0.0


@step_strategy(name="guarded", summary="Obeys, with exits.", params=Exits, bounds={}, state={"seen": "i8"})
def guarded(params: Any, state: Any, bar: Any, account: Any) -> Plan:
    if bar.volume == NO_CHANGE:
        return KEEP
    side = 1.0 if bar.volume >= 0.0 else -1.0
    return Plan(
        bar.volume,
        bar.close - side * params.stop if params.stop > 0.0 else 0.0,
        bar.close + side * params.take_profit if params.take_profit > 0.0 else 0.0,
        params.trail,
    )


def ranges(
    rows: Sequence[tuple[float, float, float, float, float]], interval: Interval = Interval.M1
) -> BarSeries:
    """Bars from (open, high, low, close, target) rows."""
    opened, high, low, close, target = (
        np.array(column, dtype=np.float64) for column in zip(*rows, strict=True)
    )
    times = START_MS + np.arange(len(rows), dtype=np.int64) * interval.ms
    return BarSeries("BTCUSDT", interval, times, opened, high, low, close, target)


def instrument(market: Market = Market.SPOT, **changes: str) -> Instrument:
    filters = {
        "tick_size": "0.01", "step_size": "0.001", "min_qty": "0.001", "max_qty": "9000", "min_notional": "5",
    } | changes  # fmt: skip
    return Instrument(market, "BTCUSDT", "BTC", "USDT", **{k: Decimal(v) for k, v in filters.items()})


def bars(rows: Sequence[tuple[float, float, float]], interval: Interval = Interval.M1) -> BarSeries:
    """Bars from (open, close, target) rows."""
    opened, close, target = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    times = START_MS + np.arange(len(rows), dtype=np.int64) * interval.ms
    return BarSeries(
        "BTCUSDT",
        interval,
        times,
        opened,
        np.maximum(opened, close),
        np.minimum(opened, close),
        close,
        target,
    )
