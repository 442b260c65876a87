"""What each request costs, what the headers and `rateLimits` say, and what happens to those who go on."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from qtm.paper.limits import RateLimit
from tests.paper.both import SPOT, UM, MarketCase, both
from tests.paper.raw_sockets import RawHttp, signed_request

B = {"symbol": "BTCUSDT"}
SPOT_WEIGHTS: list[tuple[str, dict[str, str], int]] = [
    ("GET ping", {}, 1), ("GET time", {}, 1), ("GET exchangeInfo", {}, 20),
    ("GET depth", {**B, "limit": "100"}, 5), ("GET depth", {**B, "limit": "500"}, 25),
    ("GET depth", {**B, "limit": "1000"}, 50), ("GET depth", {**B, "limit": "5000"}, 250),
    ("GET trades", B, 25), ("GET historicalTrades", B, 25), ("GET aggTrades", B, 4), ("GET klines", B, 2),
    ("GET uiKlines", B, 2), ("GET avgPrice", B, 2), ("GET ticker/24hr", B, 2), ("GET ticker/24hr", {}, 80),
    ("GET ticker/tradingDay", B, 4), ("GET ticker/price", B, 2), ("GET ticker/price", {}, 4),
    ("GET ticker/bookTicker", B, 2), ("GET ticker/bookTicker", {}, 4), ("GET ticker", B, 4),
    ("GET referencePrice", B, 2), ("GET referencePrice/calculation", B, 2), ("GET executionRules", B, 2),
    ("POST order", B, 1), ("POST order/test", B, 1),
    ("POST order/test", {**B, "computeCommissionRates": "true"}, 20), ("DELETE order", B, 1),
    ("DELETE openOrders", B, 1), ("POST order/cancelReplace", B, 1), ("PUT order/amend/keepPriority", B, 4),
    ("POST order/oco", B, 1), ("POST orderList/oco", B, 1), ("POST orderList/oto", B, 1),
    ("POST orderList/otoco", B, 1), ("DELETE orderList", B, 1), ("GET account", {}, 20), ("GET order", B, 4),
    ("GET openOrders", B, 6), ("GET openOrders", {}, 80), ("GET allOrders", B, 20), ("GET orderList", {}, 4),
    ("GET allOrderList", {}, 20), ("GET openOrderList", {}, 6), ("GET myTrades", B, 20),
    ("GET myTrades", {**B, "orderId": "1"}, 5), ("GET rateLimit/order", {}, 40),
    ("GET myPreventedMatches", {**B, "preventedMatchId": "1"}, 2),
    ("GET myPreventedMatches", {**B, "orderId": "1"}, 20), ("GET myAllocations", B, 20),
    ("GET account/commission", B, 20), ("GET order/amendments", {**B, "orderId": "1"}, 4),
    ("GET myFilters", B, 40),
]  # fmt: skip
UM_WEIGHTS: list[tuple[str, dict[str, str], int]] = [
    ("GET ping", {}, 1), ("GET time", {}, 1), ("GET exchangeInfo", {}, 1),
    ("GET depth", {**B, "limit": "50"}, 2), ("GET depth", {**B, "limit": "100"}, 5),
    ("GET depth", {**B, "limit": "500"}, 10), ("GET depth", {**B, "limit": "1000"}, 20),
    ("GET trades", B, 5), ("GET aggTrades", B, 20), ("GET klines", {**B, "limit": "99"}, 1),
    ("GET klines", {**B, "limit": "499"}, 2), ("GET klines", {**B, "limit": "1000"}, 5),
    ("GET klines", {**B, "limit": "1500"}, 10), ("GET premiumIndex", B, 1), ("GET premiumIndex", {}, 10),
    ("GET ticker/24hr", B, 1), ("GET ticker/24hr", {}, 40), ("GET ticker/price", B, 1),
    ("GET ticker/price", {}, 2), ("GET ticker/bookTicker", B, 2), ("GET ticker/bookTicker", {}, 5),
    ("POST order", B, 0), ("PUT order", B, 0), ("DELETE order", B, 1), ("GET order", B, 1),
    ("POST batchOrders", {}, 5), ("POST algoOrder", B, 1), ("DELETE algoOrder", {}, 1),
    ("GET openOrder", B, 1), ("GET openOrders", B, 1), ("GET allOrders", B, 5), ("GET userTrades", B, 5),
    ("POST countdownCancelAll", B, 10), ("GET commissionRate", B, 20), ("GET income", {}, 30),
    ("GET leverageBracket", {}, 1), ("GET positionSide/dual", {}, 30), ("POST leverage", B, 1),
    ("POST marginType", B, 1), ("GET accountConfig", {}, 5), ("GET symbolConfig", {}, 5),
]  # fmt: skip


@pytest.mark.parametrize(("market", "table"), [(SPOT, SPOT_WEIGHTS), (UM, UM_WEIGHTS)], ids=["spot", "um"])
async def test_every_request_costs_its_weight(
    market: MarketCase, table: list[tuple[str, dict[str, str], int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Order entry lacks its parameters here and fails: only success is free."""
    monkeypatch.setattr("qtm.paper.gateway.Gateway.now_us", lambda self: 1_800_000_000_000_000)
    async with market.open() as ex, RawHttp(ex.port) as raw:
        limits = ex.application.gateway.address("127.0.0.1")
        wrong = []
        for route, params, weight in table:
            method, path = route.split(" ")
            limits.weight.used = 0
            await raw.ask(signed_request(method, f"{market.prefix}/{path}", params))
            if limits.weight.used != weight:
                wrong.append((route, params, limits.weight.used, weight))
        assert not wrong


@both
async def test_headers_and_rate_limits_tell_the_same(market: MarketCase) -> None:
    async with market.open() as ex, market.rest(ex) as rest, aiohttp.ClientSession() as http:
        headers = (await rest.signed("POST", "order", **market.resting))[2]
        windows = ("10S", "1D") if market.name == "spot" else ("10S", "1M")
        assert [headers[f"X-MBX-ORDER-COUNT-{window}"] for window in windows] == ["1", "1"]
        used = int(headers["X-MBX-USED-WEIGHT-1M"])
        assert used == 0
        socket = await http.ws_connect(ex.ws_url + market.ws_api)  # connecting costs 2
        answer = await market.ws_request(socket, "order.place", market.resting)
        counts = {
            (row["rateLimitType"], row["interval"], row["intervalNum"]): row["count"]
            for row in answer["rateLimits"]
        }
        unit = ("ORDERS", "DAY", 1) if market.name == "spot" else ("ORDERS", "MINUTE", 1)
        assert counts == {("ORDERS", "SECOND", 10): 2, unit: 2, ("REQUEST_WEIGHT", "MINUTE", 1): 2}
        assert all("limit" in row for row in answer["rateLimits"])
        await socket.send_str('{"id": 1, "method": "ping", "params": {"returnRateLimits": false}}')
        assert "rateLimits" not in await socket.receive_json(timeout=1)
        quiet = await http.ws_connect(ex.ws_url + market.ws_api + "?returnRateLimits=false")
        await quiet.send_str('{"id": 1, "method": "ping"}')
        assert await quiet.receive_json(timeout=1) == {"id": 1, "status": 200, "result": {}}
        await quiet.send_str('{"id": 1, "method": "ping", "params": {"returnRateLimits": true}}')
        assert (await quiet.receive_json(timeout=1))["rateLimits"][0]["count"] == 7
        shown = (await rest.signed("GET", "rateLimit/order"))[1]
        assert {row["limit"] for row in shown} == {
            limit.limit for limit in ex.application.gateway.rate_limits if limit.kind == "ORDERS"
        }


@both
async def test_those_who_go_on_are_refused_then_banned_at_every_door(market: MarketCase) -> None:
    limits = tuple(
        RateLimit(kind, interval, number, 10 if kind == "REQUEST_WEIGHT" else most)
        for kind, interval, number, most in (
            ("REQUEST_WEIGHT", "DAY", 1, 0), ("ORDERS", "SECOND", 10, 100), ("RAW_REQUESTS", "DAY", 1, 10**6),
        )
    )  # fmt: skip
    async with (
        market.open(rate_limits=limits) as ex,
        market.rest(ex) as rest,
        aiohttp.ClientSession() as http,
    ):
        socket = await http.ws_connect(ex.ws_url + market.ws_api)
        seen: list[tuple[int, str | None]] = []
        while not seen or seen[-1][0] != 418:
            status, body, headers = await rest.public("ping")
            seen.append((status, headers.get("Retry-After")))
            assert status == 200 or body["code"] == -1003
        assert [status for status, _ in seen] == [200] * 8 + [429] * 10 + [418]
        assert all((retry is None) == (status == 200) for status, retry in seen)
        assert 118 <= int(seen[-1][1] or 0) <= 120
        assert "IP banned until" in body["msg"]
        await socket.send_str('{"id": 1, "method": "time"}')
        answer = await socket.receive_json(timeout=1)
        assert (answer["status"], answer["error"]["code"]) == (418, -1003)
        told = answer["error"]["data"]
        assert 110_000 < told["retryAfter"] - told["serverTime"] <= 120_000
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(ex.ws_url + market.ws_api)
        assert refused.value.status == 418
        assert (await rest.signed("POST", "order", **market.resting))[0] == 418
        assert not market.account(ex).open_orders


async def test_raw_requests_have_a_limit_of_their_own() -> None:
    limits = (RateLimit("REQUEST_WEIGHT", "DAY", 1, 10**6), RateLimit("RAW_REQUESTS", "DAY", 1, 3))
    async with SPOT.open(rate_limits=limits) as ex, SPOT.rest(ex) as rest:
        statuses = [(await rest.public("ping"))[0] for _ in range(4)]
        assert statuses == [200, 200, 200, 429]
        assert "raw requests" in (await rest.public("ping"))[1]["msg"]


async def test_an_order_counts_until_its_first_fill_and_is_given_back_once() -> None:
    async with SPOT.open() as ex, SPOT.rest(ex) as rest:

        async def used() -> int:
            return int((await rest.signed("GET", "rateLimit/order"))[1][0]["count"])

        venue = ex.venue_base
        for _ in range(3):
            assert (await rest.signed("POST", "order", **{**SPOT.resting, "quantity": "0.03"}))[0] == 200
        assert await used() == 3
        price = 58_000 * 10**8
        venue.print_trade("BTCUSDT", price - 10**6, 10**6, buyer_is_maker=True)  # a third of the first order
        assert await used() == 2
        venue.print_trade("BTCUSDT", price - 10**6, 2 * 10**6, buyer_is_maker=True)  # the rest of it
        assert await used() == 2
        await rest.signed("DELETE", "openOrders", symbol="BTCUSDT")
        assert await used() == 2  # a cancelled order keeps its place
        await rest.signed("POST", "order", **SPOT.buy())
        assert await used() == 2  # filled at once: never counted


async def test_every_order_of_a_list_counts_and_a_full_window_takes_none_of_it() -> None:
    limits = (RateLimit("REQUEST_WEIGHT", "MINUTE", 1, 6000), RateLimit("ORDERS", "DAY", 1, 4))
    oto: dict[str, Any] = {
        **{"symbol": "BTCUSDT", "workingType": "LIMIT", "workingSide": "BUY", "workingQuantity": "0.01"},
        **{"workingPrice": "58000", "workingTimeInForce": "GTC", "pendingType": "LIMIT"},
        **{"pendingSide": "SELL", "pendingQuantity": "0.01", "pendingPrice": "62000"},
        "pendingTimeInForce": "GTC",
    }
    async with SPOT.open(rate_limits=limits) as ex, SPOT.rest(ex) as rest:
        headers = (await rest.signed("POST", "orderList/oto", **oto))[2]
        assert headers["X-MBX-ORDER-COUNT-1D"] == "2"
        assert (await rest.signed("POST", "order", **SPOT.resting))[2]["X-MBX-ORDER-COUNT-1D"] == "3"
        status, body, _ = await rest.signed("POST", "orderList/oto", **oto)
        assert (status, body["code"]) == (429, -1015)
        assert len(SPOT.account(ex).open_orders) == 3


@both
async def test_an_order_window_that_is_full_says_when_to_come_back(market: MarketCase) -> None:
    limits = (RateLimit("REQUEST_WEIGHT", "MINUTE", 1, 6000), RateLimit("ORDERS", "DAY", 1, 2))
    async with market.open(rate_limits=limits) as ex, market.rest(ex) as rest:
        for _ in range(2):
            assert (await rest.signed("POST", "order", **market.resting))[0] == 200
        status, body, headers = await rest.signed("POST", "order", **market.resting)
        assert (status, body["code"]) == (429, -1015)
        assert body["msg"] == "Too many new orders; current limit is 2 orders per 1 DAY."
        assert 0 < int(headers["Retry-After"]) <= 86_400
        async with aiohttp.ClientSession() as http:
            socket = await http.ws_connect(ex.ws_url + market.ws_api)
            answer = await market.ws_request(socket, "order.place", market.resting)
            assert (answer["status"], answer["error"]["code"]) == (429, -1015)
            assert json.dumps(answer["error"]["data"]).count("retryAfter") == 1
        assert len(market.account(ex).open_orders) == 2
