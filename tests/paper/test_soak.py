"""Memory stays flat while accounts trade for a long time."""

from __future__ import annotations

import gc
import resource
from pathlib import Path

import pytest

from qtm.paper.http import Request, Response
from qtm.paper.limits import without_limits
from tests.paper.both import MarketCase, both
from tests.paper.raw_sockets import signed_request

REQUESTS = 120_000
GROWTH_MB = 6.0


def resident_mb() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


@both
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "with a state file"])
async def test_memory_is_flat_over_many_orders(market: MarketCase, kept: bool, tmp_path: Path) -> None:
    """Resting and cancelled orders, market orders both ways, with the user stream on; the first half fills
    every bounded history, the second half must not add to it.
    """
    options = {"state": tmp_path / "state.sqlite"} if kept else {}
    exchange = market.open(**options)
    async with exchange as ex:
        gateway = ex.application.gateway
        gateway.addresses.clear()
        gateway.rate_limits = without_limits(gateway.rate_limits)
        account = market.account(ex)
        for counter in account.limits.counters:
            counter.limit = without_limits((counter.limit,))[0]
        account.listeners.append(lambda event: None)

        def send(method: str, params: dict[str, str]) -> None:
            head = signed_request(method, f"{market.prefix}/order", params).split(b" ")[1].decode()
            path, _, query = head.partition("?")
            answer = gateway.rest(Request(method, path, query, {"x-mbx-apikey": "test-key"}, peer="x"))
            assert isinstance(answer, Response)
            assert answer.status == 200, answer.body

        marks = []
        for number in range(REQUESTS // 4):
            if number % (REQUESTS // 40) == 0:
                gc.collect()
                marks.append(resident_mb())
            name = f"n{number}"
            send("POST", {**market.resting, "newClientOrderId": name})
            send("DELETE", {"symbol": "BTCUSDT", "origClientOrderId": name})
            send("POST", market.buy())
            send("POST", {**market.buy(), "side": "SELL"})
        half = marks[len(marks) // 2 :]
        assert max(half) - half[0] < GROWTH_MB, marks
