"""Market making: one post-only quote on each side of a fair price that leans against the inventory."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from qtm.strategies.order_contract import order_strategy
from qtm.trading.desk import BUY, SELL, cancel, nth, post_only, side_of, ticks_of


class Params(NamedTuple):
    """Distances in basis points of the fair price, amounts in quote currency.

    `half_spread` is kept on each side; a full inventory moves the fair price by `skew`; `value` is that of
    one quote, `longest` and `shortest` the largest positions (`shortest` 0 on spot); a quote is left alone
    while it is within `patience`; `requote_ms` is the time between looks.
    """

    half_spread: float = 5.0
    skew: float = 5.0
    value: float = 1_000.0
    longest: float = 5_000.0
    shortest: float = 0.0
    patience: float = 1.0
    requote_ms: int = 500


@order_strategy(
    name="market-making",
    summary="Post-only quotes around a fair price that leans against the inventory.",
    params=Params,
    bounds={
        "half_spread": (0.0, 500.0),
        "skew": (0.0, 500.0),
        "value": (1.0, 1e9),
        "longest": (0.0, 1e10),
        "shortest": (0.0, 1e10),
        "patience": (0.0, 100.0),
        "requote_ms": (1, 3_600_000),
    },
    state={"quotes": "i8"},
    period_ms=lambda params: params.requote_ms,
)
def strategy(params: Any, state: Any, event: Any, account: Any, desk: Any) -> None:
    """Cancel quotes that stand wrong and place the missing ones; never across the market's best."""
    if desk.bid_ticks == 0 or desk.ask_ticks == 0:
        return
    fair = 0.5 * (desk.bid_ticks + desk.ask_ticks)
    lot_value = fair * desk.tick_size * desk.step_size
    most = params.longest if account.lots > 0 else params.shortest
    filled = account.lots * lot_value / most if most > 0.0 else 0.0
    centre = fair * (1.0 - 1e-4 * params.skew * min(max(filled, -1.0), 1.0))
    reach = 1e-4 * params.half_spread * fair
    bid = min(int(np.floor(centre - reach)), desk.ask_ticks - 1)
    ask = max(int(np.ceil(centre + reach)), desk.bid_ticks + 1)
    patience = 1e-4 * params.patience * fair
    lots = int(params.value / lot_value)
    buys = min(lots, int(params.longest / lot_value) - account.lots)
    sells = min(lots, account.lots + int(params.shortest / lot_value))
    for k in range(desk.count):
        handle = nth(desk, k)
        is_bid = side_of(desk, handle) == BUY
        wanted = bid if is_bid else ask
        if abs(ticks_of(desk, handle) - wanted) > patience:
            cancel(desk, handle)
        elif is_bid:
            buys = 0
        else:
            sells = 0
    if buys > 0:
        post_only(desk, BUY, buys, bid)
        state.quotes += 1
    if sells > 0:
        post_only(desk, SELL, sells, ask)
        state.quotes += 1
