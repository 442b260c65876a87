"""Every reason to refuse an order, with the venue's code and words."""

from __future__ import annotations

from typing import Any

from tests.paper.clients import Rest
from tests.paper.worlds import exchange

LIMIT = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "50000"}


def without(name: str) -> dict[str, Any]:
    """The good limit order less one parameter."""
    return {key: value for key, value in LIMIT.items() if key != name}


def mandatory(name: str) -> tuple[int, str]:
    return -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed."


def excess(name: str) -> tuple[int, str]:
    return -1106, f"Parameter '{name}' sent when not required."


def filtered(name: str) -> tuple[int, str]:
    return -1013, f"Filter failure: {name}"


DECIMAL = "legal range is '^([0-9]{1,20})(\\.[0-9]{1,20})?$'."
FUNDS = (-2010, "Account has insufficient balance for requested action.")
BOTH = "must be sent, but both were empty/null!"

CASES: list[tuple[dict[str, Any], tuple[int, str]]] = [
    ({**LIMIT, "symbol": "NOSUCH"}, (-1121, "Invalid symbol.")),
    (without("side"), mandatory("side")),
    (without("type"), mandatory("type")),
    (without("quantity"), mandatory("quantity")),
    (without("price"), mandatory("price")),
    (without("timeInForce"), mandatory("timeInForce")),
    ({**LIMIT, "side": "HOLD"}, (-1117, "Invalid side.")),
    ({**LIMIT, "type": "MAGIC"}, (-1116, "Invalid orderType.")),
    ({**LIMIT, "timeInForce": "GTX"}, (-1115, "Invalid timeInForce.")),
    ({**LIMIT, "quantity": "abc"}, (-1100, f"Illegal characters found in parameter 'quantity'; {DECIMAL}")),
    ({**LIMIT, "quantity": "-1"}, (-1100, f"Illegal characters found in parameter 'quantity'; {DECIMAL}")),
    ({**LIMIT, "price": ""}, (-1105, "Parameter 'price' was empty.")),
    ({**LIMIT, "quantity": "0.123456789"}, (-1111, "Parameter 'quantity' has too much precision.")),
    ({**LIMIT, "price": "50000.123456789"}, (-1111, "Parameter 'price' has too much precision.")),
    ({**LIMIT, "stopPrice": "1"}, excess("stopPrice")),
    ({**LIMIT, "quoteOrderQty": "10"}, excess("quoteOrderQty")),
    (
        {**LIMIT, "foo": "1"},
        (-1104, "Not all sent parameters were read; read '8' parameter(s) but was sent '9'."),
    ),
    ({**LIMIT, "newClientOrderId": "a" * 37}, (-1100, None)),
    (
        {**LIMIT, "selfTradePreventionMode": "X"},
        (-1130, "Data sent for parameter 'selfTradePreventionMode' is not valid."),
    ),
    ({**LIMIT, "newOrderRespType": "X"}, (-1130, "Data sent for parameter 'newOrderRespType' is not valid.")),
    ({**LIMIT, "strategyType": "1"}, (-1134, None)),
    ({"side": "BUY", "type": "MARKET"}, (-1102, f"Param 'quantity' or 'quoteOrderQty' {BOTH}")),
    ({"side": "BUY", "type": "MARKET", "quantity": "1", "price": "1"}, excess("price")),
    ({"side": "BUY", "type": "MARKET", "quantity": "1", "timeInForce": "GTC"}, excess("timeInForce")),
    (
        {"side": "SELL", "type": "STOP_LOSS", "quantity": "1"},
        (-1102, f"Param 'stopPrice' or 'trailingDelta' {BOTH}"),
    ),
    ({**LIMIT, "price": "50000.001"}, filtered("PRICE_FILTER")),
    ({**LIMIT, "price": "2000000"}, filtered("PRICE_FILTER")),
    ({**LIMIT, "price": "500"}, filtered("PERCENT_PRICE_BY_SIDE")),
    ({**LIMIT, "price": "900000"}, filtered("PERCENT_PRICE_BY_SIDE")),
    ({**LIMIT, "quantity": "0.000001"}, filtered("LOT_SIZE")),
    ({**LIMIT, "quantity": "0.010001"}, filtered("LOT_SIZE")),
    ({**LIMIT, "quantity": "9001"}, filtered("LOT_SIZE")),
    ({**LIMIT, "quantity": "0.00009"}, filtered("NOTIONAL")),
    ({**LIMIT, "quantity": "0.00009", "price": "500.001"}, filtered("PRICE_FILTER")),
    ({**LIMIT, "quantity": "200", "price": "50000"}, filtered("NOTIONAL")),
    ({**LIMIT, "icebergQty": "0.00009"}, filtered("ICEBERG_PARTS")),
    ({**LIMIT, "icebergQty": "0.02"}, (-2010, "IcebergQty exceeds QTY.")),
    ({**LIMIT, "icebergQty": "0.001", "timeInForce": "IOC"}, excess("icebergQty")),
    (
        {"side": "SELL", "type": "STOP_LOSS", "quantity": "0.01", "trailingDelta": "5"},
        filtered("TRAILING_DELTA"),
    ),
    (
        {"side": "SELL", "type": "STOP_LOSS", "quantity": "0.01", "stopPrice": "70000"},
        (-2010, "Order would trigger immediately."),
    ),
    (
        {"side": "BUY", "type": "TAKE_PROFIT", "quantity": "0.01", "stopPrice": "70000"},
        (-2010, "Order would trigger immediately."),
    ),
    (
        {"side": "BUY", "type": "LIMIT_MAKER", "quantity": "0.01", "price": "70000"},
        (-2010, "Order would immediately match and take."),
    ),
    ({**LIMIT, "quantity": "100"}, FUNDS),
    ({**LIMIT, "side": "SELL", "price": "70000", "quantity": "3"}, FUNDS),
    ({"side": "BUY", "type": "MARKET", "quantity": "5"}, FUNDS),
    ({"side": "BUY", "type": "MARKET", "quoteOrderQty": "200000"}, FUNDS),
]


async def test_each_refusal_leaves_the_account_as_it_was() -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        before = {asset: (b.free, b.locked) for asset, b in ex.venue.accounts["desk"].balances.items()}
        wrong = []
        for params, (code, msg) in CASES:
            status, body = await rest.order(**params)
            tested = (await rest.signed("POST", "order/test", **{"symbol": "BTCUSDT", **params}))[1]
            if (body.get("code"), status) != (code, 400) or (msg is not None and body["msg"] != msg):
                wrong.append((params, body))
            elif code != -2010 and tested != body:
                wrong.append((params, tested, "order/test"))
        assert not wrong
        after = {asset: (b.free, b.locked) for asset, b in ex.venue.accounts["desk"].balances.items()}
        assert after == before
        assert not ex.venue.accounts["desk"].open_orders


async def test_open_order_caps_and_duplicates() -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        good = {**LIMIT, "newClientOrderId": "same"}
        assert (await rest.order(**good))[0] == 200
        assert (await rest.order(**good))[1] == {"code": -2010, "msg": "Duplicate order sent."}
        ex.venue.symbols["BTCUSDT"].by_type["MAX_NUM_ORDERS"]["maxNumOrders"] = 7
        stop = {"side": "SELL", "type": "STOP_LOSS", "quantity": "0.01", "stopPrice": "50000"}
        for _ in range(5):
            assert (await rest.order(**stop))[0] == 200
        assert (await rest.order(**stop))[1]["msg"] == "Filter failure: MAX_NUM_ALGO_ORDERS"
        assert (await rest.order(**LIMIT))[0] == 200
        assert (await rest.order(**LIMIT))[1]["msg"] == "Filter failure: MAX_NUM_ORDERS"


async def test_a_halted_symbol_and_changed_filters_take_effect_at_once() -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        await rest.raw("POST", "/paper/symbol-status", body='{"symbol": "BTCUSDT", "status": "HALT"}')
        assert (await rest.order(**LIMIT))[1] == {"code": -1013, "msg": "Market is closed."}
        info = (await rest.public("exchangeInfo", symbol="BTCUSDT"))[1]
        assert info["symbols"][0]["status"] == "HALT"
        await rest.raw("POST", "/paper/symbol-status", body='{"symbol": "BTCUSDT", "status": "TRADING"}')
        lot = '{"filterType": "LOT_SIZE", "minQty": "1.0", "maxQty": "10.0", "stepSize": "1.0"}'
        await rest.raw("POST", "/paper/symbol-filters", body=f'{{"symbol": "BTCUSDT", "filters": [{lot}]}}')
        assert (await rest.order(**LIMIT))[1]["msg"] == "Filter failure: LOT_SIZE"
        assert (await rest.order(**{**LIMIT, "quantity": "1"}))[0] == 200


async def test_queries_and_cancels_of_what_is_not_there() -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        ask = {"symbol": "BTCUSDT"}
        assert (await rest.signed("GET", "order", **ask, orderId=5))[1]["code"] == -2013
        assert (await rest.signed("GET", "order", **ask))[1]["code"] == -1102
        assert (await rest.signed("DELETE", "order", **ask, orderId=5))[1] == {
            "code": -2011, "msg": "Unknown order sent.",
        }  # fmt: skip
        assert (await rest.signed("DELETE", "openOrders", **ask))[1]["code"] == -2011
        assert (await rest.signed("DELETE", "orderList", **ask, orderListId=1))[1]["code"] == -2011
        bad = await rest.signed("DELETE", "order", **ask, orderId=5, cancelRestrictions="X")
        assert bad[1]["code"] == -1145
        assert (await rest.raw("PATCH", "/api/v3/order"))[0] == 405
        assert (await rest.raw("GET", "/api/v3/nothing"))[0] == 404
        assert (await rest.raw("GET", "/api/v1/ping"))[0] == 404
        assert (await rest.signed("POST", "userDataStream"))[0] == 404
