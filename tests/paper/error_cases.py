"""Requests that must fail, each with the code and text of the venue's error documentation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

DECIMAL = "^([0-9]{1,20})(\\.[0-9]{1,20})?$"
BOTH = "must be sent, but both were empty/null!"


@dataclass(frozen=True)
class Case:
    """A request (REST route and WebSocket API method) and the error it must get.

    `filters` change BTCUSDT's first; `listing` says what it offers.
    """

    code: int
    text: str
    rest: str
    method: str
    params: dict[str, Any]
    filters: dict[str, Any] | None = None
    listing: dict[str, bool] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.code} {self.text} ({self.method})"


def order(code: int, text: str, /, **change: Any) -> Case:
    """A new order: a limit order that would rest, changed."""
    filters, listing = change.pop("filters", None), change.pop("listing", {})
    params = {
        "symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01",
        "price": "50000", **change,
    }  # fmt: skip
    kept = {name: value for name, value in params.items() if value is not None}
    return Case(code, text, "POST order", "order.place", kept, filters, listing)


def failing(name: str, filters: dict[str, Any] | None = None, /, **change: Any) -> Case:
    """An order that a filter refuses."""
    return order(-1013, f"Filter failure: {name}", filters=filters, **change)


def stop(code: int, text: str, /, **change: Any) -> Case:
    """A new stop-loss sell."""
    plain = {"side": "SELL", "type": "STOP_LOSS", "timeInForce": None, "price": None, "stopPrice": "50000"}
    return order(code, text, **{**plain, **change})


def market(code: int, text: str, /, **change: Any) -> Case:
    """A new market buy."""
    return order(code, text, **{"type": "MARKET", "timeInForce": None, "price": None, **change})


def oco(code: int, text: str, /, side: str, above: str, below: str, **change: Any) -> Case:
    """An OCO list."""
    params: dict[str, Any] = {"symbol": "BTCUSDT", "side": side, "quantity": "0.01"}
    for place, kind, price in (("above", above, "70000"), ("below", below, "50000")):
        params[f"{place}Type"] = kind
        if kind == "LIMIT_MAKER" or kind.endswith("_LIMIT"):
            params[f"{place}Price"] = price
        if kind.startswith(("STOP", "TAKE")):
            params[f"{place}StopPrice"] = price
        if kind.endswith("_LIMIT"):
            params[f"{place}TimeInForce"] = "GTC"
    return Case(code, text, "POST orderList/oco", "orderList.place.oco", {**params, **change})


def opo(code: int, text: str, /, **change: Any) -> Case:
    """An OPO list."""
    params = {
        "symbol": "BTCUSDT", "workingType": "LIMIT", "workingSide": "BUY", "workingTimeInForce": "GTC",
        "workingPrice": "50000", "workingQuantity": "0.01", "pendingSide": "SELL", "pendingType": "LIMIT",
        "pendingTimeInForce": "GTC", "pendingPrice": "70000", **change,
    }  # fmt: skip
    return Case(code, text, "POST orderList/opo", "orderList.place.opo", params)


def ask(code: int, text: str, rest: str, method: str, /, **params: Any) -> Case:
    """Any other request; BTCUSDT unless it names another symbol."""
    return Case(code, text, rest, method, {"symbol": "BTCUSDT", **params})


def mandatory(name: str) -> str:
    return f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


CASES = [
    # --- parameters
    order(
        -1100, f"Illegal characters found in parameter 'quantity'; legal range is '{DECIMAL}'.", quantity="x"
    ),
    order(
        -1100,
        "Illegal characters found in parameter 'newClientOrderId'; "
        "legal range is '^[.A-Z:/a-z0-9_-]{1,36}$'.",
        newClientOrderId="a,b",
    ),
    order(-1102, mandatory("side"), side=None),
    order(-1102, mandatory("price"), price=None),
    market(-1102, f"Param 'quantity' or 'quoteOrderQty' {BOTH}", quantity=None),
    stop(-1102, f"Param 'stopPrice' or 'trailingDelta' {BOTH}", stopPrice=None),
    ask(-1102, f"Param 'origClientOrderId' or 'orderId' {BOTH}", "GET order", "order.status"),
    order(-1105, "Parameter 'price' was empty.", price=""),
    order(-1105, "Parameter 'newClientOrderId' was empty.", newClientOrderId=""),
    order(-1106, "Parameter 'stopPrice' sent when not required.", stopPrice="1"),
    market(-1106, "Parameter 'timeInForce' sent when not required.", timeInForce="GTC"),
    order(-1108, "Parameter 'quantity' overflowed.", quantity="99999999999"),
    order(-1111, "Parameter 'quantity' has too much precision.", quantity="0.123456789"),
    order(-1115, "Invalid timeInForce.", timeInForce="GTX"),
    order(-1116, "Invalid orderType.", type="TRAILING"),
    order(-1117, "Invalid side.", side="HOLD"),
    order(-1121, "Invalid symbol.", symbol="NOSUCH"),
    order(
        -1130, "Data sent for parameter 'selfTradePreventionMode' is not valid.", selfTradePreventionMode="X"
    ),
    order(-1134, "strategyType was less than 1000000.", strategyType=1),
    order(-1210, "Invalid pegPriceType.", pegPriceType="X", price=None),
    order(
        -1211,
        "Invalid pegOffsetType.",
        pegPriceType="PRIMARY_PEG",
        pegOffsetType="X",
        pegOffsetValue=1,
        price=None,
    ),
    order(
        -1128,
        "Fields [pegOffsetType, pegOffsetValue] must be sent together or omitted entirely.",
        pegPriceType="PRIMARY_PEG",
        pegOffsetValue=1,
        price=None,
    ),
    ask(-1120, "Invalid interval.", "GET klines", "klines", interval="7m"),
    ask(-1122, "Invalid symbolStatus.", "GET depth", "depth", symbolStatus="ASLEEP"),
    ask(
        -1127,
        "More than 24 hours between startTime and endTime.",
        "GET myTrades",
        "myTrades",
        startTime=1_717_200_000_000,
        endTime=1_717_300_000_000,
    ),
    ask(
        -1128,
        "Combination of optional parameters invalid.",
        "GET myTrades",
        "myTrades",
        startTime=1_717_200_000_000,
        fromId=1,
    ),
    ask(
        -1128,
        "Combination of optional parameters invalid.",
        "GET exchangeInfo",
        "exchangeInfo",
        symbols='["BTCUSDT"]',
    ),
    ask(
        -1130, "Data sent for parameter 'windowSize' is not valid.", "GET ticker", "ticker", windowSize="60m"
    ),
    ask(-1139, "Invalid ticker type.", "GET ticker/24hr", "ticker.24hr", type="HUGE"),
    ask(
        -1145,
        "`cancelRestrictions` has to be either `ONLY_NEW` or `ONLY_PARTIALLY_FILLED`.",
        "DELETE order",
        "order.cancel",
        orderId=1,
        cancelRestrictions="X",
    ),
    Case(
        -1151,
        "Symbol is present multiple times in the list.",
        "GET exchangeInfo",
        "exchangeInfo",
        {"symbols": '["BTCUSDT","BTCUSDT"]'},
    ),
    ask(
        -1220,
        "The symbol's status does not match the requested symbolStatus.",
        "GET depth",
        "depth",
        symbolStatus="HALT",
    ),
    # --- filters
    failing("PRICE_FILTER", price="50000.001"),
    failing("PERCENT_PRICE_BY_SIDE", price="500"),
    failing(
        "PERCENT_PRICE",
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.1", "multiplierDown": "0.9", "avgPriceMins": 0},
    ),
    failing("LOT_SIZE", quantity="0.010001"),
    failing(
        "MIN_NOTIONAL",
        {"filterType": "MIN_NOTIONAL", "minNotional": "1000.0", "applyToMarket": True, "avgPriceMins": 5},
    ),
    failing("NOTIONAL", quantity="0.00005"),
    failing("ICEBERG_PARTS", icebergQty="0.00009"),
    failing(
        "MARKET_LOT_SIZE",
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.0", "maxQty": "0.005", "stepSize": "0.0"},
        type="MARKET",
        price=None,
        timeInForce=None,
    ),
    failing("MAX_POSITION", {"filterType": "MAX_POSITION", "maxPosition": "2.005"}),
    failing("MAX_NUM_ORDERS", {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 1}),
    failing(
        "MAX_NUM_ALGO_ORDERS",
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 0},
        side="SELL",
        type="STOP_LOSS",
        price=None,
        timeInForce=None,
        stopPrice="50000",
    ),
    failing(
        "MAX_NUM_ICEBERG_ORDERS",
        {"filterType": "MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders": 0},
        icebergQty="0.005",
    ),
    failing("TRAILING_DELTA", side="SELL", type="STOP_LOSS", price=None, timeInForce=None, trailingDelta=1),
    # --- what the symbol does not offer
    market(
        -1013,
        "Quote order qty market orders are not support for this symbol.",
        quantity=None,
        quoteOrderQty="100",
        listing={"quoteOrderQtyMarketAllowed": False},
    ),
    order(
        -1013,
        "Iceberg orders are not supported for this symbol.",
        icebergQty="0.005",
        listing={"icebergAllowed": False},
    ),
    stop(
        -1013,
        "Trailing stop orders are not supported for this symbol.",
        trailingDelta=100,
        listing={"allowTrailingStop": False},
    ),
    order(
        -1013,
        "Pegged orders are not supported for this symbol.",
        price=None,
        pegPriceType="PRIMARY_PEG",
        listing={"pegInstructionsAllowed": False},
    ),
    stop(-1013, "Stop loss orders are not supported for this symbol.", listing={"STOP_LOSS": False}),
    # --- the matching engine
    order(-2010, "Account has insufficient balance for requested action.", quantity="100"),
    order(-2010, "Duplicate order sent.", newClientOrderId="resting"),
    order(-2010, "IcebergQty exceeds QTY.", icebergQty="0.02"),
    stop(-2010, "Order would trigger immediately.", stopPrice="70000"),
    order(
        -2010, "Order would immediately match and take.", type="LIMIT_MAKER", price="70000", timeInForce=None
    ),
    stop(-2010, "This order type may not use pegged price.", pegPriceType="PRIMARY_PEG"),
    order(
        -2010,
        "This price peg cannot be used with this order type.",
        type="LIMIT_MAKER",
        timeInForce=None,
        price=None,
        pegPriceType="MARKET_PEG",
    ),
    order(
        -2010,
        "Order book liquidity is too low for this pegged order.",
        price=None,
        pegPriceType="PRIMARY_PEG",
        pegOffsetType="PRICE_LEVEL",
        pegOffsetValue=99,
    ),
    order(
        -2010,
        "This symbol does not allow the specified self-trade prevention mode.",
        selfTradePreventionMode="TRANSFER",
    ),
    ask(-2011, "Unknown order sent.", "DELETE order", "order.cancel", orderId=99),
    ask(
        -2011,
        "Order was not canceled due to cancel restrictions.",
        "DELETE order",
        "order.cancel",
        orderId=1,
        cancelRestrictions="ONLY_PARTIALLY_FILLED",
    ),
    ask(-2011, "Unknown order list sent.", "DELETE orderList", "orderList.cancel", orderListId=99),
    ask(-2013, "Order does not exist.", "GET order", "order.status", orderId=99),
    Case(-2018, "Order list does not exist.", "GET orderList", "orderList.status", {"orderListId": 99}),
    ask(
        -2038,
        "Order amend (quantity increase) is not supported.",
        "PUT order/amend/keepPriority",
        "order.amend.keepPriority",
        orderId=1,
        newQty="5",
    ),
    ask(
        -2038,
        "The requested action would change no state; rejecting",
        "PUT order/amend/keepPriority",
        "order.amend.keepPriority",
        orderId=1,
        newQty="0.01",
    ),
    ask(
        -2039,
        "Client order ID is not correct for this order ID.",
        "GET order",
        "order.status",
        orderId=1,
        origClientOrderId="other",
    ),
    # --- order lists
    oco(-1158, "Order type not supported in OCO.", "SELL", "LIMIT_MAKER", "MARKET"),
    oco(
        -1160,
        "Parameter 'belowIcebergQty' is not supported if `belowTimeInForce` is not GTC.",
        "SELL",
        "LIMIT_MAKER",
        "STOP_LOSS_LIMIT",
        belowTimeInForce="IOC",
        belowIcebergQty="0.005",
    ),
    oco(-1165, "A limit order in a buy OCO must be below.", "BUY", "LIMIT_MAKER", "STOP_LOSS"),
    oco(-1166, "A limit order in a sell OCO must be above.", "SELL", "STOP_LOSS", "LIMIT_MAKER"),
    oco(-1168, "At least one OCO order must be contingent.", "SELL", "LIMIT_MAKER", "LIMIT_MAKER"),
    oco(-1196, "A stop loss order in a buy OCO must be above.", "BUY", "STOP_LOSS", "STOP_LOSS"),
    oco(-1197, "A stop loss order in a sell OCO must be below.", "SELL", "STOP_LOSS", "STOP_LOSS"),
    oco(-1198, "A take profit order in a buy OCO must be below.", "BUY", "TAKE_PROFIT", "TAKE_PROFIT"),
    oco(-1199, "A take profit order in a sell OCO must be above.", "SELL", "TAKE_PROFIT", "TAKE_PROFIT"),
    oco(
        -2010,
        "The relationship of the prices for the orders is not correct.",
        "SELL",
        "LIMIT_MAKER",
        "STOP_LOSS",
        abovePrice="61000",
        belowStopPrice="61000",
    ),
    opo(-1014, "Unsupported order combination.", workingType="MARKET"),
    opo(-1222, "Working order in an OPO list must be a bid.", workingSide="SELL"),
    opo(-1223, "Pending orders in an OPO list must be asks.", pendingSide="BUY"),
]
