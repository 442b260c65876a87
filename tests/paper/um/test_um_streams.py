"""Futures streams and the user stream: what is published where, when, and in which chain."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from qtm.paper.um.aggregates import AggregateTape
from qtm.paper.um.split_addresses import part_of
from qtm.paper.venue import MarketTrade
from qtm.paper.wire import E8
from tests.paper.clients import Rest
from tests.paper.signing import signed
from tests.paper.um.um_worlds import exchange


@asynccontextmanager
async def listening(venue: Any, path: str, *streams: str) -> AsyncIterator[Any]:
    """A socket that has subscribed; gives a coroutine function for the next event."""
    async with aiohttp.ClientSession() as http, http.ws_connect(venue.ws_url + path) as socket:
        if streams:
            await socket.send_str(json.dumps({"method": "SUBSCRIBE", "params": list(streams), "id": 1}))
            assert await socket.receive_json(timeout=2) == {"result": None, "id": 1}

        async def following(timeout: float = 2.0) -> Any:
            return await socket.receive_json(timeout=timeout)

        yield following


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("btcusdt@depth@100ms", "public"), ("btcusdt@depth20", "public"),
        ("btcusdt@rpiDepth@500ms", "public"),
        ("btcusdt@bookTicker", "public"), ("!bookTicker", "public"), ("btcusdt@trade", "public"),
        ("btcusdt@aggTrade", "market"), ("btcusdt@markPrice@1s", "market"), ("!forceOrder@arr", "market"),
        ("btcusdt_perpetual@continuousKline_1m", "market"), ("!contractInfo", "market"), ("ab12", "private"),
    ],
)  # fmt: skip
def test_every_stream_has_one_address(name: str, part: str) -> None:
    assert part_of(name) == part


async def test_a_stream_at_the_wrong_address_is_silent_and_at_an_unsplit_one_is_served() -> None:
    async with (
        exchange() as venue,
        listening(venue, "/public/ws", "btcusdt@kline_1m") as wrong,
        listening(venue, "/market/stream", "btcusdt@kline_1m") as right,
        listening(venue, "/ws", "btcusdt@kline_1m") as unsplit,
        listening(venue, "/fstream/market/ws", "btcusdt_perpetual@continuousKline_1m") as continuous,
    ):
        venue.advance(1)
        assert (await right())["data"]["k"]["i"] == "1m"
        assert (await unsplit())["e"] == "kline"
        event = await continuous()
        assert (event["e"], event["ps"], event["ct"]) == ("continuous_kline", "BTCUSDT", "PERPETUAL")
        with pytest.raises(TimeoutError):
            await wrong(0.1)


async def test_each_depth_speed_keeps_its_own_unbroken_chain_and_rebuilds_the_book() -> None:
    async with exchange() as venue, Rest(venue.url, prefix="/fapi/v1") as rest:
        names = ("btcusdt@depth@100ms", "btcusdt@depth@500ms", "btcusdt@depth")
        async with listening(venue, "/public/stream", *names) as following:
            venue.advance(1)
            snapshot = (await rest.public("depth", symbol="BTCUSDT", limit="1000"))[1]
            books = {name: {"b": dict(snapshot["bids"]), "a": dict(snapshot["asks"])} for name in names}
            last: dict[str, int] = {}
            seen = dict.fromkeys(names, 0)
            loop = asyncio.get_running_loop()
            until = loop.time() + 1.7
            while loop.time() < until:
                await rest.signed(
                    "POST", "order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC",
                    quantity="0.01", price="59000",
                )  # fmt: skip
                await asyncio.sleep(0.03)
            try:
                while True:
                    message = await following(0.6)
                    name, event = message["stream"], message["data"]
                    seen[name] += 1
                    if name in last:
                        assert event["pu"] == last[name]
                    last[name] = event["u"]
                    assert event["U"] == event["pu"] + 1 <= event["u"] + 1
                    if event["u"] > snapshot["lastUpdateId"]:
                        for side in ("b", "a"):
                            for price, qty in event[side]:
                                books[name][side][price] = qty
            except TimeoutError:
                pass
            final = (await rest.public("depth", symbol="BTCUSDT", limit="1000"))[1]
            for name in names:
                kept = {
                    side: {p: q for p, q in rows.items() if float(q)} for side, rows in books[name].items()
                }
                assert kept == {"b": dict(final["bids"]), "a": dict(final["asks"])}, name
            assert seen["btcusdt@depth@100ms"] > seen["btcusdt@depth"] > seen["btcusdt@depth@500ms"] > 1


def test_prints_at_one_price_and_side_within_100_ms_are_one_aggregate() -> None:
    tape = AggregateTape()
    rows = [
        (100, 1, 0, False),
        (100, 2, 60, False),
        (100, 3, 99, True),
        (100, 4, 150, True),
        (100, 5, 210, True),
    ]
    for number, (price, qty, ms, maker) in enumerate(rows, start=1):
        tape.add(MarketTrade(number, price * E8, qty * E8, price * qty * E8, ms * 1000, maker))
    shown = [(t.id, t.qty // E8, t.first, t.last, t.time_us // 1000) for t in tape.rows()]
    assert shown == [(1, 3, 1, 2, 60), (2, 7, 3, 4, 150), (3, 5, 5, 5, 210)]


async def test_mark_price_and_all_market_streams() -> None:
    async with exchange() as venue:
        names = (
            "btcusdt@markPrice@1s",
            "!markPrice@arr@1s",
            "!miniTicker@arr",
            "!ticker@arr",
            "!assetIndex@arr",
        )
        async with listening(venue, "/market/stream", *names) as following:
            venue.advance(1)
            seen: dict[str, Any] = {}
            while set(seen) != set(names):
                message = await following()
                seen[message["stream"]] = message["data"]
        mark = seen["btcusdt@markPrice@1s"]
        assert list(mark) == ["e", "E", "s", "p", "ap", "P", "i", "r", "T"]
        assert {row["e"] for row in seen["!markPrice@arr@1s"]} == {"markPriceUpdate"}
        assert {row["s"] for row in seen["!assetIndex@arr"]} == {"BTCUSD", "USDTUSD"}


async def test_a_halt_is_told_by_contract_info_and_liquidations_by_force_order() -> None:
    async with exchange() as venue:
        async with listening(venue, "/market/stream", "!contractInfo", "!forceOrder@arr") as following:
            account = venue.venue.accounts["desk"]
            account.setting("BTCUSDT").leverage = 100
            async with Rest(venue.url, prefix="/fapi/v1") as rest:
                await rest.signed("POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="12")
                await asyncio.sleep(1.1)
                price = venue.venue.mark("BTCUSDT") * 3 // 4 // 10**7 * 10**7
                venue.venue.set_depth("BTCUSDT", [(price, 100 * E8)], [(price + 10**7, 100 * E8)])
                await rest.raw("POST", "/paper/symbol-status", body='{"symbol": "BTCUSDT", "status": "HALT"}')
            seen = {}
            while len(seen) < 2:
                message = await following()
                seen[message["stream"]] = message["data"]
        force = seen["!forceOrder@arr"]
        assert list(force["o"]) == ["s", "S", "o", "f", "q", "p", "ap", "X", "l", "z", "T"]
        assert (force["o"]["S"], force["o"]["f"], force["o"]["X"]) == ("SELL", "IOC", "FILLED")
        info = seen["!contractInfo"]
        assert (info["cs"], info["ct"], info["bks"][0]["ma"]) == ("HALT", "PERPETUAL", 125)


# --- the user stream ---------------------------------------------------------------------------------------
async def listen_key(rest: Rest, method: str = "POST", key: str = "") -> Any:
    query = f"listenKey={key}" if key else ""
    return (await rest.raw(method, "/fapi/v1/listenKey", query, headers={"X-MBX-APIKEY": rest.key}))[1]


@pytest.mark.parametrize(
    "form", ["/private/ws/{key}", "/private/ws?listenKey={key}", "/private/stream", "/ws/{key}"]
)
async def test_every_form_of_the_user_stream_tells_the_life_of_an_order(form: str) -> None:
    async with exchange() as venue, Rest(venue.url, prefix="/fapi/v1") as rest:
        key = (await listen_key(rest))["listenKey"]
        assert (await listen_key(rest))["listenKey"] == key
        streams = (key,) if "{key}" not in form else ()
        async with listening(venue, form.format(key=key), *streams) as following:
            await rest.signed("POST", "leverage", symbol="BTCUSDT", leverage="10")
            await rest.signed(
                "POST",
                "order",
                symbol="BTCUSDT",
                side="BUY",
                type="MARKET",
                quantity="0.1",
                newClientOrderId="one",
            )
            events = []
            for _ in range(5):
                message = await following()
                events.append(message.get("data", message))
        assert [e["e"] for e in events] == [
            "ACCOUNT_CONFIG_UPDATE", "ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE",
            "ORDER_TRADE_UPDATE",
        ]  # fmt: skip
        assert events[0]["ac"] == {"s": "BTCUSDT", "l": 10}
        assert list(events[2]) == ["e", "E", "T", "s", "q", "p", "m", "c", "S", "L", "l", "t", "i"]
        assert events[2]["c"] == events[4]["o"]["c"] == "one"
        assert (events[2]["L"], events[2]["l"]) == (events[4]["o"]["L"], events[4]["o"]["l"])
        assert [e["o"]["x"] for e in (events[1], events[4])] == ["NEW", "TRADE"]
        assert events[3]["a"]["m"] == "ORDER"
        assert events[3]["a"]["P"][0]["pa"] == "0.100"


async def test_a_listen_key_expires_with_a_word_and_is_dead_then() -> None:
    async with exchange() as venue, Rest(venue.url, prefix="/fapi/v1") as rest:
        key = (await listen_key(rest))["listenKey"]
        async with listening(venue, f"/private/ws/{key}") as following:
            await rest.raw("POST", "/paper/expire-listen-keys")
            event = await following(3.0)
            assert (event["e"], event["listenKey"]) == ("listenKeyExpired", key)
            assert (await listen_key(rest, "PUT", key))["code"] == -1125
            assert (await listen_key(rest, "PUT"))["code"] == -1125
            fresh = (await listen_key(rest))["listenKey"]
            assert fresh != key
            await rest.signed("POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.1")
            with pytest.raises(TimeoutError):
                await following(0.1)
        assert await listen_key(rest, "DELETE") == {}
        assert (await listen_key(rest, "PUT", fresh))["code"] == -1125


# --- the WebSocket API -------------------------------------------------------------------------------------
async def test_the_websocket_api_trades_queries_and_keeps_the_user_stream() -> None:
    async with (
        exchange() as venue,
        aiohttp.ClientSession() as http,
        http.ws_connect(venue.ws_url + "/ws-fapi/v1") as socket,
    ):

        async def ask(method: str, sign: bool = True, **params: Any) -> Any:
            full = signed(params) if sign else params
            await socket.send_str(json.dumps({"id": method, "method": method, "params": full}))
            answer = await socket.receive_json(timeout=2)
            assert answer["id"] == method
            assert answer["status"] == 200, answer
            return answer

        placed = await ask(
            "order.place", symbol="BTCUSDT", side="SELL", type="LIMIT", timeInForce="GTC", quantity="0.1",
            price="61000", newOrderRespType="RESULT",
        )  # fmt: skip
        assert placed["result"]["status"] == "NEW"
        limits = {(row["rateLimitType"], row["intervalNum"]): row["count"] for row in placed["rateLimits"]}
        assert limits["ORDERS", 10] == 1
        number = placed["result"]["orderId"]
        named = {"symbol": "BTCUSDT", "orderId": number}
        moved = await ask("order.modify", **named, side="SELL", quantity="0.2", price="61100")
        assert moved["result"]["origQty"] == "0.200"
        assert (await ask("order.status", **named))["result"]["price"] == "61100.00"
        for version, member in (("", "leverage"), ("v2/", "isolatedWallet")):
            assert "assets" in (await ask(f"{version}account.status"))["result"]
            (row,) = (await ask(f"{version}account.position", symbol="BTCUSDT"))["result"]
            assert member in row
            assert (await ask(f"{version}account.balance"))["result"][0]["asset"] == "USDT"
        assert (await ask("order.cancel", **named))["result"]["status"] == "CANCELED"
        stop = await ask(
            "algoOrder.place", algoType="CONDITIONAL", symbol="BTCUSDT", side="SELL", type="STOP_MARKET",
            triggerPrice="50000", quantity="0.1", clientAlgoId="ws-stop",
        )  # fmt: skip
        assert stop["result"]["algoStatus"] == "NEW"
        assert (await ask("algoOrder.cancel", algoId=stop["result"]["algoId"]))["result"]["msg"] == "success"
        assert (await ask("ticker.price", sign=False, symbol="BTCUSDT"))["result"]["symbol"] == "BTCUSDT"
        assert (await ask("depth", sign=False, symbol="BTCUSDT", limit=5))["result"]["bids"]
        key = {"apiKey": signed({})["apiKey"]}
        started = (await ask("userDataStream.start", sign=False, **key))["result"]
        assert (await ask("userDataStream.ping", sign=False, **key))["result"] == started
        assert (await ask("userDataStream.stop", sign=False, **key))["result"] == {}
