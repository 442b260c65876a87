"""What the venue's answers say about an order, in our words.

A protective pair (OCO) is one order of ours and two of the venue's. Its stop leg carries our id, its
take-profit leg the id beside it (`qtm.trading.orders.take_profit_leg`); here both become reports on the one
order. At most one leg ever trades; the other then expires, which is no news about the pair.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from qtm.execution.updates import OrderUpdate
from qtm.trading.orders import Fill, OrderStatus, Side, order_of_leg

_OTHER_LEG = "OCO_TRIGGER"
_NO_LIST = -1


def update_of_answer(answer: Mapping[str, Any], fills: tuple[Fill, ...]) -> OrderUpdate:
    """The answer to a new order or to a query, with the executions that go with it."""
    return OrderUpdate(
        client_order_id=order_of_leg(answer["clientOrderId"]),
        symbol=answer["symbol"],
        status=_status(answer["status"]),
        fills=fills,
        executed_qty=Decimal(answer["executedQty"]),
        venue_order_id=str(answer["orderId"]),
        reason=str(answer.get("expiryReason", "")),
        ts_ms=int(answer.get("transactTime") or answer.get("updateTime") or 0),
    )


def _status(text: str) -> OrderStatus:
    """Binance's status; an order it expired in a match or is about to finish reads as what it becomes."""
    return {
        "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
        "PENDING_NEW": OrderStatus.NEW,
        "PENDING_CANCEL": OrderStatus.NEW,
    }.get(text) or OrderStatus(text)


def fills_of_answer(answer: Mapping[str, Any]) -> tuple[Fill, ...]:
    """The executions named in the answer to a new order."""
    return tuple(
        Fill(
            client_order_id=answer["clientOrderId"],
            trade_id=int(row["tradeId"]),
            symbol=answer["symbol"],
            side=Side(answer["side"]),
            qty=Decimal(row["qty"]),
            price=Decimal(row["price"]),
            fee=Decimal(row["commission"]),
            fee_asset=row["commissionAsset"],
            maker=False,  # what fills in the response itself took liquidity
            ts_ms=int(answer["transactTime"]),
        )
        for row in answer.get("fills", ())
    )


def fill_of_trade(client_order_id: str, row: Mapping[str, Any]) -> Fill:
    """A row of `myTrades` of the order with that id."""
    return Fill(
        client_order_id=order_of_leg(client_order_id),
        trade_id=int(row["id"]),
        symbol=row["symbol"],
        side=Side.BUY if row["isBuyer"] in (True, "true") else Side.SELL,
        qty=Decimal(row["qty"]),
        price=Decimal(row["price"]),
        fee=Decimal(row["commission"]),
        fee_asset=row["commissionAsset"],
        maker=row["isMaker"] in (True, "true"),
        ts_ms=int(row["time"]),
    )


def update_of_report(event: Mapping[str, Any]) -> OrderUpdate | None:
    """An `executionReport` of the user stream as an update; None for a leg that the other leg has ended."""
    if _was_ended_by_the_other_leg(event):
        return None
    original = event.get("C") or ""
    client_order_id = order_of_leg(original if event["x"] == "CANCELED" and original else event["c"])
    fills: tuple[Fill, ...] = ()
    if event["x"] == "TRADE":
        fills = (
            Fill(
                client_order_id=client_order_id,
                trade_id=int(event["t"]),
                symbol=event["s"],
                side=Side(event["S"]),
                qty=Decimal(event["l"]),
                price=Decimal(event["L"]),
                fee=Decimal(event["n"]),
                fee_asset=event["N"] or "",
                maker=bool(event["m"]),
                ts_ms=int(event["T"]),
            ),
        )
    reason = event.get("eR") or ("" if event["r"] == "NONE" else event["r"])
    return OrderUpdate(
        client_order_id=client_order_id,
        symbol=event["s"],
        status=_status(event["X"]),
        fills=fills,
        executed_qty=Decimal(event["z"]),
        venue_order_id=str(event["i"]),
        reason=reason,
        ts_ms=int(event["T"]),
    )


def _was_ended_by_the_other_leg(event: Mapping[str, Any]) -> bool:
    """A venue that names no reason is taken to mean this: the pair's trading leg tells the rest."""
    unfilled = event["X"] == "EXPIRED" and Decimal(event["z"]) == 0
    return unfilled and event.get("g", _NO_LIST) != _NO_LIST and event.get("eR", _OTHER_LEG) == _OTHER_LEG
