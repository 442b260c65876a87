"""What goes into a strategy's trader and what comes out: closed bars, signals, and what is to be sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from qtm.trading.orders import OrderIntent


class ClosedBar(NamedTuple):
    """A closed bar as received, prices in quote currency, volume in base units."""

    symbol: str
    open_time_ms: int
    close_time_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float


@dataclass(frozen=True, slots=True)
class Signal:
    """What a step answered at a bar's close, and the order it led to at once, if any."""

    symbol: str
    open_time_ms: int
    target: float
    equity: float
    intent: OrderIntent | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """An order for the gate to judge, and what led to it."""

    intent: OrderIntent
    inputs: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cancel:
    """An order of ours that is to leave the venue: it passes unless a kill holds what would replace it."""

    intent: OrderIntent


class Decided(NamedTuple):
    """The last close a target was decided at, which an order may still have to wait for."""

    open_time_ms: int
    close: float
    target: float
    equity: float
