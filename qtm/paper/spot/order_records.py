"""Orders as plain values, for the state file and the archive."""

from __future__ import annotations

from typing import Any

from qtm.paper.matching import BookOrder
from qtm.paper.spot.orders import Amendment, NewOrder, PreventedMatch, SpotOrder

FIELDS = tuple(
    name
    for name in (*BookOrder.__slots__, *SpotOrder.__slots__)
    if name not in ("account", "fills", "prevented", "amendments")
)
"""What makes an order, besides its account, amendments and prevented matches."""


def record_of(order: SpotOrder) -> list[Any]:
    """The order's values: those of `FIELDS`, then amendments and prevented matches."""
    return [
        *[getattr(order, name) for name in FIELDS],
        [list(amendment) for amendment in order.amendments],
        [list(match) for match in order.prevented],
    ]


def order_of(account: str, record: list[Any]) -> SpotOrder:
    """The order a record was made of."""
    values = dict(zip(FIELDS, record, strict=False))
    blank = NewOrder(symbol=values["symbol"], buy=values["buy"], type=values["type"])
    order = SpotOrder(values["id"], account, blank, values["time_us"])
    for name, value in values.items():
        setattr(order, name, value)
    order.amendments = [Amendment(*row) for row in record[-2]]
    order.prevented = [PreventedMatch(*row) for row in record[-1]]
    return order
