"""A spot order's state, and how it is shown in REST answers and user-stream events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from qtm.paper.matching import BookOrder
from qtm.paper.wire import text_of

STOP_TYPES = frozenset({"STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"})
LIMIT_TYPES = frozenset({"LIMIT", "LIMIT_MAKER", "STOP_LOSS_LIMIT", "TAKE_PROFIT_LIMIT"})
OPEN = frozenset({"NEW", "PARTIALLY_FILLED", "PENDING_NEW"})


class SpotTrade(NamedTuple):
    """One side of an execution as an account sees it; amounts in 1e-8 units, time in microseconds."""

    id: int
    order_id: int
    order_list_id: int
    price: int
    qty: int
    quote: int
    commission: int
    commission_asset: str
    time_us: int
    buyer: bool
    maker: bool


class PreventedMatch(NamedTuple):
    """A match that self-trade prevention stopped."""

    id: int
    taker_order_id: int
    maker_order_id: int
    trade_group_id: int
    mode: str
    price: int
    maker_qty: int
    taker_qty: int
    time_us: int


class Amendment(NamedTuple):
    """One amendment of an order."""

    execution_id: int
    orig_client_id: str
    new_client_id: str
    orig_qty: int
    new_qty: int
    time_us: int


@dataclass(slots=True, kw_only=True)
class NewOrder:
    """A parsed order request; amounts in 1e-8 units, None where not sent."""

    symbol: str
    buy: bool
    type: str
    tif: str = "GTC"
    qty: int | None = None
    quote_qty: int | None = None
    price: int | None = None
    client_id: str = ""
    stop_price: int | None = None
    trailing_delta: int | None = None
    iceberg: int | None = None
    strategy_id: int | None = None
    strategy_type: int | None = None
    resp_type: str = ""
    stp: str = ""
    peg_type: str | None = None
    peg_offset_type: str | None = None
    peg_offset: int | None = None


class SpotOrder(BookOrder):
    """One order of an account. Times in microseconds of market time."""

    __slots__ = (
        "amendments",
        "cancel_id",
        "client_id",
        "expiry_reason",
        "fills",
        "list_id",
        "locked",
        "peg_offset",
        "peg_offset_type",
        "peg_type",
        "prevented",
        "prevented_id",
        "prevented_qty",
        "quote_executed",
        "quote_qty",
        "status",
        "stop_price",
        "strategy_id",
        "strategy_type",
        "symbol",
        "tif",
        "time_us",
        "trade_group_id",
        "trailing_delta",
        "trailing_extreme",
        "trailing_time_us",
        "type",
        "update_us",
        "working",
        "working_us",
    )

    def __init__(self, order_id: int, account: str, request: NewOrder, now_us: int) -> None:
        super().__init__(
            order_id,
            account,
            buy=request.buy,
            qty=request.qty or 0,
            price=request.price or 0,
            stp=request.stp,
            iceberg=request.iceberg or 0,
        )
        self.symbol = request.symbol
        self.type = request.type
        self.tif = request.tif
        self.client_id = request.client_id
        self.cancel_id = ""
        self.quote_qty = request.quote_qty or 0
        self.quote_executed = 0
        self.status = "NEW"
        self.stop_price = request.stop_price or 0
        self.trailing_delta = request.trailing_delta
        self.trailing_time_us = 0
        self.trailing_extreme = 0
        self.strategy_id = request.strategy_id
        self.strategy_type = request.strategy_type
        self.list_id = -1
        self.time_us = now_us
        self.update_us = now_us
        self.working_us = -1
        self.working = False
        self.locked = 0
        self.fills: list[SpotTrade] = []
        self.expiry_reason = ""
        self.prevented_qty = 0
        self.prevented: list[PreventedMatch] = []
        self.prevented_id = 0
        self.trade_group_id = 0
        self.amendments: list[Amendment] = []
        self.peg_type = request.peg_type
        self.peg_offset_type = request.peg_offset_type
        self.peg_offset = request.peg_offset

    @property
    def remaining(self) -> int:
        """Quantity still to trade (self-trade prevention may have taken some away)."""
        return self.qty - self.executed - self.prevented_qty

    @property
    def is_open(self) -> bool:
        """Whether anything can still happen to the order."""
        return self.status in OPEN


def client_text(value: int | str | None) -> str:
    """Empty text for a missing value."""
    return "" if value is None else str(value)


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
    if order.expiry_reason:
        body["expiryReason"] = order.expiry_reason
    return body


# Times are kept in microseconds; `div` is 1000 for answers in milliseconds and 1 for microseconds.


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
            "price": text_of(order.price),
            "origQty": text_of(order.qty),
            "executedQty": text_of(order.executed),
            "origQuoteOrderQty": text_of(order.quote_qty),
            "cummulativeQuoteQty": text_of(order.quote_executed),
            "status": order.status,
            "timeInForce": order.tif,
            "type": order.type,
            "side": "BUY" if order.buy else "SELL",
            "workingTime": order.working_us // div,
            "selfTradePreventionMode": order.stp,
        },
    )


def full_view(order: SpotOrder, div: int = 1000) -> dict[str, Any]:
    """Answer to a new order, FULL."""
    body = result_view(order, div)
    body["fills"] = [
        {
            "price": text_of(trade.price),
            "qty": text_of(trade.qty),
            "commission": text_of(trade.commission),
            "commissionAsset": trade.commission_asset,
            "tradeId": trade.id,
        }
        for trade in order.fills
    ]
    return body


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
        "price": text_of(order.price),
        "origQty": text_of(order.qty),
        "executedQty": text_of(order.executed),
        "origQuoteOrderQty": text_of(order.quote_qty),
        "cummulativeQuoteQty": text_of(order.quote_executed),
        "status": order.status,
        "timeInForce": order.tif,
        "type": order.type,
        "side": "BUY" if order.buy else "SELL",
        "selfTradePreventionMode": order.stp,
    }
    return _optional(order, div, body)


def trade_view(symbol: str, trade: SpotTrade, div: int = 1000) -> dict[str, Any]:
    """One entry of myTrades."""
    return {
        "symbol": symbol,
        "id": trade.id,
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
        "isBestMatch": True,
    }


def execution_report(
    order: SpotOrder, execution: str, execution_id: int, event_us: int, *, trade: SpotTrade | None = None,
    reject: str = "NONE",
) -> dict[str, Any]:  # fmt: skip
    """The executionReport event; `execution` is NEW, CANCELED, TRADE, EXPIRED or TRADE_PREVENTION."""
    report: dict[str, Any] = {
        "e": "executionReport",
        "E": event_us,
        "s": order.symbol,
        "c": order.client_id,
        "S": "BUY" if order.buy else "SELL",
        "o": order.type,
        "f": order.tif,
        "q": text_of(order.qty),
        "p": text_of(order.price),
        "P": text_of(order.stop_price),
    }
    if order.trailing_delta is not None:
        report["d"] = order.trailing_delta
    report |= {
        "F": text_of(order.iceberg),
        "g": order.list_id,
        "C": "",
        "x": execution,
        "X": order.status,
        "r": reject,
        "i": order.id,
        "l": text_of(trade.qty) if trade else "0.00000000",
        "z": text_of(order.executed),
        "L": text_of(trade.price) if trade else "0.00000000",
        "n": text_of(trade.commission) if trade else "0",
        "N": trade.commission_asset if trade else None,
        "T": order.update_us,
        "t": trade.id if trade else -1,
    }
    if order.prevented_id:
        report["v"] = order.prevented_id
    report |= {
        "I": execution_id,
        "w": order.working,
        "m": trade.maker if trade else False,
        "M": trade is not None,
        "O": order.time_us,
        "Z": text_of(order.quote_executed),
        "Y": text_of(trade.quote) if trade else "0.00000000",
        "Q": text_of(order.quote_qty),
    }
    if order.trailing_delta is not None and order.trailing_time_us:
        report["D"] = order.trailing_time_us
    if order.strategy_id is not None:
        report["j"] = order.strategy_id
    if order.strategy_type is not None:
        report["J"] = order.strategy_type
    if order.working_us >= 0:
        report["W"] = order.working_us
    report["V"] = order.stp
    if order.trade_group_id:
        report["u"] = order.trade_group_id
    if order.peg_type:
        report |= {
            "gP": order.peg_type,
            "gOT": order.peg_offset_type,
            "gOV": order.peg_offset,
            "gp": text_of(order.price),
        }
    if order.expiry_reason:
        report["eR"] = order.expiry_reason
    return report
