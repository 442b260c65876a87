"""What flows through the dataflow: one message in per event, the same message out with what became of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from qtm.execution.signals import Cancel, ClosedBar, Request, Signal
from qtm.execution.updates import OrderUpdate


@dataclass(slots=True)
class BarMessage:
    """A closed bar; `close` is its exact closing price, `signal` what the strategy made of it.

    `requests` is, here and below, what the message has led to: orders to judge and orders to cancel.
    """

    bar: ClosedBar
    close: Decimal
    now_ms: int
    received_ns: int
    tradable: bool
    signal: Signal | None = None
    requests: list[Request | Cancel] = field(default_factory=list)

    @property
    def symbol(self) -> str:
        """The bar's symbol."""
        return self.bar.symbol


@dataclass(slots=True)
class PriceMessage:
    """The latest price inside an unfinished bar: marks the account, never reaches a strategy."""

    symbol: str
    price: Decimal
    now_ms: int


@dataclass(slots=True)
class ReportMessage:
    """What became of an order, from the venue's answer, its user stream, or a query."""

    update: OrderUpdate
    requests: list[Request | Cancel] = field(default_factory=list)

    @property
    def symbol(self) -> str:
        """The order's symbol."""
        return self.update.symbol


@dataclass(slots=True)
class RefusalMessage:
    """The gate's refusal on its way back to the strategy whose order it was, with the refusing controls."""

    symbol: str
    client_order_id: str
    controls: tuple[str, ...]
    requests: list[Request | Cancel] = field(default_factory=list)


@dataclass(slots=True)
class TickMessage:
    """Time passing: heartbeat and kill latches are looked at."""

    now_ms: int


Message = BarMessage | PriceMessage | ReportMessage | RefusalMessage | TickMessage
