"""What an exchange tells about itself: metrics for Prometheus, a log for people, no secret in either."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from qtm.paper.auth import api_key
from qtm.paper.exchange import AccountSpec
from qtm.paper.faults import FaultRule
from tests.paper.both import MarketCase, both
from tests.paper.signing import signed
from tests.paper.worlds import KEY, SECRET


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every sample by name and labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


@both
async def test_metrics_count_by_market_door_operation_and_status(market: MarketCase) -> None:
    async with market.open() as ex, market.rest(ex) as rest, aiohttp.ClientSession() as http:
        ex.faults.add(FaultRule("unavailable", "order.place", nth=3))
        for _ in range(3):
            await rest.signed("POST", "order", **market.resting)
        await rest.signed("POST", "order", **{**market.resting, "quantity": "0"})
        stream = await http.ws_connect(ex.ws_url + "/ws/btcusdt@trade")
        requests = await http.ws_connect(ex.ws_url + market.ws_api)
        await market.ws_request(requests, "order.place", market.resting)
        ex.advance(1)
        status, text, headers = await rest.raw("GET", "/metrics")
        assert (status, headers["Content-Type"]) == (200, "text/plain; version=0.0.4")
        found = samples(text)

        def value(name: str, **labels: str) -> float | None:
            return found.get((name, tuple(sorted({"market": market.name, **labels}.items()))))

        place = {"operation": "order.place"}
        assert value("qtm_paper_requests_total", door="rest", status="200", **place) == 2
        assert value("qtm_paper_requests_total", door="rest", status="503", **place) == 1
        assert value("qtm_paper_requests_total", door="rest", status="400", **place) == 1
        assert value("qtm_paper_requests_total", door="ws", status="200", **place) == 1
        assert value("qtm_paper_faults_total", kind="unavailable", **place) == 1
        assert value("qtm_paper_websockets", kind="stream") == 1
        assert value("qtm_paper_websockets", kind="ws-api") == 1
        assert value("qtm_paper_open_orders") == 3
        assert value("qtm_paper_connections") == 3
        assert (value("qtm_paper_stream_messages_total") or 0) >= 4
        assert value("qtm_paper_request_seconds_bucket", le="+Inf", **place) == 5
        assert value("qtm_paper_request_seconds_count", **place) == 5
        assert 0 < (value("qtm_paper_request_seconds_sum", **place) or 0) < 1
        assert ("process_resident_memory_bytes", ()) in found
        await stream.close()
        await asyncio.sleep(0.05)
        assert (
            f'qtm_paper_websockets{{kind="ws-api",market="{market.name}"}} 1.0' in ex.metrics.text().decode()
        )


@both
async def test_the_log_tells_every_order_and_no_secret(
    market: MarketCase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with market.open() as ex, market.rest(ex) as rest, aiohttp.ClientSession() as http:
        placed = (await rest.signed("POST", "order", **market.resting, newClientOrderId="mine"))[1]
        await rest.signed("POST", "order", in_body=True, **market.resting)
        await rest.signed("POST", "order", **{**market.resting, "symbol": "NOTHING"})
        headers = {"X-MBX-APIKEY": KEY}
        keys = "/api/v3/userDataStream" if market.name == "spot" else "/fapi/v1/listenKey"
        listen_key = (await rest.raw("POST", keys, headers=headers))[1]
        socket = await http.ws_connect(ex.ws_url + market.ws_api)
        sent = [signed(market.resting)]
        await socket.send_str(json.dumps({"id": 1, "method": "order.place", "params": sent[0]}))
        await socket.receive()
        ex.faults.add(FaultRule("ack_delay", "order.place", seconds=0.01))
        await rest.signed("POST", "order", **market.resting)
        key = listen_key.get("listenKey") if isinstance(listen_key, dict) else None
        if key:
            await http.ws_connect(f"{ex.ws_url}/private/ws/{key}")
    text = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("qtm"))
    for secret in (SECRET, KEY, sent[0]["signature"], "signature", *([key] if key else [])):
        assert str(secret) not in text
    lines = [line for line in text.splitlines() if "order.place" in line]
    assert f"{market.name} desk rest order.place symbol='BTCUSDT' side='BUY'" in lines[0]
    assert "-> 200 in" in lines[0]
    assert f'"orderId":{placed["orderId"]}' in lines[0]
    assert any("-> 400 in" in line and "Invalid symbol." in line for line in lines)
    assert any(f"{market.name} desk ws order.place" in line for line in lines)
    assert any("fault ack_delay strikes order.place" in line for line in lines)


def test_secrets_are_not_shown_by_the_objects_that_hold_them() -> None:
    spec: Any = AccountSpec("desk", "key", "very-secret")
    assert "very-secret" not in repr(spec)
    assert "very-secret" not in repr(api_key("key", "desk", secret="very-secret"))
