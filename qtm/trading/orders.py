"""The words of an order, as frozen messages.

An `OrderIntent` is what a strategy, a person or an automation rule wants; it cannot be sent. Only the gate
turns it into an `ApprovedOrder` (see `qtm.risk.gate`), and only that type is accepted by a venue gateway.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from qtm.errors import ConfigError


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


class Purpose(StrEnum):
    """What an order is for: towards a strategy's target, or out of a position its plan protects."""

    TARGET = "TARGET"
    PROTECTION = "PROTECTION"


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

    A protective order may wait for `stop_price`; with `take_profit` it is a pair of which one cancels the
    other (OCO): a stop-limit at `stop_price` and `price`, and a resting limit order at `take_profit`.
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
    purpose: Purpose = Purpose.TARGET
    stop_price: Decimal | None = None
    take_profit: Decimal | None = None

    @property
    def resting_price(self) -> Decimal | None:
        """The price at which the order may stand in the book: None for a stop that waits off it."""
        return self.price if self.stop_price is None else self.take_profit


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

    Binance allows 36 characters of `[.A-Z:/a-z0-9_-]`; raises ConfigError beyond that.
    """
    return _fitting(f"{strategy}-{symbol}-{sequence:07d}")


def protective_order_id(strategy: str, symbol: str, sequence: int) -> str:
    """The id of the `sequence`-th protective order of `strategy` on `symbol`, as `client_order_id`."""
    return _fitting(f"{strategy}-{symbol}-S{sequence:06d}")


def take_profit_leg(client_order_id: str) -> str | None:
    """The id of the take-profit leg if the protective order of that id is a pair; None for other ids."""
    found = _PROTECTIVE.fullmatch(client_order_id)
    return f"{found[1]}-T{found[2]}" if found else None


def order_of_leg(client_order_id: str) -> str:
    """The id of the protective order whose take-profit leg that is; every other id is its own order's."""
    found = _PROFIT_LEG.fullmatch(client_order_id)
    return f"{found[1]}-S{found[2]}" if found else client_order_id


_PROTECTIVE = re.compile(r"(.+)-S(\d{6,})")
_PROFIT_LEG = re.compile(r"(.+)-T(\d{6,})")


def _fitting(text: str) -> str:
    if len(text) > 36:
        raise ConfigError(
            f"the client order id {text!r} has {len(text)} characters, a venue takes 36",
            remedy="give the strategy a shorter name",
        )
    return text
