"""Nothing a client sends makes the exchange answer 500, die, or stop serving others."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp
import hypothesis.strategies as st
from hypothesis import HealthCheck, given, settings

from tests.paper.clients import Rest
from tests.paper.worlds import exchange

NAMES = [
    "symbol",
    "symbols",
    "side",
    "type",
    "quantity",
    "price",
    "timeInForce",
    "limit",
    "interval",
    "startTime",
    "endTime",
    "orderId",
    "fromId",
    "recvWindow",
    "newClientOrderId",
    "stopPrice",
    "trailingDelta",
    "quoteOrderQty",
    "timeZone",
    "windowSize",
    "cancelReplaceMode",
    "newQty",
    "aboveType",
    "belowType",
    "pegPriceType",
    "listenKey",
]
VALUES = st.one_of(
    st.sampled_from(
        [
            "BTCUSDT",
            "BUY",
            "SELL",
            "LIMIT",
            "MARKET",
            "STOP_LOSS",
            "GTC",
            "1",
            "0.01",
            "60000",
            "1m",
            "1M",
            "-1",
            "0",
            "1e5",
            "NaN",
            "",
            "%",
            "%00",
            "null",
            "[]",
            '["BTCUSDT"]',
            "99999999999999999999",
            "+25:00",
            "8:99",
            "STOP_ON_FAILURE",
            "LIMIT_MAKER",
            "PRIMARY_PEG",
            "9223372036854775807",
        ]
    ),
    st.text(max_size=12),
)


async def test_any_parameters_on_any_route() -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        routes = sorted(ex.application.gateway.routes)
        problems: list[Any] = []
        loop = asyncio.get_running_loop()

        @settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
        @given(
            route=st.sampled_from(routes),
            params=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=7),
            sign=st.booleans(),
        )
        def send(route: tuple[str, str], params: dict[str, str], sign: bool) -> None:
            async def go() -> None:
                from urllib.parse import quote

                method, path = route
                encoded = {name: quote(value, safe="") for name, value in params.items()}
                if sign and path.startswith("/api/v3/"):
                    answer = await rest.signed(method, path.removeprefix("/api/v3/"), **encoded)
                else:
                    answer = await rest.raw(method, path, "&".join(f"{n}={v}" for n, v in encoded.items()))
                if answer[0] >= 500 or (answer[0] >= 400 and not {"code", "msg"} <= set(answer[1])):
                    problems.append((route, params, answer[:2]))

            asyncio.run_coroutine_threadsafe(go(), loop).result(5)

        await asyncio.to_thread(send)
        assert not problems


async def test_any_bytes_on_the_socket_and_any_json_on_the_websocket() -> None:
    async with exchange() as ex, Rest(ex.url) as rest, aiohttp.ClientSession() as http:
        for garbage in (
            b"\x00\xff\xfe GET",
            b"GET / HTTP/9.9\r\n\r\n",
            b"POST /api/v3/order HTTP/1.1\r\nContent-Length: x\r\n\r\n",
            b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n",
            b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
            b"GET /api/v3/ping HTTP/1.1\r\n" + b"X: y\r\n" * 9000 + b"\r\n",
            b"GET /api/v3/ping HTTP/1.1\r\nHost: x\r\n\r\n" * 50,
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", ex.port)
            writer.write(garbage)
            await asyncio.wait_for(reader.read(64), 2)
            writer.close()
        for path in ("/ws-api/v3", "/ws", "/stream"):
            for text in ("", "[]", "7", '"x"', "{}", '{"method": 5}', '{"method": "ping", "params": [1]}',
                         '{"id": {}, "method": "ping"}', "[" * 5000, '{"id": 1.5, "method": "order.place"}',
                         '{"id": 1, "method": "order.place", "params": {"symbol": {"a": 1}}}'):  # fmt: skip
                socket = await http.ws_connect(ex.ws_url + path)
                await socket.send_str(text)
                answer = await socket.receive(timeout=2)
                assert answer.type is aiohttp.WSMsgType.TEXT, (path, text)
                assert json.loads(answer.data).get("status", 400) < 500
                await socket.close()
        assert (await rest.public("ping"))[0] == 200
        assert not ex.application.sockets
