"""Futures orders, conditional (algo) orders and trades, and how REST answers show them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from qtm.paper.matching import BookOrder
from qtm.paper.um.symbols import UmSymbol, fixed
from qtm.paper.wire import E8, text_of

OPEN = ("NEW", "PARTIALLY_FILLED")

LIQUIDATION_ID = "autoclose-"
"""How the client ids of liquidation orders begin."""
ADL_ID = "adl_autoclose"
"""The client id of auto-deleveraging orders."""

SELF_TRADE, IOC_REST, IOC_SELF_TRADE, KNOCKED_OUT, LIQUIDATED, MARKET_REST = 1, 2, 3, 4, 5, 9
"""Why an order expired (`er`): self-trade prevention, the rest of an IOC order, both at once, a closing order
without a position left to close, a liquidation, the rest of a market order."""


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
    activate: int = 0
    callback: int = 0
    """Activation price and callback rate (1 % is 1,000,000) of the trailing order this one comes from."""


class Amendment(NamedTuple):
    """One modification of an order: (price, quantity) before and after."""

    id: int
    symbol: str
    order_id: int
    client_id: str
    time_us: int
    before: tuple[int, int]
    after: tuple[int, int]
    number: int

    def view(self, symbol: UmSymbol) -> dict[str, Any]:
        """The modification as GET orderAmendment shows it."""
        price, qty = (
            {"before": show(before), "after": show(after)}
            for show, before, after in zip((symbol.price, symbol.qty), self.before, self.after, strict=True)
        )
        return {
            "amendmentId": self.id, "symbol": self.symbol, "pair": self.symbol, "orderId": self.order_id,
            "clientOrderId": self.client_id, "time": self.time_us // 1000,
            "amendment": {"price": price, "origQty": qty, "count": self.number},
        }  # fmt: skip


class UmOrder(BookOrder):
    """An accepted order."""

    __slots__ = (
        "amended", "client_id", "closes", "expiry", "notional", "request", "status", "symbol", "time_us",
        "update_us",
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
        self.amended = 0
        self.expiry = 0
        """Why the order expired, as `er` says it; 0 for no such reason."""

    @property
    def is_open(self) -> bool:
        """Whether the order may still trade."""
        return self.status in OPEN

    @property
    def forced(self) -> bool:
        """Whether the venue closed a position by this order (liquidation, auto-deleveraging)."""
        return self.client_id.startswith(LIQUIDATION_ID) or self.client_id == ADL_ID

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
        }
        if with_time:
            del body["cumQty"]
            body["time"] = self.time_us // 1000
        body["updateTime"] = self.update_us // 1000
        return body

    def forced_view(self, symbol: UmSymbol) -> dict[str, Any]:
        """The order as GET forceOrders shows it."""
        body = self.view(symbol, with_time=True)
        for name in ("priceProtect", "priceMatch", "selfTradePreventionMode", "goodTillDate"):
            del body[name]
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

    def view(self, symbol: UmSymbol) -> dict[str, Any]:
        """The conditional order as the answer to its placing shows it."""
        trailing = self.kind == "TRAILING_STOP_MARKET"
        return {
            **self._head(symbol),
            **self._terms(symbol),
            "activatePrice": symbol.price(self.activate) if trailing else "",
            "callbackRate": fixed(self.callback * 100, 1) if trailing else "",
            **self._times(),
        }

    def queried(self, symbol: UmSymbol, order: UmOrder | None, *, listed: bool = False) -> dict[str, Any]:
        """The conditional order as queries show it, with the order it has led to."""
        actual = {
            "actualOrderId": str(self.order_id) if self.order_id else "",
            "actualPrice": symbol.price(order.average if order else 0),
        }
        if not listed:
            actual |= {
                "actualType": order.request.type if order else "",
                "actualQty": symbol.qty(order.executed if order else 0),
            }
        terms = self._terms(symbol)
        body = {**self._head(symbol), **actual}
        for name, value in terms.items():
            body[name] = value
            if name == "icebergQuantity":
                if listed:
                    nil = symbol.price(0)
                    body |= {"tpTriggerPrice": nil, "tpPrice": nil, "slTriggerPrice": nil, "slPrice": nil}
                body["tpOrderType"] = ""
        if self.kind == "TRAILING_STOP_MARKET":
            body["activatePrice"] = symbol.price(self.activate)
            body["callbackRate"] = fixed(self.callback * 100, 1)
        return {**body, **self._times()}

    def _head(self, symbol: UmSymbol) -> dict[str, Any]:
        request = self.request
        return {
            "algoId": self.id, "clientAlgoId": request.client_id, "algoType": "CONDITIONAL",
            "orderType": self.kind, "symbol": request.symbol, "side": "BUY" if request.buy else "SELL",
            "positionSide": request.position_side, "timeInForce": request.tif,
            "quantity": symbol.qty(request.qty or 0), "algoStatus": self.status,
        }  # fmt: skip

    def _terms(self, symbol: UmSymbol) -> dict[str, Any]:
        request = self.request
        return {
            "triggerPrice": symbol.price(self.trigger), "price": symbol.price(request.price or 0),
            "icebergQuantity": None, "selfTradePreventionMode": request.stp,
            "workingType": request.working_type, "priceMatch": request.price_match,
            "closePosition": request.close_position, "priceProtect": request.price_protect,
            "reduceOnly": request.reduce_only,
        }  # fmt: skip

    def _times(self) -> dict[str, int]:
        return {
            "createTime": self.time_us // 1000, "updateTime": self.update_us // 1000,
            "triggerTime": self.trigger_us // 1000, "goodTillDate": self.request.good_till_ms,
        }  # fmt: skip
