"""A tour of the spot exchange: one example of every answer, stream payload and user event it gives."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import aiohttp

from qtm.paper.server import PaperExchange
from qtm.paper.wire import E8
from tests.paper.clients import Rest
from tests.paper.signing import signed
from tests.paper.worlds import exchange, replay

STREAMS = (
    "trade", "aggTrade", "bookTicker", "depth", "depth@100ms", "depth5", "depth20@100ms", "kline_1m",
    "miniTicker", "ticker", "ticker_1h", "avgPrice", "referencePrice", "!miniTicker@arr", "!ticker_1h@arr",
)  # fmt: skip

LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01"}
STOP = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "STOP_LOSS_LIMIT",
    "timeInForce": "GTC",
    "quantity": "0.01",
}


class Tour:
    """Collects answers under `METHOD path`, streams under `@name`, user events under `event e x`."""

    def __init__(self) -> None:
        self.seen: dict[str, Any] = {}
        self.events: list[dict[str, Any]] = []

    async def make(self) -> dict[str, Any]:
        """Make the tour."""
        pairs = (("BTCUSDT", "BTC", "USDT"), ("BTCUSDC", "BTC", "USDC"))
        funds = {"USDT": "1000000", "USDC": "1000", "BTC": "5"}
        async with (
            exchange(replay(*pairs), funds, legacy_listen_key=True) as ex,
            Rest(ex.url) as rest,
            aiohttp.ClientSession() as http,
        ):
            user = await self._user_stream(http, ex)
            await self._orders(rest, ex)
            await self._streams(http, ex)
            await self._public(rest)
            await self._account(rest)
            await asyncio.sleep(0.2)
            user.cancel()
        for event in self.events:
            name = f"event {event['e']}" + (f" {event['x']}" if "x" in event else "")
            self.seen.setdefault(name, event)
        return self.seen

    async def _user_stream(self, http: aiohttp.ClientSession, ex: PaperExchange) -> asyncio.Task[None]:
        socket = await http.ws_connect(ex.ws_url + "/ws-api/v3")
        await socket.send_json(
            {"id": 1, "method": "userDataStream.subscribe.signature", "params": signed({})}
        )
        self.seen["WS userDataStream.subscribe.signature"] = await socket.receive_json()

        async def listen() -> None:
            async for message in socket:
                self.events.append(json.loads(message.data)["event"])

        return asyncio.create_task(listen())

    async def _ask(self, rest: Rest, method: str, path: str, name: str = "", **params: Any) -> Any:
        status, body, _ = await rest.signed(method, path, **params)
        assert status == 200, (method, path, params, body)
        self.seen[name or f"{method} {path}"] = body[:1] if path in ("allOrders", "openOrders") else body
        return body

    async def _orders(self, rest: Rest, ex: PaperExchange) -> None:
        await self._ask(
            rest, "POST", "order", "POST order ACK", **LIMIT, price="50000", newOrderRespType="ACK"
        )
        resting = await self._ask(
            rest, "POST", "order", "POST order RESULT", **LIMIT, price="50000", newOrderRespType="RESULT",
            strategyId=7, strategyType=1_000_001, icebergQty="0.005",
        )  # fmt: skip
        await self._ask(rest, "GET", "openOrders", symbol="BTCUSDT")
        await self._ask(
            rest, "PUT", "order/amend/keepPriority", symbol="BTCUSDT", orderId=resting["orderId"],
            newQty="0.009",
        )  # fmt: skip
        await self._ask(rest, "GET", "order/amendments", symbol="BTCUSDT", orderId=resting["orderId"])
        await self._ask(
            rest, "POST", "order/cancelReplace", **LIMIT, price="50001", cancelReplaceMode="STOP_ON_FAILURE",
            cancelOrderId=resting["orderId"], newOrderRespType="RESULT",
        )  # fmt: skip
        await self._ask(rest, "POST", "order", "POST order FULL", **LIMIT, price="70000")
        stop = await self._ask(
            rest, "POST", "order", "POST order stop", **STOP, price="40000", stopPrice="40000",
            trailingDelta=100, newOrderRespType="RESULT",
        )  # fmt: skip
        await self._ask(rest, "GET", "order", symbol="BTCUSDT", orderId=stop["orderId"])
        await self._ask(rest, "DELETE", "order", symbol="BTCUSDT", orderId=stop["orderId"])
        await self._ask(
            rest, "POST", "orderList/oco", symbol="BTCUSDT", side="SELL", quantity="0.01",
            aboveType="LIMIT_MAKER", abovePrice="70000", belowType="STOP_LOSS", belowStopPrice="40000",
        )  # fmt: skip
        pending = {
            "symbol": "BTCUSDT", "workingType": "LIMIT", "workingSide": "BUY", "workingTimeInForce": "GTC",
            "workingPrice": "50000", "workingQuantity": "0.01", "pendingType": "LIMIT", "pendingSide": "SELL",
            "pendingTimeInForce": "GTC", "pendingPrice": "70000",
        }  # fmt: skip
        await self._ask(rest, "POST", "orderList/oto", **pending, pendingQuantity="0.01")
        opened = await self._ask(rest, "POST", "orderList/opo", **pending)
        await self._ask(rest, "GET", "orderList", orderListId=opened["orderListId"])
        await self._ask(rest, "GET", "openOrderList")
        await self._ask(rest, "DELETE", "orderList", symbol="BTCUSDT", orderListId=opened["orderListId"])
        await self._ask(rest, "GET", "allOrderList")
        await self._ask(
            rest, "POST", "sor/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01",
            newOrderRespType="FULL",
        )  # fmt: skip
        await self._ask(
            rest, "POST", "order", "POST order expired", **{**LIMIT, "timeInForce": "IOC"}, price="50000"
        )
        # A buy that meets the account's own sell is prevented.
        ex.venue.set_depth("BTCUSDT", [(60_000 * E8, E8)], [(61_000 * E8, E8)])
        await self._ask(rest, "POST", "order", "", **{**LIMIT, "side": "SELL"}, price="60500")
        await self._ask(rest, "POST", "order", "POST order prevented", **LIMIT, price="60500")
        prevented = self.seen["POST order prevented"]["orderId"]
        await self._ask(rest, "GET", "myPreventedMatches", symbol="BTCUSDT", orderId=prevented)
        await self._ask(rest, "POST", "order/test", **LIMIT, price="50000", computeCommissionRates="true")
        await self._ask(rest, "DELETE", "openOrders", symbol="BTCUSDT")

    async def _account(self, rest: Rest) -> None:
        await self._ask(rest, "GET", "account", omitZeroBalances="true")
        await self._ask(rest, "GET", "account/commission", symbol="BTCUSDT")
        for path in ("allOrders", "myTrades", "myAllocations", "myFilters"):
            await self._ask(rest, "GET", path, symbol="BTCUSDT")
        await self._ask(rest, "GET", "rateLimit/order")
        _, body, _ = await rest.raw("POST", "/api/v3/userDataStream", headers={"X-MBX-APIKEY": rest.key})
        self.seen["POST userDataStream"] = body

    async def _public(self, rest: Rest) -> None:
        for path, params in (
            ("time", {}), ("exchangeInfo", {}), ("depth", {}), ("trades", {}), ("historicalTrades", {}),
            ("aggTrades", {}), ("klines", {"interval": "1m"}), ("uiKlines", {"interval": "1m"}),
            ("avgPrice", {}), ("ticker/24hr", {}), ("ticker/tradingDay", {}), ("ticker", {}),
            ("ticker/price", {}),
            ("ticker/bookTicker", {}), ("referencePrice", {}), ("referencePrice/calculation", {}),
            ("executionRules", {}),
        ):  # fmt: skip
            everything = path in ("time", "exchangeInfo")
            status, body, _ = await rest.public(
                path, **({} if everything else {"symbol": "BTCUSDT"}), **params
            )
            assert status == 200, body
            self.seen[f"GET {path}"] = body

    async def _streams(self, http: aiohttp.ClientSession, ex: PaperExchange) -> None:
        names = {name if name.startswith("!") else f"btcusdt@{name}": name for name in STREAMS}
        socket = await http.ws_connect(ex.ws_url + "/stream?streams=" + "/".join(names))
        ex.advance(2)
        wanted = {f"@{name}" for name in names.values()}
        async with asyncio.timeout(30):
            while not wanted <= self.seen.keys():
                message = await socket.receive_json()
                self.seen.setdefault(f"@{names[message['stream']]}", message["data"])
        await socket.close()
