"""Orders as plain fields, for the journal, and back: amounts as exact decimal text, words as their values."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from qtm.trading.orders import OrderIntent, OrderType, Purpose, Side, TimeInForce


def order_fields(intent: OrderIntent) -> dict[str, Any]:
    """Every field of an order as a plain value; the inverse of `order_of_fields`."""
    return {
        "client_order_id": intent.client_order_id,
        "strategy": intent.strategy,
        "symbol": intent.symbol,
        "side": intent.side.value,
        "type": intent.type.value,
        "time_in_force": intent.time_in_force.value if intent.time_in_force else None,
        "qty": str(intent.qty),
        "price": amount_text(intent.price),
        "reduce_only": intent.reduce_only,
        "purpose": intent.purpose.value,
        "stop_price": amount_text(intent.stop_price),
        "take_profit": amount_text(intent.take_profit),
        "decided_ms": intent.decided_ms,
    }


def order_of_fields(fields: Mapping[Any, Any]) -> OrderIntent:
    """The order that `fields` (among others) describe."""
    return OrderIntent(
        client_order_id=fields["client_order_id"],
        strategy=fields["strategy"],
        symbol=fields["symbol"],
        side=Side(fields["side"]),
        type=OrderType(fields["type"]),
        qty=Decimal(fields["qty"]),
        price=amount_of_text(fields["price"]),
        time_in_force=TimeInForce(fields["time_in_force"]) if fields["time_in_force"] else None,
        decided_ms=fields["decided_ms"],
        reduce_only=fields["reduce_only"],
        purpose=Purpose(fields["purpose"]),
        stop_price=amount_of_text(fields["stop_price"]),
        take_profit=amount_of_text(fields["take_profit"]),
    )


def amount_text(amount: Decimal | None) -> str | None:
    """An amount that may be missing, as text."""
    return None if amount is None else str(amount)


def amount_of_text(text: str | None) -> Decimal | None:
    """The inverse of `amount_text`."""
    return None if text is None else Decimal(text)
