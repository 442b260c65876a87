"""Every refusal a trading client can provoke: code and text, the same over REST and the WebSocket API.

Texts are those of Binance's USD-M error page, or of answers seen in use.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.paper.clients import Rest
from tests.paper.signing import signed
from tests.paper.um.um_worlds import exchange

LIMIT = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "59000"}
MARKET = {"side": "BUY", "type": "MARKET", "quantity": "0.1"}
STOP = {
    "algoType": "CONDITIONAL",
    "side": "SELL",
    "type": "STOP_MARKET",
    "triggerPrice": "50000",
    "quantity": "0.1",
}
TRAIL = {"algoType": "CONDITIONAL", "side": "SELL", "type": "TRAILING_STOP_MARKET", "quantity": "0.1",
         "callbackRate": "1"}  # fmt: skip
NO_SIDE = "Mandatory parameter 'side' was not sent, was empty/null, or malformed."
PRECISION = "Precision is over the maximum defined for this asset."
POST_ONLY = "Due to the order could not be executed as maker, the Post Only order will be rejected."
NO_FILL = "Due to the order could not be filled immediately, the FOK order has been rejected."
TOO_LONG = "Client order id length should not be more than 36 chars"
MOVED = "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
GOOD_TILL = (
    "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than "
    "253402300799000 (UTC 9999-12-31 23:59:59)"
)

ORDERS: list[tuple[dict[str, Any], int, str]] = [
    ({**LIMIT, "symbol": "NOPE"}, -1121, "Invalid symbol."),
    ({**LIMIT, "side": ""}, -1102, NO_SIDE),
    ({**LIMIT, "side": "HOLD"}, -1117, "Invalid side."),
    ({**LIMIT, "type": "ICEBERG"}, -1116, "Invalid orderType."),
    ({**LIMIT, "type": "STOP_MARKET"}, -4120, MOVED),
    ({**LIMIT, "timeInForce": "DAY"}, -1115, "Invalid timeInForce."),
    ({**LIMIT, "timeInForce": "RPI"}, -1115, "Invalid timeInForce."),
    ({**LIMIT, "newOrderRespType": "FULL"}, -1136, "Invalid newOrderRespType."),
    ({**LIMIT, "positionSide": "UP"}, -4060, "Invalid position side."),
    ({**LIMIT, "positionSide": "LONG"}, -4061, "Order's position side does not match user's setting."),
    ({**LIMIT, "workingType": "INDEX"}, -4031, "Invalid parameter working type: INDEX"),
    ({**LIMIT, "selfTradePreventionMode": "X"}, -5039, "Invalid self trade prevention mode."),
    ({**LIMIT, "newClientOrderId": "a" * 37}, -4015, TOO_LONG),
    ({**LIMIT, "newClientOrderId": "a!"}, -4015, "Client order id is not valid."),
    ({**LIMIT, "quantity": "0"}, -4003, "Quantity less than or equal to zero."),
    ({**LIMIT, "quantity": "0.0001"}, -1111, PRECISION),
    ({**LIMIT, "quantity": "1001"}, -4005, "Quantity greater than max quantity."),
    ({**LIMIT, "quantity": "one"}, -1100,
     "Illegal characters found in parameter 'quantity'; legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'."),
    ({**LIMIT, "price": "59000.001"}, -1111, PRECISION),
    ({**LIMIT, "price": "59000.05"}, -4014, "Price not increased by tick size."),
    ({**LIMIT, "price": "0"}, -4001, "Price less than 0."),
    ({**LIMIT, "price": "1000001"}, -4002, "Price greater than max price."),
    ({**LIMIT, "price": "90000"}, -4016, "Limit price can't be higher than {cap}."),
    ({**LIMIT, "side": "SELL", "price": "30000"}, -4024, "Limit price can't be lower than {floor}."),
    ({**LIMIT, "quantity": "0.001", "price": "4000"}, -4164,
     "Order's notional must be no smaller than 5 (unless you choose reduce only)."),
    ({**LIMIT, "quantity": "100"}, -2019, "Margin is insufficient."),
    ({**LIMIT, "timeInForce": "GTX", "price": "61000"}, -5022, POST_ONLY),
    ({**LIMIT, "timeInForce": "FOK"}, -5021, NO_FILL),
    ({**LIMIT, "timeInForce": "GTD"}, -1102,
     "Mandatory parameter 'goodTillDate' was not sent, was empty/null, or malformed."),
    ({**LIMIT, "timeInForce": "GTD", "goodTillDate": "1000"}, -5040, GOOD_TILL),
    ({**LIMIT, "priceMatch": "BEST"}, -5037, "Invalid price match"),
    ({**LIMIT, "priceMatch": "QUEUE"}, -1106, "Parameter 'price' sent when not required."),
    ({**MARKET, "priceMatch": "QUEUE"}, -5038,
     "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT"),
    ({**MARKET, "price": "60000"}, -1106, "Parameter 'price' sent when not required."),
    ({**MARKET, "reduceOnly": "true"}, -2022, "ReduceOnly Order is rejected."),
    ({**MARKET, "quantity": ""}, -1105, "Parameter 'quantity' was empty."),
    ({**MARKET, "surprise": "1"}, -1104,
     "Not all sent parameters were read; read '6' parameter(s) but was sent '7'."),
]  # fmt: skip

ALGOS: list[tuple[dict[str, Any], int, str]] = [
    ({**STOP, "algoType": "TWAP"}, -1130, "Data sent for parameter 'algoType' is not valid."),
    ({**STOP, "type": "LIMIT"}, -1116, "Invalid orderType."),
    ({**STOP, "triggerPrice": "70000"}, -2021, "Order would immediately trigger."),
    ({**STOP, "triggerPrice": "50000.05"}, -4014, "Price not increased by tick size."),
    ({**STOP, "triggerPrice": "0"}, -1102,
     "Mandatory parameter 'triggerPrice' was not sent, was empty/null, or malformed."),
    ({**STOP, "closePosition": "true"}, -4137, "Quantity must be zero with closePosition equals true"),
    ({**TRAIL, "callbackRate": "11"}, -2007, "Invalid callBack rate."),
    ({**TRAIL, "activatePrice": "50000"}, -2021, "Order would immediately trigger."),
    ({**STOP, "clientAlgoId": "b" * 37}, -4015, TOO_LONG),
]  # fmt: skip

REST_ONLY: list[tuple[str, str, dict[str, Any], int, str]] = [
    ("GET", "order", {"orderId": "77"}, -2013, "Order does not exist."),
    ("GET", "openOrder", {"orderId": "77"}, -2013, "Order does not exist."),
    ("GET", "order", {}, -1102,
     "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"),
    ("DELETE", "order", {"orderId": "77"}, -2011, "Unknown order sent."),
    ("PUT", "order", {"orderId": "77", "side": "BUY", "quantity": "1", "price": "59000"}, -2013,
     "Order does not exist."),
    ("POST", "leverage", {"leverage": "126"}, -4028, "Leverage 126 is not valid"),
    ("POST", "marginType", {"marginType": "CROSSED"}, -4046, "No need to change margin type."),
    ("POST", "positionMargin", {"amount": "5", "type": "1"}, -4049,
     "Add margin only support for isolated position."),
    ("POST", "positionMargin", {"amount": "0", "type": "1"}, -4055, "Amount must be positive."),
    ("POST", "batchOrders", {"batchOrders": "[]"}, -1100,
     "Illegal characters found in parameter 'batchOrders'; legal range is 'JSON array'."),
    ("POST", "batchOrders", {"batchOrders": "[{},{},{},{},{},{}]"}, -4082,
     "Invalid number of batch place orders."),
    ("DELETE", "batchOrders", {"orderIdList": "[1,2,3,4,5,6,7,8,9,10,11]"}, -4032,
     "Exceed maximum cancel order size."),
    ("GET", "allOrders", {"startTime": "2", "endTime": "1"}, -1023, "Start time is greater than end time."),
    ("GET", "userTrades", {"startTime": "0", "endTime": "700000000"}, -4165,
     "Maximum time interval is 7 days."),
    ("GET", "klines", {"interval": "7m"}, -1120, "Invalid interval."),
    ("GET", "depth", {"limit": "7"}, -4021, "7 is not valid depth limit."),
    ("GET", "indexInfo", {}, -1121, "Invalid symbol."),
    ("DELETE", "algoOrder", {"algoId": "9"}, -2011, "Unknown order sent."),
    ("GET", "algoOrder", {"algoId": "9"}, -2013, "Order does not exist."),
    ("PUT", "listenKey", {"listenKey": "x"}, -1125, "This listenKey does not exist."),
]  # fmt: skip


@pytest.fixture
async def venue() -> AsyncIterator[Any]:
    async with exchange() as opened, Rest(opened.url, prefix="/fapi/v1") as rest:
        yield opened, rest


def expected(opened: Any, text: str) -> str:
    symbol = opened.venue.symbols["BTCUSDT"]
    floor, cap = symbol.band(opened.venue.mark("BTCUSDT"))
    return text.replace("{cap}", symbol.price(cap)).replace("{floor}", symbol.price(floor))


def name_of(case: Any) -> str:
    return str(case) if isinstance(case, int) else ""


@pytest.mark.parametrize(("params", "code", "text"), ORDERS, ids=name_of)
async def test_order_refusals_at_both_doors(venue: Any, params: Any, code: int, text: str) -> None:
    await _both_doors(venue, "order", "order.place", params, code, text)


@pytest.mark.parametrize(("params", "code", "text"), ALGOS, ids=name_of)
async def test_conditional_order_refusals_at_both_doors(
    venue: Any, params: Any, code: int, text: str
) -> None:
    await _both_doors(venue, "algoOrder", "algoOrder.place", params, code, text)


async def _both_doors(venue: Any, path: str, method: str, params: Any, code: int, text: str) -> None:
    opened, rest = venue
    params = {"symbol": "BTCUSDT", **params}
    status, body, _ = await rest.signed("POST", path, **params)
    assert (status, body) == (400, {"code": code, "msg": expected(opened, text)})
    if code == -1104:  # the WebSocket API also counts the key
        return
    async with aiohttp.ClientSession() as http, http.ws_connect(opened.ws_url + "/ws-fapi/v1") as socket:
        await socket.send_str(json.dumps({"id": "1", "method": method, "params": signed(params)}))
        answer = await socket.receive_json(timeout=2)
    assert (answer["id"], answer["status"]) == ("1", 400)
    assert answer["error"] == {"code": code, "msg": expected(opened, text)}
    assert {row["rateLimitType"] for row in answer["rateLimits"]} >= {"REQUEST_WEIGHT"}
    assert not opened.venue.accounts["desk"].orders


@pytest.mark.parametrize(("method", "path", "params", "code", "text"), REST_ONLY, ids=name_of)
async def test_other_refusals(venue: Any, method: str, path: str, params: Any, code: int, text: str) -> None:
    _, rest = venue
    if path == "listenKey":
        answer = await rest.raw(method, "/fapi/v1/listenKey?listenKey=x", headers={"X-MBX-APIKEY": rest.key})
    elif path in ("klines", "depth", "indexInfo"):
        answer = await rest.public(path, symbol="BTCUSDT", **params)
    else:
        answer = await rest.signed(method, path, symbol="BTCUSDT", **params)
    assert answer[:2] == (400, {"code": code, "msg": text})


async def test_settings_refuse_what_orders_and_positions_forbid(venue: Any) -> None:
    opened, rest = venue

    async def refusal(path: str, **params: Any) -> int:
        return int((await rest.signed("POST", path, **params))[1]["code"])

    order = {"symbol": "BTCUSDT", **LIMIT}
    assert (await rest.signed("POST", "order", **order, newClientOrderId="twin"))[0] == 200
    assert await refusal("order", **order, newClientOrderId="twin") == -4116
    assert await refusal("marginType", symbol="BTCUSDT", marginType="ISOLATED") == -4047
    assert await refusal("positionSide/dual", dualSidePosition="true") == -4067
    assert await refusal("multiAssetsMargin", multiAssetsMargin="true") == -4170
    assert await refusal("multiAssetsMargin", multiAssetsMargin="false") == -4171
    assert (await rest.signed("DELETE", "allOpenOrders", symbol="BTCUSDT"))[0] == 200
    assert (await rest.signed("POST", "order", symbol="BTCUSDT", **MARKET))[0] == 200
    assert await refusal("marginType", symbol="BTCUSDT", marginType="ISOLATED") == -4048
    assert await refusal("positionSide/dual", dualSidePosition="true") == -4068
    assert await refusal("positionSide/dual", dualSidePosition="false") == -4059
    big = {**MARKET, "quantity": "20"}
    assert (await rest.signed("POST", "order", symbol="BTCUSDT", **big))[0] == 200
    assert await refusal("leverage", symbol="BTCUSDT", leverage="2") == -2028
    assert await refusal("leverage", symbol="BTCUSDT", leverage="125") == -2027
    assert (await rest.signed("DELETE", "order", symbol="BTCUSDT", orderId="1"))[1]["code"] == -2011
    opened.venue.accounts["desk"].setting("BTCUSDT").leverage = 125
    assert await refusal("order", **{**order, "quantity": "10"}) == -2027
    opened.venue.markets["BTCUSDT"].status = "HALT"
    assert await refusal("order", symbol="BTCUSDT", **MARKET) == -4140


async def test_isolated_margin_moves_within_its_bounds(venue: Any) -> None:
    _, rest = venue

    async def margin(amount: str, kind: str) -> Any:
        return (await rest.signed("POST", "positionMargin", symbol="BTCUSDT", amount=amount, type=kind))[1]

    await rest.signed("POST", "marginType", symbol="BTCUSDT", marginType="ISOLATED")
    assert (await margin("5", "1"))["code"] == -4054
    await rest.signed("POST", "order", symbol="BTCUSDT", **MARKET)
    assert (await margin("500", "1")) == {
        "amount": 500.0, "code": 200, "msg": "Successfully modify position margin.", "type": 1,
    }  # fmt: skip
    assert (await margin("999999", "1"))["code"] == -4050
    assert (await margin("900", "2"))["code"] == -4051
    assert (await margin("400", "2"))["code"] == 200
    assert (await rest.signed("POST", "leverage", symbol="BTCUSDT", leverage="5"))[1]["code"] == -4161
    history = (await rest.signed("GET", "positionMargin/history", symbol="BTCUSDT"))[1]
    assert [(row["type"], row["amount"]) for row in history] == [(1, "500.00000000"), (2, "400.00000000")]


async def test_amending_refuses_and_keeps_the_order(venue: Any) -> None:
    opened, rest = venue
    placed = (await rest.signed("POST", "order", symbol="BTCUSDT", **LIMIT, newOrderRespType="RESULT"))[1]
    same = {"symbol": "BTCUSDT", "orderId": placed["orderId"], "side": "BUY"}
    for change, code in (
        ({"quantity": "0.1", "price": "59000"}, -5027), ({"quantity": "0.001", "price": "4000"}, -5029),
        ({"quantity": "100", "price": "59000"}, -2019), ({"quantity": "0.2", "price": "59000.05"}, -4014),
        ({"quantity": "0.2"}, -1102),
    ):  # fmt: skip
        assert (await rest.signed("PUT", "order", **same, **change))[1]["code"] == code
    assert (await rest.signed("PUT", "order", **{**same, "side": "SELL"}, quantity="1", price="59000"))[1][
        "code"
    ] == -1117
    kept = (await rest.signed("GET", "order", symbol="BTCUSDT", orderId=placed["orderId"]))[1]
    assert (kept["origQty"], kept["price"]) == ("0.100", "59000.00")
    moved = (await rest.signed("PUT", "order", **same, quantity="0.2", priceMatch="QUEUE"))[1]
    best = opened.venue.markets["BTCUSDT"].book.bids.best()
    assert moved["price"] == opened.venue.symbols["BTCUSDT"].price(best[0])
    rows = (await rest.signed("GET", "orderAmendment", symbol="BTCUSDT", orderId=placed["orderId"]))[1]
    assert [row["amendment"]["origQty"] for row in rows] == [{"before": "0.100", "after": "0.200"}]
