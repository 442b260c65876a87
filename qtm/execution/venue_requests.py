"""What the venue is asked for an order, in Binance spot's parameters."""

from __future__ import annotations

from decimal import Decimal

from qtm.trading.orders import OrderIntent, OrderType, Side, take_profit_leg

_SELF_TRADE_PREVENTION = "EXPIRE_TAKER"
"""The venue's second belt behind PT-11."""


def order_request(intent: OrderIntent) -> dict[str, str]:
    """`POST /api/v3/order`; a stop waits for its `stopPrice`."""
    request = {
        "symbol": intent.symbol,
        "side": intent.side.value,
        "type": intent.type.value,
        "quantity": f"{intent.qty:f}",
        "newClientOrderId": intent.client_order_id,
        "newOrderRespType": "FULL",
        "selfTradePreventionMode": _SELF_TRADE_PREVENTION,
    }
    if intent.price is not None:
        request["price"] = f"{intent.price:f}"
    if intent.stop_price is not None:
        request["stopPrice"] = f"{intent.stop_price:f}"
    if intent.time_in_force is not None:
        request["timeInForce"] = intent.time_in_force.value
    return request


def pair_request(intent: OrderIntent) -> dict[str, str]:
    """`POST /api/v3/orderList/oco`: the stop on the side that hurts, the take-profit on the other.

    Raises
    ------
    ValueError
        For an intent that is no pair.
    """
    profit_id = take_profit_leg(intent.client_order_id)
    if intent.price is None or intent.stop_price is None or intent.take_profit is None or profit_id is None:
        raise ValueError(f"{intent.client_order_id} is no pair of stop and take-profit")
    stop, profit = ("below", "above") if intent.side is Side.SELL else ("above", "below")
    return {
        "symbol": intent.symbol,
        "side": intent.side.value,
        "quantity": f"{intent.qty:f}",
        "newOrderRespType": "FULL",
        "selfTradePreventionMode": _SELF_TRADE_PREVENTION,
        **_leg(stop, OrderType.STOP_LOSS_LIMIT, intent.client_order_id, intent.price),
        f"{stop}StopPrice": f"{intent.stop_price:f}",
        f"{stop}TimeInForce": "GTC",
        **_leg(profit, OrderType.LIMIT_MAKER, profit_id, intent.take_profit),
    }


def _leg(side: str, kind: OrderType, client_order_id: str, price: Decimal) -> dict[str, str]:
    return {
        f"{side}Type": kind.value,
        f"{side}ClientOrderId": client_order_id,
        f"{side}Price": f"{price:f}",
    }
