"""What the gate knows of an account: positions, working orders, marks and equity, all exact.

An account's cash is in one quote currency; equity is cash plus every position marked at its last price. A
position with no mark makes the equity unknown, and an unknown equity refuses.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from qtm.trading.orders import Fill, OrderIntent, Purpose, Side

DAY_MS = 86_400_000
UNKNOWN = Decimal("NaN")


@dataclass(slots=True)
class Working:
    """What may still fill of an order sent or about to be sent.

    `price` is None for a market order; a `dormant` one waits for its stop price and stands in no book.
    """

    symbol: str
    side: Side
    qty: Decimal
    price: Decimal | None = None
    dormant: bool = False


@dataclass(slots=True)
class Exposure:
    """The account as the limits see it; `base_assets` maps each traded symbol to its base asset."""

    quote: str
    base_assets: dict[str, str]
    cash: Decimal
    positions: dict[str, Decimal]
    peak: Decimal = UNKNOWN
    day_start: Decimal = UNKNOWN
    day: int = -1
    marks: dict[str, tuple[Decimal, int]] = field(default_factory=dict)
    working: dict[str, Working] = field(default_factory=dict)
    messages: deque[int] = field(default_factory=deque)
    repeats: dict[tuple[str, str, Side], deque[int]] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    """Symbols whose position, mark or working orders changed; whoever values the book takes them out."""

    def equity(self) -> Decimal:
        """Cash plus marked positions, in quote currency; NaN while a held position has no mark."""
        total = self.cash
        for symbol, qty in self.positions.items():
            if qty:
                if symbol not in self.marks:
                    return UNKNOWN
                total += qty * self.marks[symbol][0]
        return total

    def mark(self, symbol: str, price: Decimal, ts_ms: int) -> Decimal:
        """Take a price of `symbol` seen at `ts_ms`; keeps peak and start-of-day equity; returns the equity.

        A day's starting equity is the last one known before its first price.
        """
        before = self.equity()
        self.marks[symbol] = (price, ts_ms)
        self.touched.add(symbol)
        worth = self.equity()
        day = ts_ms // DAY_MS
        if day > self.day:
            self.day_start = worth if before.is_nan() else before
            self.day = day
        if not worth.is_nan():
            if self.day_start.is_nan():
                self.day_start = worth
            self.peak = worth if self.peak.is_nan() else max(self.peak, worth)
        return worth

    def reserve(self, intent: OrderIntent, sent_ms: int) -> None:
        """Count an approved order as working, and as one message; a protective one repeats nothing."""
        self.working[intent.client_order_id] = Working(
            intent.symbol, intent.side, intent.qty, intent.resting_price, _is_dormant(intent)
        )
        self.touched.add(intent.symbol)
        self.messages.append(sent_ms)
        if intent.purpose is Purpose.PROTECTION:
            return
        self.repeats.setdefault((intent.strategy, intent.symbol, intent.side), deque()).append(sent_ms)

    def fill(self, fill: Fill) -> None:
        """Move position and cash by one execution, commission included."""
        self.touched.add(fill.symbol)
        working = self.working.get(fill.client_order_id)
        if working is not None:
            working.qty = max(Decimal(0), working.qty - fill.qty)
        base = self.base_assets[fill.symbol]
        self.positions[fill.symbol] = self.positions.get(fill.symbol, Decimal(0)) + fill.side.sign * fill.qty
        self.cash -= fill.side.sign * fill.qty * fill.price
        if fill.fee_asset == base:
            self.positions[fill.symbol] -= fill.fee
        elif fill.fee_asset == self.quote:
            self.cash -= fill.fee

    def release(self, client_order_id: str) -> None:
        """Forget a working order that can no longer fill."""
        gone = self.working.pop(client_order_id, None)
        if gone is not None:
            self.touched.add(gone.symbol)

    def working_qty(self, symbol: str, side: Side) -> Decimal:
        """Everything on `side` of `symbol` that may still fill, in base units."""
        amounts = (one.qty for one in self.working.values() if one.symbol == symbol and one.side is side)
        return sum(amounts, Decimal(0))

    def crossed_by(self, intent: OrderIntent) -> str:
        """Id of an own working order that `intent` could trade with; empty when there is none."""
        sign, price = intent.side.sign, intent.resting_price
        if _is_dormant(intent):
            return ""
        for client_order_id, other in self.working.items():
            if other.symbol != intent.symbol or other.side is intent.side or other.dormant:
                continue
            if other.price is None or price is None or sign * (price - other.price) >= 0:
                return client_order_id
        return ""

    def repeats_since(self, intent: OrderIntent, oldest_ms: int) -> int:
        """Orders like `intent` (strategy, symbol, side) sent after `oldest_ms`; older ones are forgotten."""
        sent = self.repeats.get((intent.strategy, intent.symbol, intent.side), deque())
        while sent and sent[0] <= oldest_ms:
            sent.popleft()
        return len(sent)

    def messages_since(self, oldest_ms: int) -> int:
        """Orders sent after `oldest_ms`; older ones are forgotten."""
        while self.messages and self.messages[0] <= oldest_ms:
            self.messages.popleft()
        return len(self.messages)


def _is_dormant(intent: OrderIntent) -> bool:
    """Whether the order waits for its stop price with nothing of it in a book."""
    return intent.stop_price is not None and intent.resting_price is None
