"""The words of an order, as frozen messages.

An `OrderIntent` is what a strategy, a person or an automation rule wants; it cannot be sent. Only the gate
turns it into an `ApprovedOrder` (see `qtm.risk.gate`), and only that type is accepted by a venue gateway.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class Side(StrEnum):
    """Direction of an order."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def sign(self) -> int:
        """+1 for a buy, -1 for a sell."""
        return 1 if self is Side.BUY else -1


class OrderType(StrEnum):
    """Order types the platform speaks, in Binance spot's names."""

    LIMIT = "LIMIT"
    LIMIT_MAKER = "LIMIT_MAKER"
    MARKET = "MARKET"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"


class TimeInForce(StrEnum):
    """How long an order works."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"
    GTD = "GTD"


class OrderStatus(StrEnum):
    """An order's state; `NEW_LOCAL`, `INFLIGHT` and `UNKNOWN` are ours, the rest are the venue's."""

    NEW_LOCAL = "NEW_LOCAL"
    INFLIGHT = "INFLIGHT"
    UNKNOWN = "UNKNOWN"
    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"

    @property
    def is_terminal(self) -> bool:
        """True when nothing more can happen to the order."""
        return self in _TERMINAL


_TERMINAL = frozenset({OrderStatus.FILLED, OrderStatus.CANCELED, OrderStatus.REJECTED, OrderStatus.EXPIRED})


@dataclass(frozen=True, slots=True)
class OrderIntent:
    """An order somebody wants and nobody has approved.

    `qty` is in base units and `price` in quote currency, both already on the venue's grid. `client_order_id`
    is deterministic (strategy, symbol, sequence), at most 36 characters. `decided_ms` is the time of the
    event that caused the order (for a bar strategy, the close of that bar).
    """

    client_order_id: str
    strategy: str
    symbol: str
    side: Side
    type: OrderType
    qty: Decimal
    price: Decimal | None
    time_in_force: TimeInForce | None
    decided_ms: int
    reduce_only: bool = False


@dataclass(frozen=True, slots=True)
class Fill:
    """One execution as the venue reported it; `fee` is in `fee_asset`, `maker` tells which side we were."""

    client_order_id: str
    trade_id: int
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    maker: bool
    ts_ms: int


def client_order_id(strategy: str, symbol: str, sequence: int) -> str:
    """The id of the `sequence`-th order of `strategy` on `symbol`: the same on every replay.

    Binance allows 36 characters of `[.A-Z:/a-z0-9_-]`; raises ValueError beyond that.
    """
    text = f"{strategy}-{symbol}-{sequence:07d}"
    if len(text) > 36:
        raise ValueError(f"client order id {text!r} is longer than 36 characters")
    return text
