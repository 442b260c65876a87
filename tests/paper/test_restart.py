"""State on disk: after a restart the accounts, orders, lists and trades are the same, and go on living."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qtm.errors import StoreError
from qtm.paper.server import PaperExchange
from qtm.paper.wire import E8
from tests.paper.clients import Rest
from tests.paper.worlds import exchange, replay

OCO = {
    "side": "SELL",
    "quantity": "0.5",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "90000",
    "belowType": "STOP_LOSS",
    "belowStopPrice": "30000",
}


def picture(ex: PaperExchange) -> dict[str, Any]:
    """Everything a client could ask about the account."""
    account = ex.venue.accounts["desk"]
    return {
        "balances": {asset: (b.free, b.locked) for asset, b in account.balances.items()},
        "orders": {
            o.id: (o.status, o.executed, o.locked, o.client_id)
            for o in account.symbol("BTCUSDT").orders.values()
        },
        "open": sorted(account.open_orders),
        "trades": list(account.symbol("BTCUSDT").trades),
        "lists": {i: group.view() for i, group in ex.venue.lists.lists.items()},
        "treasury": ex.venue.treasury,
        "resting": [ex.venue.markets["BTCUSDT"].book.bids.depth(50)[-1]],
    }


async def test_a_restart_changes_nothing_and_orders_go_on(tmp_path: Path) -> None:
    state = tmp_path / "paper.db"
    async with exchange(state=state) as ex, Rest(ex.url) as rest:
        await rest.order(side="BUY", type="MARKET", quantity="0.01")
        kept = (
            await rest.order(side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="50000")
        )[1]
        gone = (
            await rest.order(side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.02", price="51000")
        )[1]
        await rest.signed("DELETE", "order", symbol="BTCUSDT", orderId=gone["orderId"])
        assert (await rest.signed("POST", "orderList/oco", symbol="BTCUSDT", **OCO))[0] == 200
        ex.venue.store = None  # the process dies here: nothing is written at the end
        before = picture(ex)
    async with exchange(state=state) as ex, Rest(ex.url) as rest:
        assert picture(ex) == before
        new = (await rest.order(side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01", price="49000"))[
            1
        ]
        assert new["orderId"] > max(before["orders"])
        cancelled = await rest.signed("DELETE", "order", symbol="BTCUSDT", orderId=kept["orderId"])
        assert cancelled[1]["status"] == "CANCELED"
        listed = await rest.signed("DELETE", "orderList", symbol="BTCUSDT", orderListId=0)
        assert len(listed[1]["orderReports"]) == 2
        account = ex.venue.accounts["desk"]
        assert account.balance("BTC").locked == 0


def test_a_state_file_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"not a database at all, but long enough to look like one" * 40)
    with pytest.raises(StoreError, match=r"broken\.db"):
        exchange(state=broken)


async def test_a_paying_list_and_routed_fills_outlive_a_restart(tmp_path: Path) -> None:
    pairs = (("BTCUSDT", "BTC", "USDT"), ("BTCUSDC", "BTC", "USDC"))
    state = tmp_path / "paper.db"
    opo = {
        "symbol": "BTCUSDT", "workingType": "LIMIT", "workingSide": "BUY", "workingTimeInForce": "GTC",
        "workingPrice": "50000", "workingQuantity": "1", "pendingType": "LIMIT", "pendingSide": "SELL",
        "pendingTimeInForce": "GTC", "pendingPrice": "70000",
    }  # fmt: skip
    async with exchange(replay(*pairs), state=state) as ex, Rest(ex.url) as rest:
        for quantity in ("0.01", "0.02"):
            status, body, _ = await rest.signed(
                "POST", "sor/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity=quantity
            )
            assert status == 200, body
        status, body, _ = await rest.signed("POST", "orderList/opo", **opo)
        assert status == 200, body
        ex.venue.print_trade("BTCUSDT", 49_999 * E8, E8 // 2, buyer_is_maker=True)
        ex.venue.store = None
        before = picture(ex)
        _, allocated, _ = await rest.signed("GET", "myAllocations", symbol="BTCUSDT")
    async with exchange(replay(*pairs), state=state) as ex, Rest(ex.url) as rest:
        assert picture(ex) == before
        assert (await rest.signed("GET", "myAllocations", symbol="BTCUSDT"))[1] == allocated
        assert len(allocated) == 2
        ex.venue.print_trade("BTCUSDT", 49_999 * E8, E8, buyer_is_maker=True)
        selling = body["orders"][1]["orderId"]
        _, pending, _ = await rest.signed("GET", "order", symbol="BTCUSDT", orderId=selling)
        # The commission of the first half came out of the free coins that were there.
        assert (pending["status"], pending["origQty"]) == ("NEW", "1.00000000")
