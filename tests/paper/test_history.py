"""An account's whole history is answered, although only the latest part of it is kept in memory."""

from __future__ import annotations

import pytest

from qtm.paper.spot.venue import SpotVenue
from qtm.paper.wire import E8
from qtm.trading.costs import SPOT_COSTS
from tests.paper.clients import Rest
from tests.paper.worlds import exchange

COUNT = 30


@pytest.fixture
def short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qtm.paper.spot.history.KEPT", 4)
    monkeypatch.setattr("qtm.paper.spot.history.BATCH", 3)


async def trade(rest: Rest, ex: object, count: int = COUNT) -> list[int]:
    """Market orders one after the other, and one that stays open from the beginning; their ids."""
    _, first = await rest.order(side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="50000")
    ids = [first["orderId"]]
    for number in range(count - 1):
        _, body = await rest.order(
            side="BUY", type="MARKET", quantity="0.001", newClientOrderId=f"c{number}", newOrderRespType="ACK"
        )
        ids.append(body["orderId"])
    return ids


@pytest.mark.usefixtures("short_memory")
async def test_orders_are_paged_by_id_and_found_by_either_id() -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        ids = await trade(rest, ex)
        history = ex.venue.accounts["desk"].history["BTCUSDT"]
        assert len(history.orders) < 10
        _, newest, _ = await rest.signed("GET", "allOrders", symbol="BTCUSDT", limit=12)
        assert [order["orderId"] for order in newest] == ids[-12:]
        seen: list[int] = []
        while True:
            start = seen[-1] + 1 if seen else ids[0]
            _, page, _ = await rest.signed("GET", "allOrders", symbol="BTCUSDT", orderId=start, limit=7)
            if not page:
                break
            seen += [order["orderId"] for order in page]
        assert seen == ids
        _, by_id, _ = await rest.signed("GET", "order", symbol="BTCUSDT", orderId=ids[3])
        _, by_client, _ = await rest.signed("GET", "order", symbol="BTCUSDT", origClientOrderId="c2")
        assert by_id == by_client
        assert (by_id["status"], by_id["executedQty"]) == ("FILLED", "0.00100000")
        _, wrong, _ = await rest.signed(
            "GET", "order", symbol="BTCUSDT", orderId=ids[3], origClientOrderId="c9"
        )
        assert (wrong["code"], wrong["msg"]) == (-2039, "Client order ID is not correct for this order ID.")
        _, none, _ = await rest.signed("GET", "order", symbol="BTCUSDT", orderId=ids[-1] + 1)
        assert none["code"] == -2013


@pytest.mark.usefixtures("short_memory")
async def test_trades_are_paged_by_id_by_order_and_by_time() -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        ids = await trade(rest, ex)
        _, everything, _ = await rest.signed("GET", "myTrades", symbol="BTCUSDT")
        assert [row["orderId"] for row in everything] == ids[1:]
        assert len(ex.venue.accounts["desk"].history["BTCUSDT"].trades) < 7
        tenth = everything[10]
        _, page, _ = await rest.signed("GET", "myTrades", symbol="BTCUSDT", fromId=tenth["id"], limit=3)
        assert page == everything[10:13]
        _, one, _ = await rest.signed("GET", "myTrades", symbol="BTCUSDT", orderId=tenth["orderId"])
        assert one == [tenth]
        begin = everything[0]["time"]
        _, timed, _ = await rest.signed("GET", "myTrades", symbol="BTCUSDT", startTime=begin, limit=4)
        assert timed == everything[:4]
        _, refused, _ = await rest.signed("GET", "myTrades", symbol="BTCUSDT", startTime=begin, fromId=1)
        assert (refused["code"], refused["msg"]) == (-1128, "Combination of optional parameters invalid.")


async def test_an_order_that_ended_without_a_fill_is_archived_after_ninety_days() -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        _, order = await rest.order(
            side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="50000"
        )
        await rest.signed("DELETE", "order", symbol="BTCUSDT", orderId=order["orderId"])
        _, filled = await rest.order(side="BUY", type="MARKET", quantity="0.01")
        ex.venue.move_clock(ex.venue.clock.now_ms() + 91 * 86_400_000)
        _, gone, _ = await rest.signed("GET", "order", symbol="BTCUSDT", orderId=order["orderId"])
        assert gone["code"] == -2026
        status, _, _ = await rest.signed("GET", "order", symbol="BTCUSDT", orderId=filled["orderId"])
        assert status == 200


@pytest.mark.usefixtures("short_memory")
def test_accounts_do_not_see_each_other_s_archive() -> None:
    from qtm.paper.spot.archive import Page
    from qtm.paper.spot.orders import NewOrder
    from tests.paper.worlds import replay

    venue = SpotVenue(SPOT_COSTS)
    replay().open(venue)
    for name in ("a", "b"):
        account = venue.open_account(name)
        venue.deposit(account, "USDT", 10**6 * E8)
        for _ in range(12):
            venue.place(
                account, NewOrder(symbol="BTCUSDT", buy=True, type="MARKET", qty=E8 // 100, stp="NONE")
            )
    pages = [
        venue.accounts[name].symbol("BTCUSDT").page_of_orders(Page(100, oldest_first=True)) for name in "ab"
    ]
    assert [{order.account for order in page} for page in pages] == [{"a"}, {"b"}]
    assert [len(page) for page in pages] == [12, 12]
