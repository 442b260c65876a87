"""Orders and executions as rows of the operational database, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from qtm.trading.order_record import order_fields, order_of_fields
from qtm.trading.orders import Fill, OrderIntent, OrderStatus, Side


@dataclass(frozen=True, slots=True)
class JournaledOrder:
    """An order as the outbox holds it."""

    intent: OrderIntent
    status: OrderStatus
    reason: str
    attempts: int
    sent_ns: int | None


def order_row(
    intent: OrderIntent, account: str, run_id: str, status: OrderStatus, now_ns: int
) -> dict[str, Any]:
    """The row of an order just approved; one that is INFLIGHT counts as sent now."""
    sending = status is OrderStatus.INFLIGHT
    return {
        **order_fields(intent),
        "account": account,
        "run_id": run_id,
        "status": status.value,
        "reason": "",
        "attempts": int(sending),
        "created_ns": now_ns,
        "sent_ns": now_ns if sending else None,
        "updated_ns": now_ns,
    }


def journaled_order(row: Mapping[Any, Any]) -> JournaledOrder:
    """The order of a row."""
    return JournaledOrder(
        order_of_fields(row), OrderStatus(row["status"]), row["reason"], row["attempts"], row["sent_ns"]
    )


def fill_row(fill: Fill, account: str) -> dict[str, Any]:
    """The row of an execution."""
    return {
        "account": account,
        "symbol": fill.symbol,
        "trade_id": fill.trade_id,
        "client_order_id": fill.client_order_id,
        "side": fill.side.value,
        "qty": str(fill.qty),
        "price": str(fill.price),
        "fee": str(fill.fee),
        "fee_asset": fill.fee_asset,
        "maker": fill.maker,
        "ts_ms": fill.ts_ms,
    }


def fill_of_row(row: Mapping[Any, Any]) -> Fill:
    """The execution of a row."""
    return Fill(
        client_order_id=row["client_order_id"],
        trade_id=row["trade_id"],
        symbol=row["symbol"],
        side=Side(row["side"]),
        qty=Decimal(row["qty"]),
        price=Decimal(row["price"]),
        fee=Decimal(row["fee"]),
        fee_asset=row["fee_asset"],
        maker=row["maker"],
        ts_ms=row["ts_ms"],
    )
