"""Nothing a client sends makes either market answer 500, log an error, die, leak, or stop serving others.

Every test here is quick by default and has a long twin (`-m slow`).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from qtm.paper import http as edge
from qtm.paper.exchange import LoopbackExchange
from qtm.paper.limits import without_limits
from qtm.paper.spot.venue import RATE_LIMITS
from tests.paper.both import MarketCase, both
from tests.paper.raw_sockets import (
    RawHttp,
    client_frame,
    converse,
    signed_request,
    text_messages,
    upgrade,
)
from tests.paper.signing import signed

NO_LIMITS = without_limits(RATE_LIMITS)

PLAUSIBLE: dict[str, list[str]] = {
    "symbol": ["BTCUSDT", "BTCUSDT", "BTCUSDT", "ETHUSDT", "btcusdt"],
    "symbols": ['["BTCUSDT"]', '["BTCUSDT","NONE"]', "[]"],
    "side": ["BUY", "SELL"],
    "type": [
        "LIMIT", "MARKET", "LIMIT_MAKER", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "STOP_MARKET",
        "TAKE_PROFIT_LIMIT", "STOP", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET",
    ],
    "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
    "quantity": ["0.01", "0.001", "1", "0.00001", "9000"],
    "quoteOrderQty": ["100", "5.5"],
    "price": ["58000", "60000.1", "59999.99", "61000", "70000"],
    "stopPrice": ["58000", "62000"],
    "triggerPrice": ["58000", "62000"],
    "abovePrice": ["62000", "61000.5"], "belowPrice": ["58000"], "aboveStopPrice": ["62000"],
    "belowStopPrice": ["58000", "57000"],
    "aboveType": ["LIMIT_MAKER", "STOP_LOSS_LIMIT", "STOP_LOSS", "TAKE_PROFIT"],
    "belowType": ["LIMIT_MAKER", "STOP_LOSS_LIMIT", "STOP_LOSS", "TAKE_PROFIT"],
    "workingType": ["LIMIT", "LIMIT_MAKER", "MARK_PRICE", "CONTRACT_PRICE"],
    "workingSide": ["BUY"], "workingPrice": ["58000", "61000"], "workingQuantity": ["0.01"],
    "pendingType": ["LIMIT", "MARKET"], "pendingSide": ["SELL"], "pendingQuantity": ["0.01"],
    "pendingPrice": ["62000"],
    "icebergQty": ["0.001"], "trailingDelta": ["100"], "strategyId": ["1"], "strategyType": ["1000000"],
    "newClientOrderId": ["a", "b", "c"], "origClientOrderId": ["a", "b", "c"], "orderId": ["1", "2", "3"],
    "cancelOrigClientOrderId": ["a"], "cancelOrderId": ["1"], "orderListId": ["0", "1"], "newQty": ["0.005"],
    "cancelReplaceMode": ["STOP_ON_FAILURE", "ALLOW_FAILURE"],
    "selfTradePreventionMode": ["NONE", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    "newOrderRespType": ["ACK", "RESULT", "FULL"],
    "pegPriceType": ["PRIMARY_PEG", "MARKET_PEG"], "pegOffsetType": ["PRICE_LEVEL"], "pegOffsetValue": ["1"],
    "interval": ["1m", "5m", "1d", "1M", "1s"], "limit": ["1", "500", "1000", "5000"],
    "startTime": ["0", "1717200000000"], "endTime": ["1717200000000", "9999999999999"],
    "fromId": ["0", "1"], "timeZone": ["0", "+8:00", "-12:00", "14:00"], "windowSize": ["1m", "59m", "7d"],
    "positionSide": ["BOTH", "LONG", "SHORT"], "reduceOnly": ["true", "false"], "closePosition": ["true"],
    "leverage": ["1", "20", "125"], "marginType": ["ISOLATED", "CROSSED"], "dualSidePosition": ["true"],
    "amount": ["10", "0.1"], "algoType": ["CONDITIONAL"], "callbackRate": ["1", "0.1"],
    "activatePrice": ["60000"], "priceMatch": ["OPPONENT", "QUEUE_5"], "goodTillDate": ["9999999999999"],
    "batchOrders": ['[{"symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":"0.01"}]', "[{}]", "{}"],
    "orderIdList": ["[1,2]", "[]", "1"], "countdownTime": ["1000", "0"], "incomeType": ["COMMISSION"],
    "period": ["5m"], "pair": ["BTCUSDT"], "contractType": ["PERPETUAL"], "listenKey": ["x"],
    "recvWindow": ["5000", "60000", "60001", "1.5"], "permissions": ["SPOT", '["SPOT"]'],
    "omitZeroBalances": ["true"], "computeCommissionRates": ["true"], "algoId": ["1"], "page": ["1"],
    "type2": ["1"],
}  # fmt: skip
GARBAGE = st.one_of(
    st.sampled_from(
        ["", "-1", "0", "1e5", "NaN", "%", "%00", "null", "[]", "{}", "[" * 300, "99999999999999999999",
         "9223372036854775807", "-9223372036854775808", "+25:00", "8:99", "１２３", "0x10", "1.000000001",
         "\u0660", "true", " ", "1 ", "a" * 300]
    ),
    st.text(max_size=12),
)  # fmt: skip


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, str]:
    """A request that is mostly plausible: each value from the field's own pool, now and then garbage."""
    names = draw(st.lists(st.sampled_from(sorted(PLAUSIBLE)), max_size=7, unique=True))
    if draw(st.booleans()):
        names = list(dict.fromkeys(["symbol", "side", "type", "quantity", *names]))
    return {
        name: draw(GARBAGE) if draw(st.integers(0, 5)) == 0 else draw(st.sampled_from(PLAUSIBLE[name]))
        for name in names
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)

quick_and_long = pytest.mark.parametrize("examples", [200, pytest.param(15_000, marks=pytest.mark.slow)])
pytestmark = pytest.mark.timeout(1200)


async def fuzz(examples: int, check: Callable[[Any], Awaitable[None]], drawn: st.SearchStrategy[Any]) -> None:
    """Run an asynchronous check on many drawn values, in this loop."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(drawn)
    def run(value: Any) -> None:
        asyncio.run_coroutine_threadsafe(check(value), loop).result(20)

    await asyncio.to_thread(run)


async def nothing_is_left(ex: LoopbackExchange, log: pytest.LogCaptureFixture) -> None:
    """No socket, listener or connection survives its client, and nothing was logged as an error."""
    for _ in range(100):
        if not ex.application.sockets and len(ex._connections) <= 1:
            break
        await asyncio.sleep(0.02)
    assert not ex.application.sockets
    assert not ex.application.hub.connections
    assert len(ex._connections) <= 1
    keys = ex.application.listen_keys
    living = keys.end_all() if keys is not None else 0  # a futures listen key listens until its hour is over
    for account in ex.venue_base.accounts.values():
        assert len(account.listeners) <= living
    assert not [record.getMessage() for record in log.records if record.levelno >= logging.ERROR]


@both
@quick_and_long
async def test_any_parameters_on_any_operation(
    market: MarketCase, examples: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with market.open(rate_limits=NO_LIMITS) as ex, RawHttp(ex.port) as raw:
        routes = sorted(ex.application.gateway.routes)

        async def send(drawn: tuple[tuple[str, str], dict[str, str], bool]) -> None:
            (method, path), params, sign = drawn
            status, body = await raw.ask(signed_request(method, path, params, sign=sign))
            answer = json.loads(body)
            assert status < 500
            if status >= 400:
                assert isinstance(answer["code"], int)
                assert isinstance(answer["msg"], str)

        signs = st.sampled_from([True, True, True, False])
        await fuzz(examples, send, st.tuples(st.sampled_from(routes), parameters(), signs))
        await nothing_is_left(ex, caplog)


@both
@quick_and_long
async def test_any_json_on_the_websocket_api(
    market: MarketCase, examples: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with market.open(rate_limits=NO_LIMITS) as ex, aiohttp.ClientSession() as http:
        socket = await http.ws_connect(ex.ws_url + market.ws_api)
        methods = sorted(
            {*ex.application.gateway.ws_methods, "session.logon", "session.status", "session.logout",
             "userDataStream.subscribe", "userDataStream.subscribe.signature", "userDataStream.unsubscribe"}
        )  # fmt: skip

        await market.ws_request(socket, "userDataStream.subscribe.signature", {})

        async def send(drawn: tuple[str, Any, Any, bool]) -> None:
            method, params, reference, sign = drawn
            if sign and isinstance(params, dict) and all(isinstance(v, str) for v in params.values()):
                params = signed({name: value for name, value in params.items() if name.isascii()})
            await socket.send_str(json.dumps({"id": reference, "method": method, "params": params}))
            while True:
                answer = await socket.receive_json(timeout=3)
                if "status" in answer:
                    break
            assert answer["status"] < 500
            assert ("error" in answer) == (answer["status"] != 200)
            if isinstance(reference, str):
                assert answer["id"] == reference

        params = st.one_of(parameters(), st.dictionaries(st.sampled_from(sorted(PLAUSIBLE)), JSON), JSON)
        drawn = st.tuples(st.sampled_from(methods) | st.text(max_size=9), params, JSON, st.booleans())
        await fuzz(examples, send, drawn)
        await socket.close()
        await nothing_is_left(ex, caplog)


REQUESTS = [
    b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /fapi/v1/ping HTTP/1.0\r\n\r\n",
    b"POST /api/v3/order HTTP/1.1\r\nContent-Length: 10\r\n\r\nsymbol=BTC",
    b"POST /api/v3/order HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"GET /ws/btcusdt@trade HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
]
BROKEN = [
    b"\x00\xff\xfe GET", b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    b"POST /api/v3/order HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    b"POST /api/v3/order HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nabc\r\n", b"GET /" + b"a" * 40_000,
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n" + b"x" * 2000,
    b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n", b"GET /ws HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
    b"CONNECT x:1 HTTP/1.1\r\n\r\n", b"HEAD /api/v3/ping HTTP/1.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET /api/v3/ping HTTP/1.1\r\n" + b"X: y\r\n" * 9000 + b"\r\n", b"GET\r\n\r\n",
    b"\r\n\r\n\r\n", b"\x16\x03\x01", "GET /api/v3/depth?symbol=ＢＴＣ HTTP/1.1\r\nX-Ü: é\r\n\r\n".encode(),
    b"GET /%ff%fe?%=&&=%zz HTTP/1.1\r\n\r\n",
]  # fmt: skip


@both
@quick_and_long
async def test_any_bytes_on_the_socket(
    market: MarketCase, examples: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with market.open() as ex, market.rest(ex) as rest:

        async def send(drawn: tuple[list[bytes], list[int]]) -> None:
            pieces, cuts = drawn
            data = b"".join(pieces)
            marks = sorted({cut % (len(data) + 1) for cut in cuts})
            chunks = [data[a:b] for a, b in zip([0, *marks], [*marks, len(data)], strict=True)]
            received = await converse(ex.port, chunks, patience=0.003)
            assert b"HTTP/1.1 5" not in received

        piece = st.sampled_from(REQUESTS) | st.sampled_from(BROKEN) | st.binary(max_size=40)
        cuts = st.lists(st.integers(0, 10**6), max_size=3)
        await fuzz(examples, send, st.tuples(st.lists(piece, min_size=1, max_size=4), cuts))
        assert (await rest.public("ping"))[0] == 200
        await nothing_is_left(ex, caplog)


MESSAGES = [
    b"", b"[]", b"7", b"{}", b"{nonsense", b"\xff\xfe", b"[" * 5000, b'{"method":5}',
    b'{"id":{},"method":"ping"}',
    b'{"id":1,"method":"SUBSCRIBE","params":["btcusdt@trade"]}',
    b'{"id":1,"method":"SUBSCRIBE","params":[1]}',
    b'{"id":1,"method":"SUBSCRIBE","params":{}}', b'{"id":1e400,"method":"ping"}',
    b'{"id":1,"method":"UNSUBSCRIBE","params":["btcusdt@trade","nothing"]}', b'{"id":"x","method":"ping"}',
    b'{"id":1,"method":"order.place","params":{"symbol":{"a":1}}}', b'{"id":1.5,"method":"order.place"}',
    b'{"id":1,"method":"SET_PROPERTY","params":["combined",true]}', b'{"id":1,"method":"GET_PROPERTY"}',
    b'{"id":1,"method":"ping","params":{"a":' + b"9" * 5000 + b"}}",
    b'{"id":null,"method":"time","params":[1]}',
]  # fmt: skip
FRAMES = st.builds(
    client_frame,
    st.sampled_from(MESSAGES) | st.binary(max_size=200),
    st.sampled_from([1, 1, 1, 1, 0, 2, 8, 9, 10, 3, 11, 15]),
    final=st.sampled_from([True, True, True, False]),
    masked=st.sampled_from([True, True, True, True, True, False]),
    reserved=st.sampled_from([0, 0, 0, 0, 0, 0, 1, 7]),
    claimed=st.none() | st.none() | st.none() | st.sampled_from([0, 1, 125, 70_000, 1 << 21, 1 << 62]),
)


@both
@quick_and_long
async def test_any_frames_on_any_websocket(
    market: MarketCase, examples: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qtm.paper.application.CONNECTIONS", NO_LIMITS[0])
    async with market.open(rate_limits=NO_LIMITS) as ex, market.rest(ex) as rest:

        async def send(drawn: tuple[str, list[bytes]]) -> None:
            path, frames = drawn
            received = await converse(ex.port, [upgrade(path), *frames], patience=0.003)
            # nothing at all: the system discards what a client has not read when it goes on sending to a
            # connection that was closed on it
            assert not received or received.startswith(b"HTTP/1.1 101")
            for message in text_messages(received):
                answer = json.loads(message)
                assert answer.get("status", 0) < 500

        paths = st.sampled_from([market.ws_api, "/ws", "/stream", "/ws/btcusdt@trade"])
        await fuzz(examples, send, st.tuples(paths, st.lists(FRAMES, max_size=6)))
        assert (await rest.public("ping"))[0] == 200
        await nothing_is_left(ex, caplog)


@both
async def test_a_fragmented_request_is_one_request(market: MarketCase) -> None:
    async with market.open() as ex:
        text = b'{"id":7,"method":"ping"}'
        frames = [client_frame(text[:5], final=False), client_frame(b"hi", 9),
                  client_frame(text[5:9], 0, final=False), client_frame(text[9:], 0)]  # fmt: skip
        everything = b"".join(frames)
        answers = await converse(ex.port, [upgrade(market.ws_api), *(bytes([b]) for b in everything)])
        assert json.loads(text_messages(answers)[0])["id"] == 7
        assert b"\x8a\x02hi" in answers  # the ping in between was answered


@both
async def test_frames_that_break_the_protocol_end_the_connection_with_its_code(market: MarketCase) -> None:
    cases = {
        1002: [client_frame(b"x", masked=False), client_frame(b"x", reserved=4), client_frame(b"x", 3),
               client_frame(b"x", 0), client_frame(b"x" * 126, 9), client_frame(b"", 9, final=False)],
        1009: [client_frame(b"x", claimed=1 << 21), client_frame(b"x", claimed=1 << 62)],
    }  # fmt: skip
    async with market.open() as ex:
        for code, frames in cases.items():
            for data in frames:
                answer = await converse(ex.port, [upgrade("/ws"), data])
                assert code.to_bytes(2, "big") in answer.partition(b"\r\n\r\n")[2], data


async def test_what_follows_the_last_request_of_a_connection_is_not_served() -> None:
    from tests.paper.both import SPOT

    async with SPOT.open() as ex:
        order = signed_request("POST", "/api/v3/order", SPOT.resting)
        last = order.replace(b"Host: x", b"Connection: close")
        answer = await converse(ex.port, [order + last + order + order])
        assert answer.count(b"HTTP/1.1 200") == 2
        assert len(SPOT.account(ex).open_orders) == 2


@both
async def test_pipelined_requests_are_answered_in_turn_even_behind_a_slow_one(market: MarketCase) -> None:
    async with market.open(rate_limits=NO_LIMITS) as ex, market.rest(ex) as rest:
        body = '{"kind": "delay", "operation": "ping", "nth": 1, "seconds": 0.2}'
        await rest.raw("POST", "/paper/faults", body=body)
        ping = f"GET {market.prefix}/ping HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        time = f"GET {market.prefix}/time HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        answer = await converse(ex.port, [ping + time * 300, time * 300], patience=0.5)
        assert answer.count(b"HTTP/1.1 200") == 601
        assert answer.index(b"\r\n\r\n{}") < answer.index(b"serverTime")


async def test_a_client_that_never_finishes_its_request_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.paper.both import SPOT

    monkeypatch.setattr(edge, "REQUEST_WITHIN_S", 0.2)
    monkeypatch.setattr("qtm.paper.exchange.CHECK_EVERY_S", 0.1)
    async with SPOT.open() as ex, SPOT.rest(ex) as rest:
        reader, writer = await asyncio.open_connection("127.0.0.1", ex.port)
        writer.write(b"GET /api/v3/ping HTTP/1.1\r\nX-Slow: ")
        for _ in range(50):
            if reader.at_eof():
                break
            writer.write(b"z")
            await asyncio.sleep(0.02)
        assert reader.at_eof() or reader.exception() is not None
        writer.close()
        assert (await rest.public("ping"))[0] == 200


@both
async def test_a_connection_listens_to_1024_streams_and_talks_only_so_often(market: MarketCase) -> None:
    async with market.open() as ex, aiohttp.ClientSession() as http:
        socket = await http.ws_connect(ex.ws_url + "/ws")
        names = [f"s{i}usdt@trade" for i in range(1024)]
        await socket.send_str(json.dumps({"id": 1, "method": "SUBSCRIBE", "params": names}))
        assert (await socket.receive_json(timeout=1))["result"] is None
        await socket.send_str(json.dumps({"id": 2, "method": "SUBSCRIBE", "params": ["one@more"]}))
        assert (await socket.receive_json(timeout=1))["code"] == 2
        await socket.close()
        for path in ("/ws", "/public/ws") if market.name == "um" else ("/ws",):
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(f"{ex.ws_url}{path}/" + "/".join(f"s{i}@k" for i in range(1025)))
            assert refused.value.status == 400
        await asyncio.sleep(0.05)
        assert not ex.application.hub.connections
        socket = await http.ws_connect(ex.ws_url + "/ws")
        allowed = ex.application.hub.messages_per_second
        assert allowed == (5 if market.name == "spot" else 10)
        for i in range(3 * allowed):
            await socket.send_str(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": i}))
        answers = 0
        while (await socket.receive(timeout=2)).type is aiohttp.WSMsgType.TEXT:
            answers += 1
        assert allowed <= answers <= 2 * allowed
        assert socket.close_code == 1008
