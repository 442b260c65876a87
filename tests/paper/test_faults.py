"""Faults on demand: each leaves the market in the state it claims, at every door, and a seed repeats it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from qtm.errors import ConfigError
from qtm.paper.faults import USER, FaultRule, Faults
from qtm.paper.scenario import load_scenario
from tests.paper.both import SPOT, MarketCase, both
from tests.paper.signing import signed

KINDS = [
    ("rate_limited", 429, 0),
    ("banned", 418, 0),
    ("unavailable", 503, 0),
    ("unknown_not_executed", 503, 0),
    ("overloaded", 503, 0),
    ("unknown_executed", 503, 1),
    ("timeout_executed", 504, 1),
    ("ack_lost", None, 1),
    ("request_lost", None, 0),
    ("ack_delay", 200, 1),
    ("delay", 200, 1),
]
"""Kind, the status the client sees (None: the connection ends instead), orders that exist afterwards."""


@both
@pytest.mark.parametrize(("kind", "status", "executed"), KINDS)
async def test_what_a_rest_client_sees_and_what_has_happened(
    market: MarketCase, kind: str, status: int | None, executed: int
) -> None:
    async with market.open() as ex, market.rest(ex) as rest:
        body = json.dumps({"kind": kind, "operation": "order.place", "nth": 2, "seconds": 0.2})
        assert (await rest.raw("POST", "/paper/faults", body=body))[0] == 200
        assert (await rest.signed("POST", "order", **market.resting))[0] == 200
        started = time.perf_counter()
        if status is None:
            with pytest.raises(aiohttp.ClientError):
                await rest.signed("POST", "order", **market.resting)
        else:
            answer, _, headers = await rest.signed("POST", "order", **market.resting)
            assert answer == status
            assert ("Retry-After" in headers) == (status in (429, 418))
        assert (time.perf_counter() - started >= 0.2) == ("delay" in kind)
        assert len(market.account(ex).open_orders) == 1 + executed
        assert (await rest.signed("POST", "order", **market.resting))[0] == 200
        sample = f'qtm_paper_faults_total{{kind="{kind}",market="{market.name}",operation="order.place"}} 1.0'
        assert sample in ex.metrics.text().decode()


@both
@pytest.mark.parametrize(("kind", "status", "executed"), KINDS)
async def test_what_a_websocket_api_client_sees_and_what_has_happened(
    market: MarketCase, kind: str, status: int | None, executed: int
) -> None:
    async with market.open() as ex, aiohttp.ClientSession() as http:
        socket = await http.ws_connect(ex.ws_url + market.ws_api)
        assert (await market.ws_request(socket, "order.place", market.resting))["status"] == 200
        ex.faults.add(FaultRule(kind, "order.place", nth=1, seconds=0.2))
        started = time.perf_counter()
        if status is None:
            await socket.send_str(
                json.dumps({"id": 1, "method": "order.place", "params": signed(market.resting)})
            )
            assert (await socket.receive(timeout=2)).type in (
                aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.ERROR,
            )  # fmt: skip
        else:
            answer = await market.ws_request(socket, "order.place", market.resting)
            assert answer["status"] == status
            assert answer["rateLimits"][0]["rateLimitType"] in ("REQUEST_WEIGHT", "ORDERS")
        assert (time.perf_counter() - started >= 0.2) == ("delay" in kind)
        assert len(market.account(ex).open_orders) == 1 + executed


@both
async def test_every_operation_can_be_struck_at_both_doors(market: MarketCase) -> None:
    async with market.open() as ex, market.rest(ex) as rest, aiohttp.ClientSession() as http:
        ex.faults.add(FaultRule("unavailable"))
        socket = await http.ws_connect(ex.ws_url + market.ws_api)
        gateway = ex.application.gateway
        for method, path in gateway.routes:
            status, body, _ = await rest.raw(method, path)
            assert (status, body["msg"]) == (503, "Service Unavailable."), (method, path)
        for number, method in enumerate(gateway.ws_methods):
            await socket.send_str(json.dumps({"id": number, "method": method}))
            assert (await socket.receive_json(timeout=2))["status"] == 503, method
        struck = {rule["operation"]: rule["struck"] for rule in ex.faults.describe()}
        assert struck == {"*": len(gateway.routes) + len(gateway.ws_methods)}


@both
async def test_a_seed_repeats_the_same_misfortune(market: MarketCase) -> None:
    async def story(seed: int) -> list[int]:
        async with market.open(seed=seed) as ex, market.rest(ex) as rest:
            for kind in ("unavailable", "unknown_executed", "rate_limited"):
                ex.faults.add(FaultRule(kind, "order.place", probability=0.2))
            return [(await rest.signed("POST", "order", **market.resting))[0] for _ in range(40)]

    first = await story(1)
    assert first == await story(1)
    assert first != await story(2)
    assert {200, 429, 503} == set(first)


@both
async def test_user_events_are_lost_doubled_late_and_out_of_order(market: MarketCase) -> None:
    async def seen(kind: str, **more: Any) -> list[str]:
        async with market.open() as ex, market.rest(ex) as rest, market.user_stream(ex) as following:
            ex.faults.add(FaultRule(kind, market.order_event, nth=1, **more))
            assert (await rest.signed("POST", "order", **market.buy()))[0] == 200
            found = []
            while True:
                try:
                    event = await following()
                except TimeoutError:
                    return [x for x in found if x]
                found.append((event["o"] if market.name == "um" else event).get("x", "")
                             if event["e"] == market.order_event else "")  # fmt: skip

    assert await seen("event_lost") == ["TRADE"]
    assert await seen("event_duplicated") == ["NEW", "NEW", "TRADE"]
    assert sorted(await seen("event_reordered", seconds=0.1)) == ["NEW", "TRADE"]
    assert await seen("event_late", seconds=0.1) == ["TRADE", "NEW"]


async def test_a_reordered_event_follows_the_next_one_or_comes_alone() -> None:
    async with SPOT.open() as ex, SPOT.rest(ex) as rest, SPOT.user_stream(ex) as following:
        ex.faults.add(FaultRule("event_reordered", "executionReport", nth=1, seconds=5))
        await rest.signed("POST", "order", **SPOT.buy())
        assert [(await following()).get("x") for _ in range(3)] == ["TRADE", "NEW", None]
        ex.faults.add(FaultRule("event_reordered", "balanceUpdate", seconds=0.05))
        ex.venue_base.deposit(SPOT.account(ex), "USDT", 1)
        ex.faults.clear()
        assert (await following())["e"] == "outboundAccountPosition"
        assert (await following())["e"] == "balanceUpdate"


@both
async def test_market_data_is_lost_doubled_late_and_out_of_order(market: MarketCase) -> None:
    async def seen(kind: str) -> list[int]:
        async with market.open() as ex, aiohttp.ClientSession() as http:
            path = "/ws/btcusdt@trade" if market.name == "spot" else "/public/ws/btcusdt@trade"
            socket = await http.ws_connect(ex.ws_url + path)
            ex.faults.add(FaultRule(kind, "btcusdt@tr*", nth=2, seconds=0.1))
            ex.advance(1)
            found = []
            while True:
                try:
                    found.append((await socket.receive_json(timeout=0.3))["t"])
                except TimeoutError:
                    return [number - found[0] for number in found]

    assert await seen("stream_lost") == [0, 2, 3]
    assert await seen("stream_duplicated") == [0, 1, 1, 2, 3]
    assert await seen("stream_reordered") == [0, 2, 1, 3]
    assert await seen("stream_late") == [0, 2, 3, 1]


@both
async def test_a_half_open_socket_says_nothing_and_a_cut_one_is_gone(market: MarketCase) -> None:
    async with market.open() as ex, market.rest(ex) as rest, aiohttp.ClientSession() as http:
        stream = await http.ws_connect(ex.ws_url + "/stream?streams=btcusdt@trade")
        requests = await http.ws_connect(ex.ws_url + market.ws_api)
        answer = await rest.raw("POST", "/paper/disconnect", body='{"how": "half-open", "kind": "stream"}')
        assert answer[1] == {"sockets": 1}
        ex.advance(1)
        await stream.ping()
        with pytest.raises(TimeoutError):
            await stream.receive(timeout=0.2)
        await requests.send_str('{"id": 1, "method": "ping"}')
        assert (await requests.receive_json(timeout=2))["status"] == 200
        await rest.raw("POST", "/paper/disconnect", body='{"how": "half-open"}')
        await requests.send_str('{"id": 2, "method": "ping"}')
        with pytest.raises(TimeoutError):
            await requests.receive(timeout=0.2)
        await rest.raw("POST", "/paper/disconnect", body='{"how": "abort"}')
        gone = (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert [(await socket.receive(timeout=1)).type in gone for socket in (stream, requests)] == [True] * 2
        assert (await rest.raw("POST", "/paper/disconnect", body='{"how": "gently"}'))[0] == 400
        assert not ex.application.sockets


@both
async def test_a_connection_lives_a_day_and_must_answer_pings(market: MarketCase) -> None:
    async with market.open() as ex, aiohttp.ClientSession() as http:
        loop = asyncio.get_running_loop()
        app = ex.application
        old = await http.ws_connect(ex.ws_url + "/ws", autoping=False)
        app.tick(loop.time())
        ping = await old.receive(timeout=1)
        assert ping.type is aiohttp.WSMsgType.PING
        await old.pong(ping.data)
        await asyncio.sleep(0.05)
        mute = await http.ws_connect(ex.ws_url + "/ws", autoping=False)
        app.sockets[next(s for s, o in app.sockets.items() if o.since == max(
            o.since for o in app.sockets.values()))].socket.last_pong -= app.pong_within_s + 1  # fmt: skip
        app.tick(loop.time())
        assert (await mute.receive(timeout=1)).data == 1008
        assert (await old.receive(timeout=1)).type is aiohttp.WSMsgType.PING
        for opened in app.sockets.values():
            opened.since -= 86_401
        app.tick(loop.time())
        assert (await old.receive(timeout=1)).type is aiohttp.WSMsgType.CLOSE
        assert old.close_code == 1008


@both
async def test_a_shutdown_is_announced_on_every_kind_of_socket(market: MarketCase) -> None:
    async with aiohttp.ClientSession() as http:
        async with market.open() as ex, market.rest(ex) as rest:
            raw = await http.ws_connect(ex.ws_url + "/ws")
            combined = await http.ws_connect(ex.ws_url + "/stream")
            requests = await http.ws_connect(ex.ws_url + market.ws_api)
            assert (await rest.raw("POST", "/paper/server-shutdown"))[1] == {"sockets": 3}
            assert (await raw.receive_json(timeout=1))["e"] == "serverShutdown"
            assert (await combined.receive_json(timeout=1))["stream"] == "!serverShutdown"
            assert (await requests.receive_json(timeout=1))["event"]["e"] == "serverShutdown"
        for socket in (raw, combined, requests):  # and when it really stops: announced again, then closed
            assert "serverShutdown" in (await socket.receive(timeout=1)).data
            assert (await socket.receive(timeout=1)).type is aiohttp.WSMsgType.CLOSE
            assert socket.close_code == 1001


@both
async def test_a_halted_symbol_takes_no_orders_but_lets_them_go(market: MarketCase) -> None:
    async with market.open() as ex, market.rest(ex) as rest:
        placed = (await rest.signed("POST", "order", **market.resting))[1]
        await rest.raw("POST", "/paper/symbol-status", body='{"symbol": "BTCUSDT", "status": "HALT"}')
        info = (await rest.public("exchangeInfo"))[1]["symbols"][0]
        assert info["status"] == "HALT"
        status, body, _ = await rest.signed("POST", "order", **market.resting)
        assert (status, body["code"]) == (400, -1013 if market.name == "spot" else -4140)
        gone = await rest.signed("DELETE", "order", symbol="BTCUSDT", orderId=placed["orderId"])
        assert (gone[0], gone[1]["status"]) == (200, "CANCELED")
        await rest.raw("POST", "/paper/symbol-status", body='{"symbol": "BTCUSDT", "status": "TRADING"}')
        assert (await rest.signed("POST", "order", **market.resting))[0] == 200
        assert (await rest.raw("POST", "/paper/symbol-status", body='{"symbol": "BTCUSDT"}'))[0] == 400


@both
async def test_changed_filters_are_shown_and_enforced(market: MarketCase) -> None:
    async with market.open() as ex, market.rest(ex) as rest:
        change = {"filterType": "LOT_SIZE", "minQty": "0.5", "maxQty": "100", "stepSize": "0.1"}
        body = json.dumps({"symbol": "BTCUSDT", "filters": [change]})
        assert (await rest.raw("POST", "/paper/symbol-filters", body=body))[0] == 200
        shown = (await rest.public("exchangeInfo"))[1]["symbols"][0]["filters"]
        lot = next(entry for entry in shown if entry["filterType"] == "LOT_SIZE")
        assert (float(lot["minQty"]), float(lot["stepSize"])) == (0.5, 0.1)
        status, refused, _ = await rest.signed("POST", "order", **{**market.resting, "quantity": "0.4"})
        assert (status, refused["code"]) == (400, -1013 if market.name == "spot" else -4004)
        assert (await rest.signed("POST", "order", **{**market.resting, "quantity": "0.6"}))[0] == 200
        bad = json.dumps({"symbol": "NOTHING", "filters": [change]})
        assert (await rest.raw("POST", "/paper/symbol-filters", body=bad))[0] == 400


@both
async def test_a_skewed_clock_refuses_signatures_until_clients_ask_for_the_time(market: MarketCase) -> None:
    async with market.open() as ex, market.rest(ex) as rest:
        for skew, text in ((70_000, "outside of the recvWindow"), (-70_000, "ahead of the server's time")):
            await rest.raw("POST", "/paper/clock-skew", body=json.dumps({"ms": skew}))
            status, body, _ = await rest.signed("POST", "order", **market.resting)
            assert (status, body["code"]) == (400, -1021)
            assert text in body["msg"]
            server = (await rest.public("time"))[1]["serverTime"]
            offset = server - int(time.time() * 1000)
            assert abs(offset - skew) < 2_000
            assert (await rest.signed("POST", "order", skew_ms=offset, **market.resting))[0] == 200
        await rest.raw("DELETE", "/paper/faults")
        assert (await rest.signed("POST", "order", **market.resting))[0] == 200


@both
async def test_listen_keys_can_end_early(market: MarketCase) -> None:
    options = {"legacy_listen_key": True} if market.name == "spot" else {}
    path = "/api/v3/userDataStream" if market.name == "spot" else "/fapi/v1/listenKey"
    async with market.open(**options) as ex, market.rest(ex) as rest:
        headers = {"X-MBX-APIKEY": rest.key}
        key = (await rest.raw("POST", path, headers=headers))[1]["listenKey"]
        assert (await rest.raw("PUT", path, f"listenKey={key}", headers=headers))[0] == 200
        assert (await rest.raw("POST", "/paper/expire-listen-keys"))[1] == {"keys": 1}
        assert (await rest.raw("PUT", path, f"listenKey={key}", headers=headers))[1]["code"] == -1125
        assert (await rest.raw("POST", path, headers=headers))[1]["listenKey"] != key


@both
async def test_a_scenario_file_plays_at_its_market_and_wall_times(market: MarketCase, tmp_path: Path) -> None:
    file = tmp_path / "storm.yaml"
    file.write_text(
        """
        seed: 3
        faults:
          - {kind: unavailable, operation: order.test, times: 1}
        events:
          - {at_market: 2024-06-01T00:07, do: symbol-status, with: {symbol: BTCUSDT, status: HALT}}
          - {after_s: 0.05, do: clock-skew, with: {ms: 70000}}
        """
    )
    async with market.open(scenario=load_scenario(file)) as ex, market.rest(ex) as rest:
        assert (await rest.signed("POST", "order/test", **market.resting))[0] == 503
        assert (await rest.signed("POST", "order", **market.resting))[0] == 200
        ex.advance(2)
        assert (await rest.signed("POST", "order", **market.resting))[1]["code"] in (-1013, -4140)
        await asyncio.sleep(0.1)
        assert (await rest.signed("POST", "order", **market.resting))[1]["code"] == -1021


def test_chance_comes_from_the_seed() -> None:
    def strikes(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add(FaultRule("delay", "order.*", probability=0.3))
        faults.add(FaultRule("event_lost", probability=0.3))
        return [faults.on_request("order.place") is not None for _ in range(60)] + [
            faults.on_message(USER, "executionReport") is not None for _ in range(60)
        ]

    assert strikes(1) == strikes(1)
    assert strikes(1) != strikes(2)
    assert 15 < sum(strikes(1)) < 60


def test_an_impossible_fault_is_refused() -> None:
    for rule in (FaultRule("earthquake"), FaultRule("delay", probability=2), FaultRule("delay", nth=0)):
        with pytest.raises(ConfigError):
            Faults().add(rule)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("faults: [{kind: delay, colour: red}]", "colour"),
        ("events: [{do: clock-skew}]", "after_s"),
        ("events: {", "YAML"),
    ],
)
def test_a_bad_scenario_names_what_is_wrong(tmp_path: Path, text: str, word: str) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=word):
        load_scenario(file)
    with pytest.raises(ConfigError):
        load_scenario(tmp_path / "missing.yaml")


@both
def test_a_scenario_with_an_unknown_action_or_fault_stops_the_start(
    market: MarketCase, tmp_path: Path
) -> None:
    for text in ("events: [{do: dance, after_s: 1}]", "faults: [{kind: earthquake}]"):
        file = tmp_path / "wrong.yaml"
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"dance|earthquake"):
            market.open(scenario=load_scenario(file))
