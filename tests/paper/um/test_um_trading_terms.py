"""What futures orders and accounts can do beyond plain orders: every term of the venue, once each."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest

from qtm.market.instruments import Instrument
from qtm.paper.errors import ApiError
from qtm.paper.klines import KlineHistory
from qtm.paper.um import algo
from qtm.paper.um.margin import asset_margin
from qtm.paper.um.orders import NewUmOrder
from qtm.paper.um.statistics import MarketStatistics
from qtm.paper.wire import E8, text_of, units_of
from tests.paper.clients import Rest
from tests.paper.um.um_worlds import Desk, contract, exchange
from tests.paper.worlds import START_MS

LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1"}


@pytest.fixture
async def venue() -> AsyncIterator[Any]:
    async with exchange() as opened, Rest(opened.url, prefix="/fapi/v1") as rest:
        yield opened, rest


# --- conditional orders ------------------------------------------------------------------------------------
CONDITIONS = [
    ("STOP_MARKET", True, "105", None, "105.1"), ("STOP_MARKET", False, "95", None, "94.9"),
    ("TAKE_PROFIT_MARKET", True, "95", None, "94.9"), ("TAKE_PROFIT_MARKET", False, "105", None, "105.1"),
    ("STOP", True, "105", "107", "105.1"), ("TAKE_PROFIT", False, "105", "104", "105.1"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "buy", "trigger", "limit", "reached"), CONDITIONS)
def test_every_conditional_order_waits_fires_and_tells_its_life(
    kind: str, buy: bool, trigger: str, limit: str | None, reached: str
) -> None:
    desk = Desk()
    request = NewUmOrder(
        "BTCUSDT", buy, "LIMIT" if limit else "MARKET", "mine", qty=E8,
        price=units_of(limit) if limit else None,
    )  # fmt: skip
    order = algo.place(desk.venue, desk.account(), request, kind, units_of(trigger), 0, 0)
    desk.at("100.4")
    assert order.status == "NEW"
    desk.at(reached)
    assert order.status == "FINISHED"
    child = desk.account().orders[order.order_id]
    assert (child.client_id, child.status, child.request.orig_type) == ("mine", "FILLED", kind)
    lives = [e["o"]["X"] for e in desk.events["desk"] if e["e"] == "ALGO_UPDATE"]
    assert lives == ["NEW", "TRIGGERING", "TRIGGERED", "FINISHED"]
    reports = [e["o"] for e in desk.events["desk"] if e["e"] == "ORDER_TRADE_UPDATE"]
    assert {(r["ot"], r["sp"], r["c"]) for r in reports} == {(kind, f"{trigger}.00", "mine")}


def test_a_conditional_order_that_cannot_be_entered_is_rejected_with_the_reason() -> None:
    desk = Desk()
    request = NewUmOrder("BTCUSDT", True, "MARKET", "big", qty=1000 * E8)
    desk.order(True, "1000")
    order = algo.place(desk.venue, desk.account(), request, "STOP_MARKET", units_of("105"), 0, 0)
    desk.account().wallets["USDT"] -= 9_000 * E8
    desk.at(106)
    assert (order.status, order.reason) == ("REJECTED", "Margin is insufficient.")


def test_a_protected_order_waits_until_last_and_mark_price_agree() -> None:
    desk = Desk()
    request = NewUmOrder("BTCUSDT", False, "MARKET", "safe", qty=E8, price_protect=True)
    order = algo.place(desk.venue, desk.account(), request, "STOP_MARKET", units_of("95"), 0, 0)
    desk.venue.print_trade("BTCUSDT", units_of("90"), E8, buyer_is_maker=True)
    assert order.status == "NEW"  # a print 10 % from the mark price
    desk.at("94.5")
    assert order.status == "FINISHED"


# --- orders ------------------------------------------------------------------------------------------------
def test_a_market_order_takes_no_price_beyond_its_bound() -> None:
    desk = Desk()
    tick = units_of("0.1")
    offers = [(units_of("100.1"), 2 * E8), (units_of("104.9"), 3 * E8), (units_of("105.2"), 50 * E8)]
    desk.venue.set_depth("BTCUSDT", [(100 * E8 - tick, 9 * E8)], offers)
    order = desk.order(True, "10")
    assert (order.executed, order.status, order.expiry) == (5 * E8, "EXPIRED", 9)
    desk.venue.set_depth("BTCUSDT", [(100 * E8 - tick, 9 * E8)], [(units_of("105.2"), 50 * E8)])
    desk.venue.prices.contracts["BTCUSDT"].mark = 100 * E8
    with pytest.raises(ApiError) as refused:
        desk.venue.place(desk.account(), NewUmOrder("BTCUSDT", True, "MARKET", "far", qty=200 * E8))
    assert refused.value.code in (-4131, -2019)


@pytest.mark.parametrize(("match", "buy", "level"), [
    ("OPPONENT", True, ("asks", 0)), ("OPPONENT_5", True, ("asks", 4)), ("QUEUE", True, ("bids", 0)),
    ("QUEUE_10", False, ("asks", 9)),
])  # fmt: skip
async def test_price_match_takes_the_nth_level(
    venue: Any, match: str, buy: bool, level: tuple[str, int]
) -> None:
    opened, rest = venue
    book = opened.venue.markets["BTCUSDT"].book
    wanted = getattr(book, level[0]).depth(20)[level[1]][0]
    order = {**LIMIT, "side": "BUY" if buy else "SELL", "timeInForce": "GTC"}
    placed = (await rest.signed("POST", "order", **order, priceMatch=match))[1]
    assert (placed["price"], placed["priceMatch"]) == (opened.venue.symbols["BTCUSDT"].price(wanted), match)


def test_good_till_date_orders_and_conditions_expire_by_wall_time() -> None:
    desk = Desk()
    till = int(time.time() + 700) // 1 * 1000
    order = desk.order(True, "1", "99", tif="GTD", good_till_ms=till)
    request = NewUmOrder("BTCUSDT", False, "MARKET", "later", qty=E8, tif="GTD", good_till_ms=till)
    waiting = algo.place(desk.venue, desk.account(), request, "STOP_MARKET", units_of("90"), 0, 0)
    desk.venue.expire_due(till - 1)
    assert (order.status, waiting.status) == ("NEW", "NEW")
    desk.venue.expire_due(till)
    assert (order.status, waiting.status) == ("EXPIRED", "EXPIRED")
    assert not desk.account().open_orders


async def test_the_countdown_cancels_unless_it_is_renewed_or_stopped(venue: Any) -> None:
    opened, rest = venue

    async def countdown(milliseconds: int) -> Any:
        return (
            await rest.signed("POST", "countdownCancelAll", symbol="BTCUSDT", countdownTime=milliseconds)
        )[1]

    await rest.signed("POST", "order", **LIMIT, price="59000")
    assert await countdown(150) == {"symbol": "BTCUSDT", "countdownTime": "150"}
    await asyncio.sleep(0.1)
    await countdown(400)
    await asyncio.sleep(0.15)
    assert opened.venue.accounts["desk"].open_orders
    await countdown(0)
    await asyncio.sleep(0.35)
    assert opened.venue.accounts["desk"].open_orders
    await countdown(50)
    await asyncio.sleep(0.1)
    assert not opened.venue.accounts["desk"].open_orders


async def test_batches_place_modify_and_cancel_each_row_for_itself(venue: Any) -> None:
    _, rest = venue
    rows = [{**LIMIT, "price": "59000"}, {**LIMIT, "price": "0"}, {**LIMIT, "price": "58900"}]
    status, placed, headers = await rest.signed("POST", "batchOrders", batchOrders=quoted(rows))
    assert status == 200
    assert [row.get("status", row.get("code")) for row in placed] == ["NEW", -4001, "NEW"]
    assert (headers["X-MBX-ORDER-COUNT-10S"], headers["X-MBX-ORDER-COUNT-1M"]) == ("5", "1")
    changes = [
        {
            "symbol": "BTCUSDT",
            "orderId": placed[0]["orderId"],
            "side": "BUY",
            "quantity": "0.2",
            "price": "58000",
        },
        {"symbol": "BTCUSDT", "orderId": 999, "side": "BUY", "quantity": "0.2", "price": "58000"},
    ]
    moved = (await rest.signed("PUT", "batchOrders", batchOrders=quoted(changes)))[1]
    assert [row.get("price", row.get("code")) for row in moved] == ["58000.00", -2013]
    ids = json.dumps([placed[0]["orderId"], 999, placed[2]["orderId"]], separators=(",", ":"))
    gone = (await rest.signed("DELETE", "batchOrders", symbol="BTCUSDT", orderIdList=ids))[1]
    assert [row.get("status", row.get("code")) for row in gone] == ["CANCELED", -2011, "CANCELED"]


def quoted(rows: list[dict[str, Any]]) -> str:
    return quote(json.dumps(rows, separators=(",", ":")), safe="")


async def test_an_amended_order_loses_its_place_and_a_crossing_post_only_one_its_life(venue: Any) -> None:
    opened, rest = venue
    gtx = {**LIMIT, "timeInForce": "GTX", "price": "59000"}
    placed = (await rest.signed("POST", "order", **gtx))[1]
    taken = {
        "symbol": "BTCUSDT",
        "orderId": placed["orderId"],
        "side": "BUY",
        "quantity": "0.1",
        "price": "61000",
    }
    assert (await rest.signed("PUT", "order", **taken))[1]["status"] == "CANCELED"
    first = (await rest.signed("POST", "order", **LIMIT, price="59000"))[1]
    second = (await rest.signed("POST", "order", **LIMIT, price="59000"))[1]
    change = {"symbol": "BTCUSDT", "orderId": first["orderId"], "side": "BUY", "quantity": "0.1"}
    for price in ("58999.9", "59000"):
        assert (await rest.signed("PUT", "order", **change, price=price))[0] == 200
    level = opened.venue.markets["BTCUSDT"].book.bids.levels[59_000 * E8]
    assert list(level.orders) == [second["orderId"], first["orderId"]]


# --- fees and modes ----------------------------------------------------------------------------------------
def test_fees_in_bnb_are_a_tenth_off_and_fall_back_when_the_wallet_is_empty() -> None:
    desk = Desk()
    other = contract("BNBUSDT", "BNB")
    desk.venue.add_market(other, KlineHistory.empty("1m"))
    desk.venue.set_depth("BNBUSDT", [(units_of("499.9"), E8)], [(units_of("500.1"), E8)])
    account = desk.account()
    account.fee_burn = True
    desk.venue.deposit(account, "BNB", units_of("0.001"))
    desk.order(True, "10")  # 1,001 * 0.05 % = 0.5005; 10 % off: 0.45045 / 500 = 0.0009009 BNB
    assert account.wallets["BNB"] == units_of("0.0000991")
    assert account.wallets["USDT"] == 10_000 * E8
    assert [(t.asset, text_of(t.fee)) for t in account.trades] == [("BNB", "0.00090090")]
    update = [e["a"] for e in desk.events["desk"] if e["e"] == "ACCOUNT_UPDATE"][-1]
    assert {row["a"] for row in update["B"]} == {"USDT", "BNB"}
    desk.order(True, "10")
    assert account.trades[-1].asset == "USDT"
    assert desk.venue.imbalance("USDT") == desk.venue.imbalance("BNB") == 0


def test_multi_assets_mode_lets_every_wallet_back_every_position() -> None:
    desk = Desk()
    usdc = Instrument(**{**_fields(contract("BTCUSDC", "BTC")), "quote": "USDC"})
    desk.venue.add_market(usdc, KlineHistory.empty("1m"))
    desk.venue.set_depth("BTCUSDC", [(units_of("99.9"), 900 * E8)], [(units_of("100.1"), 900 * E8)])
    account = desk.account()
    request = NewUmOrder("BTCUSDC", True, "MARKET", "usdc", qty=100 * E8)
    with pytest.raises(ApiError) as refused:
        desk.venue.place(account, request)
    assert refused.value.code == -2019
    account.multi_assets = True
    desk.venue.place(account, request)
    assert account.wallets["USDC"] == -units_of("5.005")  # the commission of a wallet that had nothing
    total = asset_margin(desk.venue, account, "USDC")
    assert total.wallet == 10_000 * E8 - units_of("5.005")
    desk.venue.deposit(account, "BTC", E8)
    assert asset_margin(desk.venue, account, "USDC").wallet - total.wallet == 95 * E8  # 100 less 5 %
    desk.venue.set_depth("BTCUSDC", [(units_of("1"), 900 * E8)], [(units_of("1.2"), 900 * E8)])
    assert asset_margin(desk.venue, account, "USDC").unrealised < -9_000 * E8
    assert desk.venue.imbalance("USDC") == 0


def _fields(instrument: Instrument) -> dict[str, Any]:
    return {name: getattr(instrument, name) for name in Instrument.__dataclass_fields__}


# --- statistics and limits ---------------------------------------------------------------------------------
def test_open_interest_and_ratios_come_from_the_accounts() -> None:
    desk = Desk(100, "a", "b", "c")
    statistics = MarketStatistics(desk.venue)
    desk.order(True, "30", name="a")
    desk.order(True, "10", name="b")
    desk.order(False, "10", name="c")
    sample = statistics.positioning("BTCUSDT", START_MS)
    assert (sample.interest, sample.value) == (40 * E8, 40 * desk.venue.mark("BTCUSDT"))
    assert (sample.accounts, sample.top_accounts) == ((2, 1), (0, 1))
    statistics.clock_moved(START_MS + 301_000)
    statistics.clock_moved(START_MS + 599_000)
    assert [s.time_ms for s in statistics._samples["BTCUSDT"]] == [START_MS + 300_000]


async def test_the_funding_endpoints_have_a_limit_of_their_own(venue: Any) -> None:
    opened, rest = venue
    for _ in range(500):
        opened.application.gateway.address("127.0.0.1").charge_pool(
            opened.application.gateway.operations["fundingRate"].pool, time.time()
        )
    status, body, headers = await rest.public("fundingInfo")
    assert (status, body["code"]) == (429, -1003)
    assert int(headers["Retry-After"]) > 0
    assert (await rest.public("premiumIndex"))[0] == 200
