"""Futures orders, conditional (algo) orders and trades, and how REST answers and user events show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from qtm.paper.matching import BookOrder
from qtm.paper.um.symbols import UmSymbol, fixed
from qtm.paper.wire import E8, text_of

OPEN = ("NEW", "PARTIALLY_FILLED")


@dataclass(slots=True)
class NewUmOrder:
    """A request for an order; amounts in 1e-8 units, None where not sent."""

    symbol: str
    buy: bool
    type: str
    client_id: str
    position_side: str = "BOTH"
    tif: str = "GTC"
    qty: int | None = None
    price: int | None = None
    reduce_only: bool = False
    close_position: bool = False
    price_match: str = "NONE"
    stp: str = "EXPIRE_MAKER"
    good_till_ms: int = 0
    resp_type: str = "ACK"
    orig_type: str = ""
    stop_price: int = 0
    working_type: str = "CONTRACT_PRICE"
    price_protect: bool = False


class UmOrder(BookOrder):
    """An accepted order."""

    __slots__ = (
        "client_id", "closes", "notional", "request", "status", "symbol", "time_us", "update_us",
    )  # fmt: skip

    def __init__(self, order_id: int, account: str, request: NewUmOrder, time_us: int) -> None:
        super().__init__(
            order_id,
            account,
            buy=request.buy,
            qty=request.qty or 0,
            price=request.price or 0,
            stp=request.stp,
        )
        self.request = request
        self.symbol = request.symbol
        self.client_id = request.client_id
        self.status = "NEW"
        self.notional = 0
        self.time_us = time_us
        self.update_us = time_us
        self.closes = False
        """Whether the order may only reduce its position."""

    @property
    def average(self) -> int:
        """Average fill price."""
        return self.notional * E8 // self.executed if self.executed else 0

    def view(self, symbol: UmSymbol, *, with_time: bool = False) -> dict[str, Any]:
        """The order as REST shows it."""
        request = self.request
        body: dict[str, Any] = {
            "orderId": self.id,
            "symbol": self.symbol,
            "status": self.status,
            "clientOrderId": self.client_id,
            "price": symbol.price(self.price),
            "avgPrice": fixed(self.average, max(5, symbol.price_places)),
            "origQty": symbol.qty(self.qty),
            "executedQty": symbol.qty(self.executed),
            "cumQty": symbol.qty(self.executed),
            "cumQuote": fixed(self.notional, 5),
            "timeInForce": request.tif,
            "type": request.type,
            "reduceOnly": request.reduce_only,
            "closePosition": request.close_position,
            "side": "BUY" if self.buy else "SELL",
            "positionSide": request.position_side,
            "stopPrice": symbol.price(request.stop_price),
            "workingType": request.working_type,
            "priceProtect": request.price_protect,
            "origType": request.orig_type or request.type,
            "priceMatch": request.price_match,
            "selfTradePreventionMode": self.stp,
            "goodTillDate": request.good_till_ms,
            "updateTime": self.update_us // 1000,
        }
        if with_time:
            del body["cumQty"]
            body["time"] = self.time_us // 1000
        return body


class UmTrade(NamedTuple):
    """One fill of an account."""

    id: int
    order_id: int
    symbol: str
    price: int
    qty: int
    quote: int
    fee: int
    asset: str
    realised: int
    time_us: int
    buy: bool
    maker: bool
    position_side: str

    def view(self, symbol: UmSymbol) -> dict[str, Any]:
        """The trade as GET userTrades shows it."""
        return {
            "symbol": self.symbol,
            "id": self.id,
            "orderId": self.order_id,
            "side": "BUY" if self.buy else "SELL",
            "price": symbol.price(self.price),
            "qty": symbol.qty(self.qty),
            "realizedPnl": text_of(self.realised),
            "quoteQty": text_of(self.quote),
            "commission": text_of(self.fee),
            "commissionAsset": self.asset,
            "time": self.time_us // 1000,
            "positionSide": self.position_side,
            "maker": self.maker,
            "buyer": self.buy,
        }


def order_update(
    order: UmOrder, symbol: UmSymbol, execution: str, now_us: int, trade: UmTrade | None = None
) -> dict[str, Any]:
    """ORDER_TRADE_UPDATE."""
    request = order.request
    body: dict[str, Any] = {
        "s": order.symbol,
        "c": order.client_id,
        "S": "BUY" if order.buy else "SELL",
        "o": request.type,
        "f": request.tif,
        "q": symbol.qty(order.qty),
        "p": symbol.price(order.price),
        "ap": symbol.price(order.average),
        "sp": symbol.price(request.stop_price),
        "x": execution,
        "X": order.status,
        "i": order.id,
        "l": symbol.qty(trade.qty if trade else 0),
        "z": symbol.qty(order.executed),
        "L": symbol.price(trade.price if trade else 0),
    }
    if trade is not None:
        body |= {"n": text_of(trade.fee), "N": trade.asset}
    return {
        "e": "ORDER_TRADE_UPDATE",
        "T": now_us,
        "E": now_us,
        "o": {
            **body,
            "T": now_us // 1000,
            "t": trade.id if trade else 0,
            "b": "0",
            "a": "0",
            "m": bool(trade and trade.maker),
            "R": request.reduce_only,
            "wt": request.working_type,
            "ot": request.orig_type or request.type,
            "ps": request.position_side,
            "cp": request.close_position,
            "rp": text_of(trade.realised if trade else 0),
            "pP": request.price_protect,
            "si": 0,
            "ss": 0,
            "V": order.stp,
            "pm": request.price_match,
            "gtd": request.good_till_ms,
            "er": "0",
        },
    }


@dataclass(slots=True)
class AlgoOrder:
    """A conditional order waiting on `algoOrder`; fires `request` when its trigger is reached."""

    id: int
    account: str
    request: NewUmOrder
    kind: str
    trigger: int
    time_us: int
    update_us: int
    status: str = "NEW"
    activate: int = 0
    callback: int = 0
    """Callback rate in 1e-8 (1 % is 1,000,000)."""
    extreme: int = 0
    trigger_us: int = 0
    order_id: int = 0
    reason: str = ""

    def view(self, symbol: UmSymbol, order: UmOrder | None) -> dict[str, Any]:
        """The conditional order as REST shows it."""
        request = self.request
        body: dict[str, Any] = {
            "algoId": self.id,
            "clientAlgoId": request.client_id,
            "algoType": "CONDITIONAL",
            "orderType": self.kind,
            "symbol": request.symbol,
            "side": "BUY" if request.buy else "SELL",
            "positionSide": request.position_side,
            "timeInForce": request.tif,
            "quantity": symbol.qty(request.qty or 0),
            "algoStatus": self.status,
            "actualOrderId": str(self.order_id) if self.order_id else "",
            "actualPrice": symbol.price(order.average if order else 0),
            "actualType": order.request.type if order else "",
            "actualQty": symbol.qty(order.executed if order else 0),
            "triggerPrice": symbol.price(self.trigger),
            "price": symbol.price(request.price or 0),
            "icebergQuantity": None,
            "tpOrderType": "",
            "selfTradePreventionMode": request.stp,
            "workingType": request.working_type,
            "priceMatch": request.price_match,
            "closePosition": request.close_position,
            "priceProtect": request.price_protect,
            "reduceOnly": request.reduce_only,
            "createTime": self.time_us // 1000,
            "updateTime": self.update_us // 1000,
            "triggerTime": self.trigger_us // 1000,
            "goodTillDate": request.good_till_ms,
        }
        if self.kind == "TRAILING_STOP_MARKET":
            body["activatePrice"] = symbol.price(self.activate)
            body["callbackRate"] = fixed(self.callback * 100, 1)
        return body

    def update(self, symbol: UmSymbol, order: UmOrder | None) -> dict[str, Any]:
        """ALGO_UPDATE."""
        request = self.request
        return {
            "e": "ALGO_UPDATE",
            "T": self.update_us,
            "E": self.update_us,
            "o": {
                "caid": request.client_id,
                "aid": self.id,
                "at": "CONDITIONAL",
                "o": self.kind,
                "s": request.symbol,
                "S": "BUY" if request.buy else "SELL",
                "ps": request.position_side,
                "f": request.tif,
                "q": symbol.qty(request.qty or 0),
                "X": self.status,
                "ai": str(self.order_id) if self.order_id else "",
                "ap": symbol.price(order.average if order else 0),
                "aq": symbol.qty(order.executed if order else 0),
                "act": order.request.type if order else "",
                "tp": symbol.price(self.trigger),
                "p": symbol.price(request.price or 0),
                "V": request.stp,
                "wt": request.working_type,
                "pm": request.price_match,
                "cp": request.close_position,
                "pP": request.price_protect,
                "R": request.reduce_only,
                "tt": self.trigger_us // 1000,
                "gtd": request.good_till_ms,
                "rm": self.reason,
            },
        }
