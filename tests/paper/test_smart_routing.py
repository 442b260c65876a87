"""Smart order routing: the best prices of several books, handed over in the order's own quote asset."""

from __future__ import annotations

from typing import Any

from qtm.paper.server import PaperExchange
from qtm.paper.wire import E8
from tests.paper.clients import Rest
from tests.paper.worlds import exchange, replay

PAIRS = (("BTCUSDT", "BTC", "USDT"), ("BTCUSDC", "BTC", "USDC"), ("BTCTUSD", "BTC", "TUSD"))


def asks(venue: PaperExchange, books: dict[str, list[tuple[int, int]]]) -> None:
    for symbol, levels in books.items():
        venue.venue.set_depth(symbol, [], [(price * E8, qty * E8) for price, qty in levels])


async def buy(rest: Rest, **params: Any) -> dict[str, Any]:
    status, body, _ = await rest.signed(
        "POST", "sor/order", symbol="BTCUSDT", side="BUY", newOrderRespType="FULL", **params
    )
    assert status == 200, body
    return body


LIMIT = {"type": "LIMIT", "timeInForce": "GTC"}


async def test_the_best_books_are_taken_first_and_paid_in_the_order_s_own_quote() -> None:
    async with exchange(replay(*PAIRS), {"USDT": "1000000"}) as ex, Rest(ex.url) as rest:
        asks(
            ex,
            {
                "BTCUSDT": [(60_500, 3), (60_800, 3)],
                "BTCUSDC": [(59_000, 1), (60_000, 1)],
                "BTCTUSD": [(59_500, 1), (61_500, 1)],
            },
        )
        answer = await buy(rest, quantity=5, price=61_000, **LIMIT)
        assert [(fill["price"][:5], fill["qty"][0], fill["allocId"]) for fill in answer["fills"]] == [
            ("59000", "1", 0),
            ("59500", "1", 1),
            ("60000", "1", 2),
            ("60500", "2", 3),
        ]
        assert {(fill["matchType"], fill["tradeId"]) for fill in answer["fills"]} == {
            ("ONE_PARTY_TRADE_REPORT", -1)
        }
        assert (answer["status"], answer["workingFloor"], answer["usedSor"]) == ("FILLED", "SOR", True)
        assert answer["cummulativeQuoteQty"] == "299500.00000000"
        account = ex.venue.accounts["desk"]
        assert account.balance("USDT").free + account.balance("USDT").locked == (1_000_000 - 299_500) * E8
        assert account.balance("USDC").free == account.balance("USDC").locked == 0
        _, listed, _ = await rest.signed("GET", "myAllocations", symbol="BTCUSDT")
        assert [row["allocationId"] for row in listed] == [0, 1, 2, 3]
        assert listed[0]["isBuyer"] and listed[0]["allocationType"] == "SOR"
        _, later, _ = await rest.signed("GET", "myAllocations", symbol="BTCUSDT", fromAllocationId=2, limit=1)
        assert [row["allocationId"] for row in later] == [2]
        _, trades, _ = await rest.signed("GET", "myTrades", symbol="BTCUSDT")
        assert trades == []
        assert ex.venue.markets["BTCUSDC"].last_price == 60_000 * E8


async def test_what_the_books_do_not_give_rests_at_home_or_expires() -> None:
    async with exchange(replay(*PAIRS[:2]), {"USDT": "1000000"}) as ex, Rest(ex.url) as rest:
        asks(ex, {"BTCUSDT": [(60_500, 1)], "BTCUSDC": [(60_000, 1)]})
        resting = await buy(rest, quantity=3, price=60_200, **LIMIT)
        assert (resting["status"], resting["workingFloor"]) == ("PARTIALLY_FILLED", "EXCHANGE")
        assert ex.venue.markets["BTCUSDT"].book.bids.best()[0] == 60_200 * E8  # type: ignore[index]
        ex.venue.print_trade("BTCUSDT", 60_100 * E8, 2 * E8, buyer_is_maker=True)
        _, trades, _ = await rest.signed("GET", "myTrades", symbol="BTCUSDT")
        assert [(row["qty"], row["isMaker"]) for row in trades] == [("2.00000000", True)]
        killed = await buy(rest, quantity=2, price=61_000, type="LIMIT", timeInForce="FOK")
        assert (killed["status"], killed["executedQty"]) == ("EXPIRED", "0.00000000")
        swept = await buy(rest, quantity=2, type="MARKET")
        assert (swept["status"], swept["executedQty"]) == ("EXPIRED", "1.00000000")


async def test_a_paper_order_in_another_book_is_filled_by_a_trade_of_its_own_book() -> None:
    async with exchange(replay(*PAIRS[:2]), {"USDT": "100000", "BTC": "1"}) as ex, Rest(ex.url) as rest:
        asks(ex, {"BTCUSDT": [(60_500, 1)], "BTCUSDC": []})
        _, maker, _ = await rest.signed(
            "POST", "order", symbol="BTCUSDC", side="SELL", price=60_000, quantity=1,
            selfTradePreventionMode="NONE", **LIMIT,
        )  # fmt: skip
        answer = await buy(rest, quantity=1, price=60_100, selfTradePreventionMode="NONE", **LIMIT)
        assert answer["fills"][0]["price"] == "60000.00000000"
        _, sold, _ = await rest.signed("GET", "order", symbol="BTCUSDC", orderId=maker["orderId"])
        assert sold["status"] == "FILLED"
        _, trades, _ = await rest.signed("GET", "myTrades", symbol="BTCUSDC")
        assert [(row["price"], row["commissionAsset"]) for row in trades] == [("60000.00000000", "USDC")]


async def test_routing_is_listed_where_there_are_equal_quotes_and_refused_elsewhere() -> None:
    async with exchange(replay(*PAIRS[:2], ("ETHUSDT", "ETH", "USDT"))) as ex, Rest(ex.url) as rest:
        _, info, _ = await rest.public("exchangeInfo")
        assert info["sors"] == [{"baseAsset": "BTC", "symbols": ["BTCUSDT", "BTCUSDC"]}]
        status, refused, _ = await rest.signed(
            "POST", "sor/order", symbol="ETHUSDT", side="BUY", type="MARKET", quantity=1
        )
        assert (status, refused["code"]) == (400, -1013)
        status, tested, _ = await rest.signed(
            "POST", "sor/order/test", symbol="BTCUSDT", side="BUY", type="MARKET", quantity=1
        )
        assert (status, tested) == (200, {})
        status, refused, _ = await rest.signed(
            "POST", "sor/order/test", symbol="BTCUSDT", side="BUY", type="STOP_LOSS", quantity=1
        )
        assert (status, refused["code"]) == (400, -1116)
