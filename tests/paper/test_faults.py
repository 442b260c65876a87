"""Faults on demand: each leaves the venue in the state it claims, and a seed repeats it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from qtm.errors import ConfigError
from qtm.paper.faults import FaultRule, Faults
from qtm.paper.scenario import load_scenario
from tests.paper.clients import Rest
from tests.paper.worlds import exchange

BUY = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "50000"}


@pytest.mark.parametrize(
    ("kind", "status", "executed"),
    [
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
    ],
)
async def test_what_the_client_sees_and_what_has_happened(
    kind: str, status: int | None, executed: int
) -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        body = f'{{"kind": "{kind}", "operation": "order.place", "nth": 1, "seconds": 0.2}}'
        assert (await rest.raw("POST", "/paper/faults", body=body))[0] == 200
        started = time.perf_counter()
        if status is None:
            with pytest.raises(aiohttp.ClientError):
                await rest.order(**BUY)
        else:
            answer, _, headers = await rest.signed("POST", "order", symbol="BTCUSDT", **BUY)
            assert answer == status
            assert ("Retry-After" in headers) == (status in (429, 418))
        assert (time.perf_counter() - started >= 0.2) == ("delay" in kind)
        assert len(ex.venue.accounts["desk"].open_orders) == executed
        assert (await rest.order(**BUY))[0] == 200
        sample = f'qtm_paper_faults_total{{kind="{kind}",market="spot",operation="order.place"}} 1.0'
        assert sample in ex.metrics.text().decode()


async def test_user_events_are_lost_doubled_late_and_out_of_order() -> None:
    async def seen(kind: str, **more: Any) -> list[str]:
        async with (
            exchange(legacy_listen_key=True) as ex,
            Rest(ex.url) as rest,
            aiohttp.ClientSession() as http,
        ):
            key = (await rest.raw("POST", "/api/v3/userDataStream", headers={"X-MBX-APIKEY": rest.key}))[1]
            socket = await http.ws_connect(f"{ex.ws_url}/ws/{key['listenKey']}")
            ex.faults.add(FaultRule(kind, "executionReport", nth=1, **more))
            await rest.order(side="BUY", type="MARKET", quantity="0.01")
            found = []
            while True:
                try:
                    event = await socket.receive_json(timeout=0.4)
                except TimeoutError:
                    return found
                found.append(event.get("x") or "position")

    assert await seen("event_lost") == ["TRADE", "position"]
    assert await seen("event_duplicated") == ["NEW", "NEW", "TRADE", "position"]
    assert await seen("event_reordered") == ["TRADE", "NEW", "position"]
    assert await seen("event_late", seconds=0.1) == ["TRADE", "position", "NEW"]


async def test_a_half_open_socket_says_nothing_and_a_cut_one_is_gone() -> None:
    async with exchange() as ex, Rest(ex.url) as rest, aiohttp.ClientSession() as http:
        socket = await http.ws_connect(ex.ws_url + "/ws/btcusdt@trade")
        answer = await rest.raw("POST", "/paper/disconnect", body='{"how": "half-open"}')
        assert answer[1] == {"sockets": 1}
        ex.advance(1)
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.2)
        await rest.raw("POST", "/paper/disconnect", body='{"how": "abort"}')
        assert (await socket.receive(timeout=1)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert (await rest.raw("POST", "/paper/disconnect", body='{"how": "gently"}'))[0] == 400


def test_chance_comes_from_the_seed() -> None:
    def strikes(seed: int) -> list[bool]:
        faults = Faults(seed)
        faults.add(FaultRule("delay", "order.*", probability=0.3))
        return [faults.on_request("order.place") is not None for _ in range(60)]

    assert strikes(1) == strikes(1)
    assert strikes(1) != strikes(2)
    assert 5 < sum(strikes(1)) < 35


def test_an_impossible_fault_is_refused() -> None:
    for rule in (FaultRule("earthquake"), FaultRule("delay", probability=2), FaultRule("delay", nth=0)):
        with pytest.raises(ConfigError):
            Faults().add(rule)


async def test_a_scenario_file_plays_at_its_market_and_wall_times(tmp_path: Path) -> None:
    file = tmp_path / "storm.yaml"
    file.write_text(
        """
        seed: 3
        faults:
          - {kind: unavailable, operation: account, times: 1}
        events:
          - {at_market: 2024-06-01T00:07, do: symbol-status, with: {symbol: BTCUSDT, status: HALT}}
          - {after_s: 0.05, do: clock-skew, with: {ms: 70000}}
        """
    )
    async with exchange(scenario=load_scenario(file)) as ex, Rest(ex.url) as rest:
        assert (await rest.signed("GET", "account"))[0] == 503
        assert (await rest.order(**BUY))[0] == 200
        ex.advance(2)
        assert (await rest.order(**BUY))[1]["msg"] == "Market is closed."
        await asyncio.sleep(0.1)
        assert (await rest.signed("GET", "account"))[1]["code"] == -1021


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
