"""How orders and trades are shown in REST and WebSocket API answers.

Times are kept in microseconds; `div` is 1000 for answers in milliseconds and 1 for microseconds.
"""

from __future__ import annotations

from typing import Any

from qtm.paper.spot.orders import SpotOrder, SpotTrade
from qtm.paper.wire import text_of


def _optional(order: SpotOrder, div: int, body: dict[str, Any]) -> dict[str, Any]:
    """Add the members that appear only when they apply."""
    if order.stop_price:
        body["stopPrice"] = text_of(order.stop_price)
    if order.iceberg:
        body["icebergQty"] = text_of(order.iceberg)
    if order.trailing_delta is not None:
        body["trailingDelta"] = order.trailing_delta
        body["trailingTime"] = order.trailing_time_us // div if order.trailing_time_us else -1
    if order.prevented_id:
        body["preventedMatchId"] = order.prevented_id
        body["preventedQuantity"] = text_of(order.prevented_qty)
    if order.strategy_id is not None:
        body["strategyId"] = order.strategy_id
    if order.strategy_type is not None:
        body["strategyType"] = order.strategy_type
    if order.trade_group_id:
        body["tradeGroupId"] = order.trade_group_id
    if order.peg_type:
        body["pegPriceType"] = order.peg_type
        if order.peg_offset_type:
            body["pegOffsetType"] = order.peg_offset_type
            body["pegOffsetValue"] = order.peg_offset
        body["peggedPrice"] = text_of(order.price)
    if order.used_sor:
        body["workingFloor"] = order.working_floor
        body["usedSor"] = True
    if order.expiry_reason:
        body["expiryReason"] = order.expiry_reason
    return body


def ack_view(order: SpotOrder, div: int = 1000) -> dict[str, Any]:
    """Answer to a new order, ACK."""
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_id,
        "transactTime": order.update_us // div,
    }


def result_view(order: SpotOrder, div: int = 1000) -> dict[str, Any]:
    """Answer to a new order, RESULT."""
    return _optional(
        order,
        div,
        {
            "symbol": order.symbol,
            "orderId": order.id,
            "orderListId": order.list_id,
            "clientOrderId": order.client_id,
            "transactTime": order.update_us // div,
            **_amounts_and_state(order),
            "workingTime": order.working_us // div,
            "selfTradePreventionMode": order.stp,
        },
    )


def _amounts_and_state(order: SpotOrder) -> dict[str, Any]:
    """The members that answers to a new and to a cancelled order have in common, in the venue's order."""
    return {
        "price": text_of(order.price),
        "origQty": text_of(order.qty),
        "executedQty": text_of(order.executed),
        "origQuoteOrderQty": text_of(order.quote_qty),
        "cummulativeQuoteQty": text_of(order.quote_executed),
        "status": order.status,
        "timeInForce": order.tif,
        "type": order.type,
        "side": "BUY" if order.buy else "SELL",
    }


def full_view(order: SpotOrder, div: int = 1000) -> dict[str, Any]:
    """Answer to a new order, FULL."""
    body = result_view(order, div)
    body["fills"] = [_fill_view(trade) for trade in order.fills]
    return body


def _fill_view(trade: SpotTrade) -> dict[str, Any]:
    """One entry of `fills`."""
    body = {
        "price": text_of(trade.price),
        "qty": text_of(trade.qty),
        "commission": text_of(trade.commission),
        "commissionAsset": trade.commission_asset,
        "tradeId": trade.id,
    }
    if trade.allocation_id < 0:
        return body
    return {"matchType": "ONE_PARTY_TRADE_REPORT", **body, "allocId": trade.allocation_id}


RESPONSE_VIEWS = {"ACK": ack_view, "RESULT": result_view, "FULL": full_view}


def query_view(order: SpotOrder, div: int = 1000) -> dict[str, Any]:
    """Answer to an order query."""
    body = {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": order.list_id,
        "clientOrderId": order.client_id,
        "price": text_of(order.price),
        "origQty": text_of(order.qty),
        "executedQty": text_of(order.executed),
        "cummulativeQuoteQty": text_of(order.quote_executed),
        "status": order.status,
        "timeInForce": order.tif,
        "type": order.type,
        "side": "BUY" if order.buy else "SELL",
        "stopPrice": text_of(order.stop_price),
        "icebergQty": text_of(order.iceberg),
        "time": order.time_us // div,
        "updateTime": order.update_us // div,
        "isWorking": order.working,
        "workingTime": order.working_us // div,
        "origQuoteOrderQty": text_of(order.quote_qty),
        "selfTradePreventionMode": order.stp,
    }
    return _optional(order, div, body)


def cancel_view(order: SpotOrder, div: int = 1000) -> dict[str, Any]:
    """Answer to a cancellation; `clientOrderId` is the cancel's own id."""
    body = {
        "symbol": order.symbol,
        "origClientOrderId": order.client_id,
        "orderId": order.id,
        "orderListId": order.list_id,
        "clientOrderId": order.cancel_id,
        "transactTime": order.update_us // div,
        **_amounts_and_state(order),
        "selfTradePreventionMode": order.stp,
    }
    return _optional(order, div, body)


def trade_view(symbol: str, trade: SpotTrade, div: int = 1000) -> dict[str, Any]:
    """One entry of myTrades."""
    return {
        "symbol": symbol,
        "id": trade.id,
        **_execution(trade, div),
        "isBestMatch": True,
    }


def allocation_view(symbol: str, trade: SpotTrade, div: int = 1000) -> dict[str, Any]:
    """One entry of myAllocations."""
    return {
        "symbol": symbol,
        "allocationId": trade.allocation_id,
        "allocationType": "SOR",
        **_execution(trade, div),
        "isAllocator": False,
    }


def _execution(trade: SpotTrade, div: int) -> dict[str, Any]:
    return {
        "orderId": trade.order_id,
        "orderListId": trade.order_list_id,
        "price": text_of(trade.price),
        "qty": text_of(trade.qty),
        "quoteQty": text_of(trade.quote),
        "commission": text_of(trade.commission),
        "commissionAsset": trade.commission_asset,
        "time": trade.time_us // div,
        "isBuyer": trade.buyer,
        "isMaker": trade.maker,
    }
