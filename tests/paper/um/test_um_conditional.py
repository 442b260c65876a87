"""Conditional orders fire at their trigger, protect what they should, and tell the user stream."""

from __future__ import annotations

import pytest

from qtm.paper.errors import ApiError
from qtm.paper.um import algo
from qtm.paper.um.orders import NewUmOrder
from qtm.paper.wire import E8, units_of
from tests.paper.clients import Rest
from tests.paper.um.um_worlds import Desk, exchange


def request(buy: bool, **more: object) -> NewUmOrder:
    return NewUmOrder("BTCUSDT", buy, "MARKET", "stop", **more)  # type: ignore[arg-type]


def test_a_stop_closes_the_position_when_the_price_gets_there() -> None:
    desk = Desk()
    desk.order(True, "10")
    stop = algo.place(
        desk.venue, desk.account(), request(False, close_position=True), "STOP_MARKET", 95 * E8, 0, 0
    )
    desk.at(96)
    assert stop.status == "NEW"
    desk.at(94)
    assert (stop.status, desk.account().position("BTCUSDT", "BOTH").qty) == ("FINISHED", 0)
    states = [e["o"]["X"] for e in desk.events["desk"] if e["e"] == "ALGO_UPDATE"]
    assert states == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]


def test_a_trailing_stop_follows_the_best_price() -> None:
    desk = Desk()
    desk.order(True, "10")
    stop = algo.place(
        desk.venue, desk.account(), request(False, qty=10 * E8, reduce_only=True), "TRAILING_STOP_MARKET",
        0, units_of("105"), E8 // 100,
    )  # fmt: skip
    desk.at(103)
    desk.at(100)
    assert stop.status == "NEW"
    desk.at(110)
    desk.at(109)
    assert stop.status == "NEW"
    desk.at("108.9")
    assert stop.status == "FINISHED"


def test_a_trigger_already_passed_is_refused() -> None:
    desk = Desk()
    with pytest.raises(ApiError) as refused:
        algo.place(desk.venue, desk.account(), request(True, qty=E8), "STOP_MARKET", 99 * E8, 0, 0)
    assert refused.value.code == -2021


async def test_the_old_door_names_the_new_one() -> None:
    async with exchange() as venue, Rest(venue.url) as rest:
        import hmac
        import time

        query = (
            "symbol=BTCUSDT&side=SELL&type=STOP_MARKET&stopPrice=50000&quantity=1"
            f"&timestamp={int(time.time() * 1000)}"
        )
        query += "&signature=" + hmac.digest(rest.secret.encode(), query.encode(), "sha256").hex()
        status, body, headers = await rest.raw(
            "POST", "/fapi/v1/order", query, headers={"X-MBX-APIKEY": rest.key}
        )
        assert (status, body["code"]) == (400, -4120)
        assert "X-MBX-ORDER-COUNT-10S" in headers
        assert "X-MBX-USED-WEIGHT-1M" in headers
