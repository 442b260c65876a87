"""A strategy that does what the bar tells it: its target is the bar's volume, 999 meaning "no change"."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import numpy as np

from qtm.market.bars import BarSeries
from qtm.market.instruments import Instrument, Market
from qtm.market.intervals import Interval
from qtm.strategies.contract import step_strategy

NO_CHANGE = 999.0
START_MS = 1_704_067_200_000  # 2024-01-01T00:00Z


class Params(NamedTuple):
    scale: float = 1.0


@step_strategy(name="scripted", summary="Obeys.", params=Params, bounds={}, state={"seen": "i8"})
def scripted(params: Any, state: Any, bar: Any, account: Any) -> float:
    state.seen += 1
    return np.nan if bar.volume == NO_CHANGE else bar.volume * params.scale


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
