"""Streams and the WebSocket API as the venue speaks them."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from qtm.paper.server import AccountSpec, PaperExchange
from tests.paper.clients import Rest
from tests.paper.signing import signed
from tests.paper.worlds import KEY, bars, exchange


async def ask(socket: aiohttp.ClientWebSocketResponse, **request: Any) -> Any:
    """Send a request and wait for its answer."""
    await socket.send_str(json.dumps(request))
    return await socket.receive_json(timeout=2)


async def drain(socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
    """What arrives within a short while."""
    found = []
    while True:
        try:
            found.append(await socket.receive_json(timeout=0.25))
        except TimeoutError:
            return found


async def test_raw_and_combined_streams_and_live_control() -> None:
    series = bars("BTCUSDT")
    async with exchange() as ex, aiohttp.ClientSession() as http:
        raw = await http.ws_connect(ex.ws_url + "/ws/btcusdt@kline_1m")
        combined = await http.ws_connect(ex.ws_url + "/stream?streams=btcusdt@kline_1m/btcusdt@kline_5m")
        alias = await http.ws_connect(ex.ws_url + "/stream/ws/0")
        assert await ask(alias, method="SUBSCRIBE", params=["btcusdt@trade"], id=1) == {
            "result": None,
            "id": 1,
        }
        assert (await ask(alias, method="LIST_SUBSCRIPTIONS", id="x"))["result"] == ["0", "btcusdt@trade"]
        ex.advance(1)
        frames = await drain(raw)
        final = [f["k"] for f in frames if f["k"]["x"]]
        assert len(final) == 1
        assert (final[0]["o"], final[0]["c"]) == (f"{series.open[5]:.8f}", f"{series.close[5]:.8f}")
        assert final[0]["T"] - final[0]["t"] == 59_999
        wrapped = await drain(combined)
        assert {f["stream"] for f in wrapped} == {"btcusdt@kline_1m", "btcusdt@kline_5m"}
        trades = await drain(alias)
        assert [list(t) for t in trades] == [["e", "E", "s", "t", "p", "q", "T", "m", "M"]] * 4
        assert next(float(t["p"]) for t in trades) == series.open[5]
        assert (await ask(alias, method="UNSUBSCRIBE", params=["btcusdt@trade"], id=2))["result"] is None
        ex.advance(1)
        assert await drain(alias) == []


async def test_stream_errors_and_properties() -> None:
    async with exchange() as ex, aiohttp.ClientSession() as http:
        socket = await http.ws_connect(ex.ws_url + "/ws")
        await socket.send_str("{nonsense")
        assert (await socket.receive_json())["code"] == 3
        assert (await ask(socket, method="DANCE", id=1))["code"] == 2
        assert (await ask(socket, params=[]))["code"] == 2
        assert await ask(socket, method="GET_PROPERTY", params=["combined"], id=2) == {
            "result": False,
            "id": 2,
        }
        socket = await http.ws_connect(ex.ws_url + "/ws")
        assert (await ask(socket, method="SET_PROPERTY", params=["combined", True], id=3))["result"] is None
        assert (await ask(socket, method="SET_PROPERTY", params=["combined", "yes"], id=3))["code"] == 1
        assert (await ask(socket, method="SET_PROPERTY", params=["colour", True], id=3))["code"] == 0
        await ask(socket, method="SUBSCRIBE", params=["btcusdt@bookTicker"], id=4)
        ex.advance(1)
        assert (await drain(socket))[0]["stream"] == "btcusdt@bookTicker"


async def test_a_client_that_talks_too_much_is_cut_off() -> None:
    async with exchange() as ex, aiohttp.ClientSession() as http:
        socket = await http.ws_connect(ex.ws_url + "/ws")
        for i in range(12):
            await socket.send_str(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": i}))
        answers = 0
        while (await socket.receive(timeout=2)).type is aiohttp.WSMsgType.TEXT:
            answers += 1
        assert 5 <= answers <= 10
        assert socket.close_code == 1008


async def test_microseconds_on_streams_and_rest() -> None:
    async with exchange() as ex, Rest(ex.url) as rest, aiohttp.ClientSession() as http:
        socket = await http.ws_connect(ex.ws_url + "/ws/btcusdt@kline_1m?timeUnit=MICROSECOND")
        ex.advance(1)
        bar = (await drain(socket))[-1]["k"]
        assert bar["T"] - bar["t"] == 59_999_999
        row = (await rest.public("klines", symbol="BTCUSDT", interval="1m", limit=1,
                                 headers={"X-MBX-TIME-UNIT": "MICROSECOND"}))[1][0]  # fmt: skip
        assert (row[0], row[6]) == (bar["t"], bar["T"])
        bad = await rest.public("time", headers={"X-MBX-TIME-UNIT": "FORTNIGHT"})
        assert bad[1]["code"] == -1194


async def test_a_local_book_kept_by_the_documented_method_equals_the_exchange() -> None:
    async with exchange() as ex, Rest(ex.url) as rest, aiohttp.ClientSession() as http:
        socket = await http.ws_connect(ex.ws_url + "/ws/btcusdt@depth@100ms")
        ex.advance(1)
        snapshot = (await rest.public("depth", symbol="BTCUSDT", limit=5000))[1]
        order = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "55000"}
        await rest.order(**order)
        ex.advance(3)
        await rest.order(**order)
        book = {side: dict(snapshot[side]) for side in ("bids", "asks")}
        last = None
        await asyncio.sleep(0.3)
        for event in await drain(socket):
            if event["u"] <= snapshot["lastUpdateId"]:
                continue
            if last is None:
                assert event["U"] <= snapshot["lastUpdateId"] + 1 <= event["u"] + 1
            else:
                assert event["U"] == last + 1
            last = event["u"]
            for side, rows in (("bids", event["b"]), ("asks", event["a"])):
                for price, qty in rows:
                    book[side][price] = qty
                    if float(qty) == 0:
                        del book[side][price]
        now = (await rest.public("depth", symbol="BTCUSDT", limit=5000))[1]
        assert last == now["lastUpdateId"]
        assert book == {side: dict(now[side]) for side in ("bids", "asks")}


async def test_orders_and_user_events_over_the_websocket_api() -> None:
    async with exchange() as ex, aiohttp.ClientSession() as http:
        socket = await http.ws_connect(ex.ws_url + "/ws-api/v3")
        pong = await ask(socket, id=1, method="ping")
        assert (pong["id"], pong["status"], pong["result"]) == (1, 200, {})
        assert pong["rateLimits"][0]["rateLimitType"] == "REQUEST_WEIGHT"
        quiet = await ask(socket, id=2, method="ping", params={"returnRateLimits": False})
        assert "rateLimits" not in quiet
        answer = await ask(socket, id="s", method="userDataStream.subscribe.signature", params=signed({}))
        assert answer["result"] == {"subscriptionId": 0}
        again = await ask(socket, id="t", method="userDataStream.subscribe.signature", params=signed({}))
        assert again["error"]["code"] == -2035
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
        order |= {"quantity": "0.0100000", "price": "61000.00"}
        await socket.send_str(json.dumps({"id": 3, "method": "order.place", "params": signed(order)}))
        messages = await drain(socket)
        placed = next(m for m in messages if m.get("id") == 3)
        assert placed["result"]["status"] == "FILLED"
        assert [limit["rateLimitType"] for limit in placed["rateLimits"]] == [
            "ORDERS",
            "ORDERS",
            "REQUEST_WEIGHT",
        ]
        events = [m["event"] for m in messages if "event" in m]
        assert [(e["e"], e.get("x")) for e in events] == [
            ("executionReport", "NEW"), ("executionReport", "TRADE"), ("outboundAccountPosition", None),
        ]  # fmt: skip
        assert {m["subscriptionId"] for m in messages if "event" in m} == {0}
        numbers = {**order, "quantity": 0.01, "price": 61000.50}
        numeric = json.dumps(
            {"id": 4, "method": "order.place", "params": signed({**numbers, "price": "61000.50"})}
        )
        await socket.send_str(numeric.replace('"61000.50"', "61000.50"))
        assert next(m for m in await drain(socket) if m.get("id") == 4)["status"] == 200
        for method, params, code in (
            ("order.dance", {}, -1020),
            ("order.place", {}, -1102),
            ("order.cancel", signed({"symbol": "BTCUSDT", "orderId": 77}), -2011),
            ("account.status", {**signed({}), "signature": "00"}, -1022),
            ("session.logon", signed({}), -4056),
            ("userDataStream.subscribe", {}, -1102),
            ("userDataStream.unsubscribe", {"subscriptionId": 9}, -2036),
        ):
            refused = await ask(socket, id=9, method=method, params=params)
            assert (refused["error"]["code"], "rateLimits" in refused) == (code, True), method
        await socket.send_str(json.dumps({"id": 5, "method": "userDataStream.unsubscribe"}))
        ended = await drain(socket)
        assert ended[0]["event"]["e"] == "eventStreamTerminated"
        assert ended[1]["result"] == {}


async def test_a_session_logs_on_with_ed25519_and_then_needs_no_signature() -> None:
    private = Ed25519PrivateKey.generate()
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    async with exchange() as ex, aiohttp.ClientSession() as http:
        ex.open_account(AccountSpec("desk", "ed", public_key=pem.decode()))
        socket = await http.ws_connect(ex.ws_url + "/ws-api/v3?returnRateLimits=false")
        params = {"apiKey": "ed", "timestamp": int(time.time() * 1000)}
        payload = "&".join(f"{name}={params[name]}" for name in sorted(params)).encode()
        signature = base64.b64encode(private.sign(payload)).decode()
        session = (
            await ask(socket, id=1, method="session.logon", params={**params, "signature": signature})
        )["result"]
        assert session["apiKey"] == "ed"
        assert session["authorizedSince"] > 0
        account = await ask(
            socket, id=2, method="account.status", params={"timestamp": int(time.time() * 1000)}
        )
        assert account["result"]["canTrade"] is True
        assert (await ask(socket, id=3, method="userDataStream.subscribe"))["result"] == {"subscriptionId": 0}
        assert (await ask(socket, id=4, method="session.subscriptions"))["result"] == [{"subscriptionId": 0}]
        await socket.send_str(json.dumps({"id": 5, "method": "session.logout"}))
        messages = await drain(socket)
        assert next(m for m in messages if m.get("id") == 5)["result"]["apiKey"] is None
        assert (await ask(socket, id=6, method="account.status"))["error"]["code"] == -1102


async def test_silent_and_old_connections_are_closed_and_pings_are_sent() -> None:
    async with exchange() as ex, aiohttp.ClientSession() as http:
        socket = await http.ws_connect(ex.ws_url + "/ws/btcusdt@trade", autoping=False)
        ex.application.tick(asyncio.get_running_loop().time())
        ping = await socket.receive(timeout=2)
        assert ping.type is aiohttp.WSMsgType.PING
        ex.application.tick(asyncio.get_running_loop().time() + 61)
        assert (await socket.receive(timeout=2)).type is aiohttp.WSMsgType.CLOSE
        other = await http.ws_connect(ex.ws_url + "/ws/btcusdt@trade")
        await shutdown(ex)
        assert (await other.receive_json(timeout=2))["e"] == "serverShutdown"


async def shutdown(ex: PaperExchange) -> None:
    async with Rest(ex.url) as rest:
        assert (await rest.raw("POST", "/paper/server-shutdown"))[0] == 200


async def test_the_retired_listen_key_works_only_when_switched_on() -> None:
    async with exchange(legacy_listen_key=True) as ex, Rest(ex.url) as rest, aiohttp.ClientSession() as http:
        header = {"X-MBX-APIKEY": KEY}
        key = (await rest.raw("POST", "/api/v3/userDataStream", headers=header))[1]["listenKey"]
        assert (await rest.raw("POST", "/api/v3/userDataStream", headers=header))[1]["listenKey"] == key
        socket = await http.ws_connect(f"{ex.ws_url}/ws/{key}")
        await rest.order(side="BUY", type="MARKET", quantity="0.01")
        assert [e["e"] for e in await drain(socket)] == [
            "executionReport", "executionReport", "outboundAccountPosition",
        ]  # fmt: skip
        subscribed = await http.ws_connect(f"{ex.ws_url}/stream")
        await subscribed.send_json({"method": "SUBSCRIBE", "params": [key], "id": 1})
        assert await subscribed.receive_json() == {"result": None, "id": 1}
        await rest.order(side="BUY", type="MARKET", quantity="0.01")
        assert [(e["stream"], e["data"]["e"]) for e in await drain(subscribed)][:2] == [
            (key, "executionReport"), (key, "executionReport"),
        ]  # fmt: skip
        dead = await rest.raw("PUT", "/api/v3/userDataStream", "listenKey=nothing", headers=header)
        assert dead[1] == {"code": -1125, "msg": "This listenKey does not exist."}
