"""Weights, order counts, fixed windows, 429 and then 418."""

from __future__ import annotations

from itertools import count

import aiohttp
import pytest

from qtm.paper.errors import ApiError
from qtm.paper.limits import AddressLimits, OrderLimits, RateLimit
from qtm.paper.spot.orders import NewOrder
from qtm.paper.spot.venue import RATE_LIMITS
from qtm.paper.wire import E8
from tests.paper.clients import Rest
from tests.paper.worlds import exchange, replay

NOON_S = 1_717_243_200.0


async def test_weights_and_order_counts_are_shown_and_successful_orders_are_free() -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        used = []
        for path, params in (
            ("ping", {}),
            ("exchangeInfo", {}),
            ("depth", {"symbol": "BTCUSDT", "limit": 1000}),
        ):
            used.append(int((await rest.public(path, **params))[2]["X-MBX-USED-WEIGHT-1M"]))
        assert [used[0], used[1] - used[0], used[2] - used[1]] == [1, 20, 50]
        order = {
            "symbol": "BTCUSDT",
            "side": "BUY",
            "type": "LIMIT",
            "timeInForce": "GTC",
            "quantity": "0.01",
        }
        good = (await rest.signed("POST", "order", **order, price="50000"))[2]
        assert int(good["X-MBX-USED-WEIGHT-1M"]) == used[2]
        assert (good["X-MBX-ORDER-COUNT-10S"], good["X-MBX-ORDER-COUNT-1D"]) == ("1", "1")
        bad = (await rest.signed("POST", "order", **order, price="1"))[2]
        assert int(bad["X-MBX-USED-WEIGHT-1M"]) == used[2] + 1
        filled = (await rest.signed("POST", "order", **order, price="70000"))[2]
        assert filled["X-MBX-ORDER-COUNT-10S"] == "1"  # a fill gives its place back


async def test_order_count_breach_is_429_with_retry_after() -> None:
    async with (
        exchange(rate_limits=(RATE_LIMITS[0], RateLimit("ORDERS", "DAY", 1, 2))) as ex,
        Rest(ex.url) as rest,
    ):
        order = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "50000"}
        for _ in range(2):
            assert (await rest.order(**order))[0] == 200
        status, body, headers = await rest.signed("POST", "order", symbol="BTCUSDT", **order)
        assert (status, body) == (
            429,
            {"code": -1015, "msg": "Too many new orders; current limit is 2 orders per 1 DAY."},
        )
        assert 0 < int(headers["Retry-After"]) <= 86_400
        assert len(ex.venue.accounts["desk"].open_orders) == 2


async def test_an_address_may_open_300_sockets_in_five_minutes() -> None:
    async with exchange() as ex, aiohttp.ClientSession() as http:
        await (await http.ws_connect(ex.ws_url + "/ws")).close()
        ex.application.attempts["127.0.0.1"].add(299)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(ex.ws_url + "/ws")
        assert refused.value.status == 429


def test_windows_are_calendar_windows() -> None:
    limits = AddressLimits((RateLimit("REQUEST_WEIGHT", "MINUTE", 1, 10),))
    limits.charge(10, NOON_S + 59.9)
    with pytest.raises(ApiError) as refused:
        limits.charge(1, NOON_S + 59.95)
    assert (refused.value.status, dict(refused.value.headers)["Retry-After"]) == (429, "1")
    limits.charge(10, NOON_S + 60.0)


def test_an_address_that_keeps_coming_is_banned_longer_each_time() -> None:
    limits = AddressLimits((RateLimit("REQUEST_WEIGHT", "MINUTE", 1, 1),))
    limits.charge(1, NOON_S)
    bans = []
    now = NOON_S
    for _ in range(2):
        status = 429
        while status == 429:
            with pytest.raises(ApiError) as refused:
                limits.charge(1, now)
            status = refused.value.status
        assert status == 418
        assert refused.value.code == -1003
        bans.append(int(dict(refused.value.headers)["Retry-After"]))
        now += bans[-1] + 1
        limits.charge(1, now)
    assert bans == [120, 480]


def test_a_full_order_window_counts_nothing_more() -> None:
    limits = OrderLimits((RateLimit("ORDERS", "SECOND", 10, 2),))
    limits.charge(2, NOON_S)
    with pytest.raises(ApiError, match="2 orders per 10 SECONDS"):
        limits.charge(1, NOON_S)
    limits.give_back(1, NOON_S)
    limits.charge(1, NOON_S)


async def test_the_order_windows_of_a_replay_pass_as_fast_as_its_market() -> None:
    feed = replay(count=30)
    async with exchange(feed, rate_limits=(RateLimit("ORDERS", "SECOND", 10, 2), *RATE_LIMITS[:1])) as ex:
        venue, account, numbers = ex.venue, ex.venue.accounts["desk"], count()

        def sell() -> None:
            request = NewOrder(
                symbol="BTCUSDT", buy=False, type="LIMIT", qty=E8 // 10, price=90_000 * E8, stp="NONE",
                client_id=f"sale-{next(numbers)}",
            )  # fmt: skip
            venue.place(account, request)

        for _ in range(3):
            sell()
            sell()
            free = account.balance("BTC").free
            with pytest.raises(ApiError, match="Too many new orders"):
                sell()
            assert account.balance("BTC").free == free, "a refused order locks nothing"
            ex.advance(1)
