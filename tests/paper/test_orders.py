"""How orders live: matching, time in force, triggers, icebergs, lists, replacement, self-trade prevention."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from qtm.paper.klines import KlineHistory
from qtm.paper.limits import without_limits
from qtm.paper.spot.venue import RATE_LIMITS, SpotVenue
from qtm.paper.venue import Venue
from qtm.paper.wire import E8, units_of
from qtm.trading.costs import SPOT_COSTS
from tests.paper.clients import Rest
from tests.paper.worlds import exchange, instrument


class StillMarket:
    """A market that stands still until the test moves it."""

    done = False

    def __init__(self) -> None:
        self.venue: Any = None

    def instruments(self) -> Any:
        return {"BTCUSDT": instrument()}

    def open(self, venue: Venue) -> None:
        self.venue = venue
        venue.move_clock(1_717_200_000_000)
        venue.add_market(instrument(), KlineHistory.empty("1m"))
        venue.add_market(instrument("BNBUSDT", "BNB", "USDT"), KlineHistory.empty("1m"))
        venue.markets["BNBUSDT"].last_price = units_of("500")
        self.stand(100, 101)
        venue.markets["BTCUSDT"].last_price = units_of("100.5")

    def stand(self, bid: float, ask: float, size: str = "5") -> None:
        """One level of `size` each side."""
        self.venue.set_depth("BTCUSDT", [(units_of(bid), units_of(size))], [(units_of(ask), units_of(size))])

    def trade(self, price: float, qty: str = "1", *, buyer_is_maker: bool = True) -> None:
        self.venue.print_trade("BTCUSDT", units_of(price), units_of(qty), buyer_is_maker=buyer_is_maker)

    def begin(self) -> None:
        pass

    async def run(self, venue: Venue) -> None:
        pass

    def advance(self, venue: Venue, steps: int) -> int:
        return 0

    def status(self) -> dict[str, object]:
        return {"market": "still", "done": False}


@pytest.fixture
async def world() -> Any:
    market = StillMarket()
    funds = {"USDT": "10000", "BTC": "10", "BNB": "1"}
    async with (
        exchange(market, funds, rate_limits=without_limits(RATE_LIMITS)) as ex,
        Rest(ex.url) as rest,
    ):
        events: list[dict[str, Any]] = []
        ex.venue.accounts["desk"].listeners.append(events.append)
        yield market, rest, ex.venue, events


def limit(side: str, price: str, quantity: str = "1", **extra: Any) -> dict[str, Any]:
    return {
        "side": side,
        "type": "LIMIT",
        "timeInForce": "GTC",
        "price": price,
        "quantity": quantity,
        **extra,
    }


def money(venue: SpotVenue, asset: str) -> tuple[Decimal, Decimal]:
    balance = venue.accounts["desk"].balance(asset)
    return Decimal(balance.free) / E8, Decimal(balance.locked) / E8


async def status_of(rest: Rest, order_id: int) -> dict[str, Any]:
    _, body, _ = await rest.signed("GET", "order", symbol="BTCUSDT", orderId=order_id)
    return body


async def test_a_limit_order_locks_rests_and_fills_when_its_queue_has_gone(world: Any) -> None:
    market, rest, venue, _ = world
    _, order = await rest.order(**limit("BUY", "100", "2"))
    assert (order["status"], order["executedQty"], order["fills"]) == ("NEW", "0.00000000", [])
    assert money(venue, "USDT") == (Decimal(9800), Decimal(200))
    market.trade(100, "4")  # five stood ahead at this price
    assert (await status_of(rest, order["orderId"]))["status"] == "NEW"
    market.trade(100, "2")
    filled = await status_of(rest, order["orderId"])
    assert (filled["status"], filled["executedQty"]) == ("PARTIALLY_FILLED", "1.00000000")
    market.trade(99.5, "3")
    assert (await status_of(rest, order["orderId"]))["status"] == "FILLED"
    assert money(venue, "USDT") == (Decimal(9800), Decimal(0))
    assert money(venue, "BTC") == (Decimal("11.998"), Decimal(0))


async def test_a_taker_pays_the_book_and_gets_back_what_a_better_price_saves(world: Any) -> None:
    _, rest, venue, _ = world
    _, order = await rest.order(**limit("BUY", "105", "2"))
    assert (order["status"], order["cummulativeQuoteQty"]) == ("FILLED", "202.00000000")
    assert order["fills"][0]["commission"] == "0.00200000"
    assert money(venue, "USDT") == (Decimal(9798), Decimal(0))


async def test_immediate_or_cancel_keeps_what_it_got_and_fill_or_kill_takes_all_or_nothing(
    world: Any,
) -> None:
    _, rest, venue, _ = world
    _, order = await rest.order(**limit("SELL", "100", "7", timeInForce="IOC"))
    assert (order["status"], order["executedQty"]) == ("EXPIRED", "5.00000000")
    assert order["expiryReason"] == "UNFILLED_IOC_QUANTITY_EXPIRED"
    _, order = await rest.order(**limit("BUY", "101", "6", timeInForce="FOK"))
    assert (order["status"], order["executedQty"]) == ("EXPIRED", "0.00000000")
    _, order = await rest.order(**limit("BUY", "101", "5", timeInForce="FOK"))
    assert order["status"] == "FILLED"
    assert money(venue, "USDT")[1] == money(venue, "BTC")[1] == 0


async def test_market_orders_by_quote_amount_never_overspend(world: Any) -> None:
    market, rest, venue, _ = world
    market.stand(99.99, 100.03)
    _, order = await rest.order(side="BUY", type="MARKET", quoteOrderQty="50")
    assert order["status"] == "FILLED"
    assert order["origQuoteOrderQty"] == "50.00000000"
    assert Decimal("49.99") < Decimal(order["cummulativeQuoteQty"]) <= 50
    _, order = await rest.order(side="SELL", type="MARKET", quoteOrderQty="50")
    assert Decimal("49.99") < Decimal(order["cummulativeQuoteQty"]) <= 50
    _, order = await rest.order(side="BUY", type="MARKET", quantity="9")
    assert (order["status"], order["expiryReason"]) == ("EXPIRED", "INSUFFICIENT_LIQUIDITY")
    assert money(venue, "USDT")[1] == 0


async def test_stop_orders_wait_off_the_book_and_fire_at_their_price(world: Any) -> None:
    market, rest, _, events = world
    _, stop = await rest.order(side="SELL", type="STOP_LOSS", quantity="1", stopPrice="98")
    assert set(stop) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    _, take = await rest.order(
        side="SELL", type="TAKE_PROFIT_LIMIT", quantity="1", stopPrice="110", price="109", timeInForce="GTC"
    )
    market.trade(98.01)
    assert not (await status_of(rest, stop["orderId"]))["isWorking"]
    market.stand(97, 98)
    market.trade(98)
    fired = await status_of(rest, stop["orderId"])
    assert (fired["status"], fired["cummulativeQuoteQty"]) == ("FILLED", "97.00000000")
    market.stand(110, 111)
    market.trade(110)
    assert (await status_of(rest, take["orderId"]))["status"] == "FILLED"
    assert [e["x"] for e in events if e["e"] == "executionReport" and e["i"] == stop["orderId"]] == [
        "NEW", "NEW", "TRADE",
    ]  # fmt: skip


async def test_a_trailing_stop_follows_the_high_and_fires_on_the_way_back(world: Any) -> None:
    market, rest, _, _ = world
    _, order = await rest.order(side="SELL", type="STOP_LOSS", quantity="1", trailingDelta="100")
    for price in (101, 105, 110, 109):
        market.trade(price)
    assert (await status_of(rest, order["orderId"]))["status"] == "NEW"
    market.trade(108.9)
    assert (await status_of(rest, order["orderId"]))["status"] == "FILLED"


async def test_an_iceberg_shows_its_slice_and_goes_to_the_back_for_the_next(world: Any) -> None:
    market, rest, _venue, _ = world
    _, order = await rest.order(**limit("BUY", "100.50", "3", icebergQty="1"))
    depth = (await rest.public("depth", symbol="BTCUSDT"))[1]
    assert depth["bids"][0] == ["100.50000000", "1.00000000"]
    _, behind = await rest.order(**limit("BUY", "100.50", "1"))
    market.trade(100.5, "2")
    assert (await status_of(rest, order["orderId"]))["executedQty"] == "1.00000000"
    assert (await status_of(rest, behind["orderId"]))["status"] == "FILLED"


async def test_depth_that_crosses_a_resting_order_fills_it_at_its_own_price(world: Any) -> None:
    market, rest, _venue, _ = world
    _, order = await rest.order(**limit("BUY", "100.20", "2"))
    market.stand(95, 96)
    filled = await status_of(rest, order["orderId"])
    assert (filled["status"], filled["cummulativeQuoteQty"]) == ("FILLED", "200.40000000")
    trade = (await rest.signed("GET", "myTrades", symbol="BTCUSDT"))[1][-1]
    assert trade["isMaker"] is True


@pytest.mark.parametrize(
    ("mode", "taker", "maker"),
    [
        ("EXPIRE_TAKER", "EXPIRED_IN_MATCH", "NEW"),
        ("EXPIRE_MAKER", "NEW", "EXPIRED_IN_MATCH"),
        ("EXPIRE_BOTH", "EXPIRED_IN_MATCH", "EXPIRED_IN_MATCH"),
        ("DECREMENT", "NEW", "EXPIRED_IN_MATCH"),
        ("NONE", "PARTIALLY_FILLED", "FILLED"),
    ],
)
async def test_self_trade_prevention(world: Any, mode: str, taker: str, maker: str) -> None:
    _, rest, _venue, events = world
    _, resting = await rest.order(**limit("SELL", "100.40", "1"))
    _, order = await rest.order(**limit("BUY", "100.40", "2", selfTradePreventionMode=mode))
    assert order["status"] == taker
    assert (await status_of(rest, resting["orderId"]))["status"] == maker
    if mode == "DECREMENT":
        assert order["preventedQuantity"] == "1.00000000"
    matches = (await rest.signed("GET", "myPreventedMatches", symbol="BTCUSDT", orderId=order["orderId"]))[1]
    assert [m["selfTradePreventionMode"] for m in matches] == ([] if mode == "NONE" else [mode])
    kinds = {e["x"] for e in events if e["e"] == "executionReport"}
    assert ("TRADE_PREVENTION" in kinds) == (mode != "NONE")


async def test_an_oco_locks_once_and_one_leg_ends_the_other(world: Any) -> None:
    market, rest, venue, events = world
    legs = {
        "side": "SELL", "quantity": "2", "aboveType": "LIMIT_MAKER", "abovePrice": "105",
        "belowType": "STOP_LOSS_LIMIT", "belowStopPrice": "95", "belowPrice": "94", "belowTimeInForce": "GTC",
    }  # fmt: skip
    status, answer, _ = await rest.signed("POST", "orderList/oco", symbol="BTCUSDT", **legs)
    assert status == 200
    assert (answer["contingencyType"], answer["listOrderStatus"]) == ("OCO", "EXECUTING")
    assert money(venue, "BTC") == (Decimal(8), Decimal(2))
    above, below = (report["orderId"] for report in answer["orderReports"])
    market.trade(106, "1", buyer_is_maker=False)
    assert (await status_of(rest, above))["status"] == "PARTIALLY_FILLED"
    ended = await status_of(rest, below)
    assert (ended["status"], ended["expiryReason"]) == ("EXPIRED", "OCO_TRIGGER")
    market.trade(106, "1", buyer_is_maker=False)
    done = (await rest.signed("GET", "orderList", orderListId=answer["orderListId"]))[1]
    assert done["listStatusType"] == "ALL_DONE"
    assert [e["l"] for e in events if e["e"] == "listStatus"] == ["EXEC_STARTED", "ALL_DONE"]
    assert money(venue, "BTC") == (Decimal(8), Decimal(0))


async def test_impossible_order_lists_are_named(world: Any) -> None:
    _, rest, _, _ = world

    async def refused(path: str, **params: Any) -> int:
        body = (await rest.signed("POST", path, symbol="BTCUSDT", **params))[1]
        return int(body["code"])

    oco = {"quantity": "1", "abovePrice": "105", "belowPrice": "95"}
    both = {"aboveType": "LIMIT_MAKER", "belowType": "LIMIT_MAKER"}
    assert await refused("orderList/oco", side="SELL", **oco, **both) == -1168
    swapped = {"aboveType": "STOP_LOSS", "belowType": "LIMIT_MAKER"}
    assert await refused("orderList/oco", side="SELL", **oco, **swapped) == -1166
    swapped = {"aboveType": "LIMIT_MAKER", "belowType": "STOP_LOSS"}
    assert await refused("orderList/oco", side="BUY", **oco, **swapped) == -1165
    wrong = {"aboveType": "STOP_LOSS", "belowType": "TAKE_PROFIT"}
    assert await refused("orderList/oco", side="SELL", quantity="1", **wrong) == -1197
    crossed = {
        "aboveType": "LIMIT_MAKER",
        "abovePrice": "102",
        "belowType": "STOP_LOSS",
        "belowStopPrice": "100",
    }
    assert await refused("orderList/oco", side="SELL", quantity="1000", **crossed) == -2010
    assert await refused("orderList/oto", workingType="MARKET") == -1014


async def test_an_oto_places_its_second_order_when_the_first_is_filled(world: Any) -> None:
    market, rest, venue, _ = world
    oto = {
        "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "99", "workingQuantity": "1",
        "workingTimeInForce": "GTC", "pendingType": "LIMIT", "pendingSide": "SELL", "pendingPrice": "120",
        "pendingQuantity": "1", "pendingTimeInForce": "GTC",
    }  # fmt: skip
    answer = (await rest.signed("POST", "orderList/oto", symbol="BTCUSDT", **oto))[1]
    working, pending = (report["orderId"] for report in answer["orderReports"])
    assert (await status_of(rest, pending))["status"] == "PENDING_NEW"
    assert money(venue, "BTC") == (Decimal(10), Decimal(0))
    market.trade(98, "1")
    assert (await status_of(rest, working))["status"] == "FILLED"
    assert (await status_of(rest, pending))["status"] == "NEW"
    assert money(venue, "BTC")[1] == 1


async def test_cancelling_the_working_order_of_an_otoco_ends_everything(world: Any) -> None:
    _, rest, venue, _ = world
    otoco = {
        "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "99", "workingQuantity": "1",
        "workingTimeInForce": "GTC", "pendingSide": "SELL", "pendingQuantity": "1",
        "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": "120",
        "pendingBelowType": "STOP_LOSS", "pendingBelowStopPrice": "90",
    }  # fmt: skip
    answer = (await rest.signed("POST", "orderList/otoco", symbol="BTCUSDT", **otoco))[1]
    assert len(answer["orderReports"]) == 3
    assert len((await rest.signed("GET", "openOrderList"))[1]) == 1
    cancelled = await rest.signed(
        "DELETE", "order", symbol="BTCUSDT", orderId=answer["orderReports"][0]["orderId"]
    )
    assert cancelled[0] == 200
    assert not venue.accounts["desk"].open_orders
    assert money(venue, "USDT")[1] == 0


async def test_cancel_replace_says_which_half_failed(world: Any) -> None:
    _, rest, _venue, _ = world
    _, first = await rest.order(**limit("BUY", "90"))
    new = {**limit("BUY", "91"), "symbol": "BTCUSDT"}
    status, body, _ = await rest.signed(
        "POST",
        "order/cancelReplace",
        **new,
        cancelReplaceMode="STOP_ON_FAILURE",
        cancelOrderId=first["orderId"],
    )
    assert (status, body["cancelResult"], body["newOrderResult"]) == (200, "SUCCESS", "SUCCESS")
    status, body, _ = await rest.signed(
        "POST", "order/cancelReplace", **new, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=999
    )
    assert (status, body["code"], body["data"]["newOrderResult"]) == (400, -2022, "NOT_ATTEMPTED")
    status, body, _ = await rest.signed(
        "POST", "order/cancelReplace", **new, cancelReplaceMode="ALLOW_FAILURE", cancelOrderId=999
    )
    assert (status, body["code"], body["data"]["newOrderResult"]) == (409, -2021, "SUCCESS")
    rich = {**new, "quantity": "1000", "cancelReplaceMode": "STOP_ON_FAILURE"}
    target = body["data"]["newOrderResponse"]["orderId"]
    status, body, _ = await rest.signed("POST", "order/cancelReplace", **rich, cancelOrderId=target)
    assert (status, body["code"], body["data"]["cancelResult"]) == (409, -2021, "SUCCESS")
    assert body["data"]["newOrderResponse"]["code"] == -2010


async def test_an_amendment_keeps_the_place_in_the_queue(world: Any) -> None:
    market, rest, venue, events = world
    _, order = await rest.order(**limit("BUY", "100.50", "3"))
    _, behind = await rest.order(**limit("BUY", "100.50", "1"))
    ask = {"symbol": "BTCUSDT", "orderId": order["orderId"]}
    status, body, _ = await rest.signed("PUT", "order/amend/keepPriority", **ask, newQty="2")
    assert (status, body["amendedOrder"]["qty"]) == (200, "2.00000000")
    assert money(venue, "USDT")[1] == Decimal("301.5")
    for qty, code in (("3", -2038), ("2", -2038), ("0.0000001", -1013)):
        assert (await rest.signed("PUT", "order/amend/keepPriority", **ask, newQty=qty))[1]["code"] == code
    market.trade(100.5, "2")
    assert (await status_of(rest, order["orderId"]))["status"] == "FILLED"
    assert (await status_of(rest, behind["orderId"]))["status"] == "NEW"
    assert len((await rest.signed("GET", "order/amendments", **ask))[1]) == 1
    assert [e["x"] for e in events if e["e"] == "executionReport"][:3] == ["NEW", "NEW", "REPLACED"]


async def test_commission_may_be_paid_in_bnb_at_a_discount(world: Any) -> None:
    _, rest, venue, _ = world
    venue.accounts["desk"].fees.bnb_discount = True
    _, order = await rest.order(side="BUY", type="MARKET", quantity="1")
    fill = order["fills"][0]
    assert (fill["commissionAsset"], fill["commission"]) == ("BNB", "0.00015150")
    assert money(venue, "BTC")[0] == 11
    rates = (await rest.signed("GET", "account/commission", symbol="BTCUSDT"))[1]
    assert rates["discount"]["enabledForAccount"] is True
    assert rates["standardCommission"]["taker"] == "0.00100000"


def test_the_cost_model_sets_the_fees_of_new_accounts() -> None:
    venue = SpotVenue(SPOT_COSTS._replace(maker_rate=0.00075, taker_rate=0.0009))
    fees = venue.open_account("x").fees
    assert (fees.maker, fees.taker) == (75_000, 90_000)


async def test_an_amended_leg_leaves_the_lock_that_the_other_leg_needs() -> None:
    async with exchange() as ex, Rest(ex.url) as rest:
        legs = {
            "side": "SELL", "quantity": "0.1", "aboveType": "LIMIT_MAKER", "abovePrice": "65000",
            "belowType": "STOP_LOSS", "belowStopPrice": "55000",
        }  # fmt: skip
        placed = (await rest.signed("POST", "orderList/oco", symbol="BTCUSDT", **legs))[1]["orders"]
        balance = ex.venue.accounts["desk"].balance("BTC")
        for number, locked in ((0, 10_000_000), (1, 4_000_000)):
            answer = await rest.signed("PUT", "order/amend/keepPriority", symbol="BTCUSDT", newQty="0.04",
                                       orderId=placed[number]["orderId"])  # fmt: skip
            assert answer[0] == 200
            assert balance.locked == locked
