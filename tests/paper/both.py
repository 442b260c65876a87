"""Both markets behind one surface, for what the serving core promises of either."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from qtm.paper.exchange import LoopbackExchange
from tests.paper import worlds
from tests.paper.clients import Rest
from tests.paper.signing import signed
from tests.paper.um import um_worlds
from tests.paper.worlds import KEY


@dataclass(frozen=True)
class MarketCase:
    """One market: how it is opened, where its doors are, what its orders and events are called."""

    name: str
    open: Callable[..., LoopbackExchange]
    prefix: str
    ws_api: str
    order_event: str
    resting: dict[str, str]
    """A buy order that stays in the book."""

    def rest(self, exchange: LoopbackExchange) -> Rest:
        """A signed client of this market."""
        return Rest(exchange.url, prefix=self.prefix)

    def buy(self, **more: str) -> dict[str, str]:
        """A market buy."""
        return {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", **more}

    @staticmethod
    def account(exchange: LoopbackExchange) -> Any:
        """The account of the tests."""
        return exchange.venue_base.accounts["desk"]

    @asynccontextmanager
    async def user_stream(self, exchange: LoopbackExchange) -> Any:
        """A coroutine function that gives the next user event (TimeoutError when none comes)."""
        async with aiohttp.ClientSession() as http:
            if self.name == "spot":
                socket = await http.ws_connect(exchange.ws_url + self.ws_api)
                await socket.send_str(
                    json.dumps(
                        {"id": 1, "method": "userDataStream.subscribe.signature", "params": signed({})}
                    )
                )
                assert (await socket.receive_json(timeout=2))["status"] == 200
            else:
                answer = await http.post(exchange.url + "/fapi/v1/listenKey", headers={"X-MBX-APIKEY": KEY})
                key = (await answer.json())["listenKey"]
                socket = await http.ws_connect(f"{exchange.ws_url}/private/ws/{key}")

            async def following(timeout: float = 0.4) -> dict[str, Any]:
                event = await socket.receive_json(timeout=timeout)
                return dict(event.get("event", event))

            yield following

    async def ws_request(self, socket: Any, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """A signed request over the WebSocket API, and its answer."""
        reference = f"{time.monotonic_ns()}"
        await socket.send_str(json.dumps({"id": reference, "method": method, "params": signed(params)}))
        answer = await socket.receive_json(timeout=3)
        assert answer["id"] == reference
        return dict(answer)


SPOT = MarketCase(
    "spot", worlds.exchange, "/api/v3", "/ws-api/v3", "executionReport",
    {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01",
     "price": "58000"},
)  # fmt: skip
UM = MarketCase("um", um_worlds.exchange, "/fapi/v1", "/ws-fapi/v1", "ORDER_TRADE_UPDATE", dict(SPOT.resting))

both = pytest.mark.parametrize("market", [SPOT, UM], ids=["spot", "um"])
"""Run a test in each market."""
