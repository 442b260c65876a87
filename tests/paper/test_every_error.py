"""Every documented error a trading client can provoke, once over REST and once over the WebSocket API.

Codes and texts as in the venue's error documentation; both doors must say the same.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from qtm.paper.limits import RateLimit
from qtm.paper.server import PaperExchange
from qtm.paper.spot.venue import RATE_LIMITS
from tests.paper.clients import Rest
from tests.paper.error_cases import CASES, Case, ask, order
from tests.paper.signing import signed
from tests.paper.worlds import exchange, replay

MARKET_DATA = ("depth", "klines", "ticker.24hr", "ticker", "exchangeInfo", "referencePrice", "avgPrice")


@dataclass
class Doors:
    """One exchange with a resting order (id 1), its two doors, and a way to say a case at either."""

    exchange: PaperExchange
    rest: Rest
    socket: aiohttp.ClientWebSocketResponse

    async def over_rest(self, case: Case) -> tuple[int, Any]:
        method, path = case.rest.split(" ")
        if case.method in MARKET_DATA:
            status, body, _ = await self.rest.public(path, **case.params)
        else:
            status, body, _ = await self.rest.signed(method, path, **case.params)
        return status, body

    async def over_socket(self, case: Case) -> tuple[int, Any]:
        params = case.params if case.method in MARKET_DATA else signed(case.params)
        if isinstance(params.get("symbols"), str):
            params = {**params, "symbols": json.loads(params["symbols"])}
        return await self.say({"id": 1, "method": case.method, "params": params})

    async def say(self, request: Any) -> tuple[int, Any]:
        await self.socket.send_str(request if isinstance(request, str) else json.dumps(request))
        answer = await self.socket.receive_json(timeout=3)
        return answer["status"], answer.get("error", answer.get("result"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors() -> AsyncIterator[Doors]:
    async with (
        exchange(replay(("BTCUSDT", "BTC", "USDT"), ("ETHUSDT", "ETH", "USDT"))) as ex,
        Rest(ex.url) as rest,
        aiohttp.ClientSession() as http,
        http.ws_connect(ex.ws_url + "/ws-api/v3") as socket,
    ):
        status, body = await rest.order(
            side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="50000",
            newClientOrderId="resting",
        )  # fmt: skip
        assert (status, body["orderId"]) == (200, 1)
        yield Doors(ex, rest, socket)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", CASES, ids=str)
async def test_both_doors_answer_with_the_documented_code_and_text(doors: Doors, case: Case) -> None:
    listing = doors.exchange.venue.symbols["BTCUSDT"]
    filters, features, types = listing.filters, dict(listing.features), listing.order_types
    try:
        if case.filters is not None:
            listing.change_filters([case.filters])
        for name, offered in case.listing.items():
            if name in features:
                listing.features[name] = offered
            else:
                listing.order_types = tuple(kind for kind in types if kind != name)
        for say in (doors.over_rest, doors.over_socket):
            status, body = await say(case)
            assert (status, body.get("code"), body.get("msg")) == (400, case.code, case.text), say
    finally:
        listing.set_filters(filters)
        listing.features, listing.order_types = features, types
    account = doors.exchange.venue.accounts["desk"]
    assert len(account.open_orders) == 1
    assert account.balance("USDT").locked == 500 * 10**8


@pytest.mark.asyncio(loop_scope="module")
async def test_cancel_replace_says_which_half_failed(doors: Doors) -> None:
    wrong = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "100"}
    wrong |= {"price": "50000", "cancelReplaceMode": "ALLOW_FAILURE", "cancelOrderId": "99"}
    for case, code, text, status in (
        (wrong, -2022, "Order cancel-replace failed.", 400),
        ({**wrong, "quantity": "0.01"}, -2021, "Order cancel-replace partially failed.", 409),
    ):
        request = Case(code, text, "POST order/cancelReplace", "order.cancelReplace", case)
        for say in (doors.over_rest, doors.over_socket):
            got, body = await say(request)
            assert (got, body["code"], body["msg"]) == (status, code, text)
            assert body["data"]["cancelResponse"] == {"code": -2011, "msg": "Unknown order sent."}
            placed = body["data"]["newOrderResponse"]
            if code == -2021:
                await doors.rest.signed("DELETE", "order", symbol="BTCUSDT", orderId=placed["orderId"])


@pytest.mark.asyncio(loop_scope="module")
async def test_keys_signatures_and_clocks(doors: Doors) -> None:
    params = {"symbol": "BTCUSDT", "orderId": 1}
    stale = "Timestamp for this request is outside of the recvWindow."
    ahead = "Timestamp for this request was 1000ms ahead of the server's time."
    for skew, text in ((-6000, stale), (3000, ahead)):
        doors.exchange.faults.clock_skew_ms = -skew
        try:
            _, body, _ = await doors.rest.signed("GET", "order", **params)
            _, error = await doors.say({"id": 1, "method": "order.status", "params": signed(params)})
        finally:
            doors.exchange.faults.clock_skew_ms = 0
        assert body == error == {"code": -1021, "msg": text}
    for change, code, text, status in (
        ({"signature": "00"}, -1022, "Signature for this request is not valid.", 400),
        ({"apiKey": "nobody"}, -2015, "Invalid API-key, IP, or permissions for action.", 401),
        ({"apiKey": "with space"}, -2014, "API-key format invalid.", 401),
    ):
        request = {"id": 1, "method": "order.status", "params": {**signed(params), **change}}
        assert await doors.say(request) == (status, {"code": code, "msg": text})
        headers = {"X-MBX-APIKEY": change.get("apiKey", doors.rest.key)}
        query = "symbol=BTCUSDT&orderId=1&timestamp=" + str(signed(params)["timestamp"])
        signature = change.get("signature", "00")
        got, body, _ = await doors.rest.raw(
            "GET", "/api/v3/order", f"{query}&signature={signature}", headers=headers
        )
        assert (got, body) == (status, {"code": code, "msg": text})


@pytest.mark.asyncio(loop_scope="module")
async def test_what_only_one_door_can_be_told(doors: Doors) -> None:
    assert await doors.say("{") == (400, {"code": -1135, "msg": "Invalid JSON Request"})
    unknown = await doors.say({"id": 1, "method": "order.fly"})
    assert unknown == (400, {"code": -1020, "msg": "This operation is not supported."})
    subscribe = {"id": 1, "method": "userDataStream.subscribe.signature"}
    assert (await doors.say({**subscribe, "params": signed({})}))[0] == 200
    again = await doors.say({**subscribe, "params": signed({})})
    assert again == (400, {"code": -2035, "msg": "User Data Stream subscription already active."})
    unknown = await doors.say(
        {"id": 1, "method": "userDataStream.unsubscribe", "params": {"subscriptionId": 9}}
    )
    assert unknown == (400, {"code": -2036, "msg": "User Data Stream subscription not active."})
    _, body, _ = await doors.rest.raw("GET", "/api/v3/depth", "symbol=BTCUSDT&symbol=BTCUSDT")
    assert body == {"code": -1101, "msg": "Duplicate values for a parameter detected."}
    _, body, _ = await doors.rest.public("time", foo=1)
    assert body["msg"] == "Not all sent parameters were read; read '0' parameter(s) but was sent '1'."
    _, body, _ = await doors.rest.public("time", headers={"X-MBX-TIME-UNIT": "DAY"})
    assert body == {
        "code": -1194,
        "msg": "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.",
    }


async def test_no_reference_price_before_anything_has_a_price() -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        market = ex.venue.markets["BTCUSDT"]
        market.last_price, market.klines.count, market.klines.forming = 0, 0, None
        ex.venue.set_depth("BTCUSDT", [], [])
        _, body, _ = await rest.public("referencePrice", symbol="BTCUSDT")
        assert body == {"code": -2043, "msg": "This symbol doesn't have a reference price."}


async def test_too_many_orders_and_too_much_weight_at_both_doors() -> None:
    limits = (
        RateLimit("REQUEST_WEIGHT", "MINUTE", 1, 60),
        RateLimit("ORDERS", "SECOND", 10, 1),
        *RATE_LIMITS[2:],
    )
    async with (
        exchange(rate_limits=limits) as ex,
        Rest(ex.url) as rest,
        aiohttp.ClientSession() as http,
        http.ws_connect(ex.ws_url + "/ws-api/v3") as socket,
    ):
        doors = Doors(ex, rest, socket)
        case = order(-1015, "Too many new orders; current limit is 1 orders per 10 SECONDS.")
        assert (await rest.order(**{**case.params}))[0] == 200
        for say in (doors.over_rest, doors.over_socket):
            status, body = await say(case)
            assert (status, body["code"], body["msg"]) == (429, case.code, case.text)
        heavy = ask(-1003, "", "GET depth", "depth", limit=5000)
        for say in (doors.over_rest, doors.over_socket):
            status, body = await say(heavy)
            assert (status, body["code"]) == (429, -1003)
            assert body["msg"] == (
                "Too much request weight used; current limit is 60 request weight per 1 MINUTE. "
                "Please use WebSocket Streams for live updates to avoid polling the API."
            )
