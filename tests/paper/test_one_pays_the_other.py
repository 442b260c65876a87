"""OPO and OPOCO lists: what the working order buys is locked for the pending orders and is what they sell."""

from __future__ import annotations

from typing import Any

import pytest

from qtm.paper.server import PaperExchange
from qtm.paper.wire import E8, units_of
from tests.paper.clients import Rest
from tests.paper.worlds import exchange

OPO = {
    "symbol": "BTCUSDT", "workingType": "LIMIT", "workingSide": "BUY", "workingTimeInForce": "GTC",
    "workingPrice": "50000", "workingQuantity": "1", "pendingSide": "SELL",
}  # fmt: skip
TARGET = {"pendingType": "LIMIT", "pendingTimeInForce": "GTC", "pendingPrice": "70000"}
BRACKET = {
    "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": "70000",
    "pendingBelowType": "STOP_LOSS", "pendingBelowStopPrice": "40000",
}  # fmt: skip


def btc(ex: PaperExchange) -> tuple[int, int]:
    balance = ex.venue.accounts["desk"].balance("BTC")
    return balance.free, balance.locked


def fill(ex: PaperExchange, qty: str) -> None:
    """Somebody sells through the working order's price."""
    ex.venue.print_trade("BTCUSDT", 49_999 * E8, units_of(qty), buyer_is_maker=True)


async def place(rest: Rest, kind: str = "opo", **params: Any) -> dict[str, Any]:
    status, body, _ = await rest.signed("POST", f"orderList/{kind}", **{**OPO, **params})
    assert status == 200, body
    return body


async def pending(rest: Rest, answer: dict[str, Any], at: int = 1) -> dict[str, Any]:
    _, body, _ = await rest.signed("GET", "order", symbol="BTCUSDT", orderId=answer["orders"][at]["orderId"])
    return body


async def test_the_pending_order_sells_what_was_received_less_the_commission() -> None:
    async with exchange(balances={"USDT": "100000"}) as ex, Rest(ex.url) as rest:
        answer = await place(rest, **TARGET)
        assert (answer["contingencyType"], len(answer["orderReports"])) == ("OTO", 2)
        waiting = await pending(rest, answer)
        assert (waiting["status"], waiting["origQty"]) == ("PENDING_NEW", "0.00000000")
        fill(ex, "0.4")
        assert btc(ex) == (0, units_of("0.3996"))
        assert (await pending(rest, answer))["status"] == "PENDING_NEW"
        fill(ex, "0.60001")
        selling = await pending(rest, answer)
        assert (selling["status"], selling["origQty"]) == ("NEW", "0.99900000")
        assert btc(ex) == (0, units_of("0.999"))
        ex.venue.print_trade("BTCUSDT", 70_001 * E8, 2 * E8, buyer_is_maker=False)
        assert (await pending(rest, answer))["status"] == "FILLED"
        assert btc(ex) == (0, 0)


async def test_the_commission_comes_out_of_the_free_balance_when_there_is_enough() -> None:
    async with exchange(balances={"USDT": "100000", "BTC": "0.5"}) as ex, Rest(ex.url) as rest:
        answer = await place(rest, **TARGET)
        fill(ex, "2")
        assert (await pending(rest, answer))["origQty"] == "1.00000000"
        assert btc(ex) == (units_of("0.499"), E8)


async def test_cancelling_a_half_filled_working_order_frees_what_it_has_bought() -> None:
    async with exchange(balances={"USDT": "100000"}) as ex, Rest(ex.url) as rest:
        answer = await place(rest, **TARGET)
        fill(ex, "0.4")
        status, body, _ = await rest.signed(
            "DELETE", "orderList", symbol="BTCUSDT", orderListId=answer["orderListId"]
        )
        assert (status, body["listOrderStatus"]) == (200, "ALL_DONE")
        assert btc(ex) == (units_of("0.3996"), 0)


async def test_an_opoco_locks_once_and_ends_with_either_leg() -> None:
    async with exchange(balances={"USDT": "100000"}) as ex, Rest(ex.url) as rest:
        answer = await place(rest, "opoco", **BRACKET)
        fill(ex, "2")
        for at in (1, 2):
            assert (await pending(rest, answer, at))["origQty"] == "0.99900000"
        assert btc(ex) == (0, units_of("0.999"))
        ex.venue.set_depth("BTCUSDT", [(39_000 * E8, 5 * E8)], [(41_000 * E8, 5 * E8)])
        ex.venue.print_trade("BTCUSDT", 40_000 * E8, E8, buyer_is_maker=True)
        states = {(await pending(rest, answer, at))["status"] for at in (1, 2)}
        assert states == {"FILLED", "EXPIRED"}
        assert btc(ex) == (0, 0)


async def test_what_the_filters_refuse_in_the_end_expires_and_frees_the_coins() -> None:
    async with exchange(balances={"USDT": "100000"}) as ex, Rest(ex.url) as rest:
        answer = await place(rest, workingQuantity="0.0002", **TARGET)
        ex.venue.change_filters(
            "BTCUSDT", [{"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "9", "stepSize": "1"}]
        )
        fill(ex, "1")
        assert (await pending(rest, answer))["status"] == "EXPIRED"
        assert btc(ex) == (units_of("0.0001998"), 0)


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"workingSide": "SELL"}, -1222, "Working order in an OPO list must be a bid."),
        ({"pendingSide": "BUY"}, -1223, "Pending orders in an OPO list must be asks."),
        ({"pendingQuantity": "1"}, -1104, None),
    ],
)
async def test_only_a_bid_pays_and_only_asks_are_paid(
    change: dict[str, str], code: int, text: str | None
) -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        status, body, _ = await rest.signed("POST", "orderList/opo", **{**OPO, **TARGET, **change})
        assert (status, body["code"]) == (400, code)
        assert text is None or body["msg"] == text
        answer = await place(rest, **TARGET)
        status, body, _ = await rest.signed(
            "PUT",
            "order/amend/keepPriority",
            symbol="BTCUSDT",
            orderId=answer["orders"][1]["orderId"],
            newQty="1",
        )
        assert (body["code"], body["msg"]) == (-2038, "Order amend (pending OPO order) is not supported.")


@pytest.mark.parametrize("at", [0, 1])
async def test_cancelling_one_order_of_a_list_cancels_the_list(at: int) -> None:
    async with exchange(balances={"USDT": "100000"}) as ex, Rest(ex.url) as rest:
        answer = await place(rest, **TARGET)
        fill(ex, "0.4")
        chosen = answer["orders"][at]["orderId"]
        status, body, _ = await rest.signed("DELETE", "order", symbol="BTCUSDT", orderId=chosen)
        assert (status, body["listOrderStatus"]) == (200, "ALL_DONE")
        assert [report["status"] for report in body["orderReports"]] == ["CANCELED", "CANCELED"]
        assert btc(ex) == (units_of("0.3996"), 0)
        fill(ex, "5")
        assert btc(ex) == (units_of("0.3996"), 0)
        assert ex.venue.accounts["desk"].balance("USDT").locked == 0


async def test_amending_the_working_order_keeps_what_it_has_bought_locked() -> None:
    async with exchange(balances={"USDT": "100000"}) as ex, Rest(ex.url) as rest:
        answer = await place(rest, **TARGET)
        fill(ex, "0.4")
        bought = btc(ex)
        status, _, _ = await rest.signed(
            "PUT",
            "order/amend/keepPriority",
            symbol="BTCUSDT",
            orderId=answer["orders"][0]["orderId"],
            newQty="0.5",
        )
        assert (status, btc(ex)) == (200, bought)
        assert ex.venue.accounts["desk"].balance("USDT").locked == units_of("5000")
        fill(ex, "0.1")
        assert (await pending(rest, answer))["origQty"] == "0.49950000"
