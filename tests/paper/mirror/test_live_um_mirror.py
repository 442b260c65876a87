"""The live mirror of the futures market: another paper exchange on loopback stands where Binance stands."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from qtm.errors import ConfigError, DataError, VenueError
from qtm.market.instruments import Market, instrument_from_exchange_info
from qtm.paper.faults import FaultRule
from qtm.paper.mirror.feed import LiveMirror
from qtm.paper.mirror.markets import UM
from qtm.paper.mirror.upstream import Upstream
from qtm.paper.mirror.venue_sides import UmSide
from qtm.paper.um.funding import FundingEvent
from qtm.paper.um.server import AccountSpec, UmPaperExchange
from qtm.paper.um.symbols import UmSymbol
from qtm.paper.wire import E8, text_of
from tests.paper.mirror.worlds import Worlds, units, until
from tests.paper.um.um_worlds import exchange
from tests.paper.worlds import KEY, SECRET, START_MS
from tests.paper.worlds import exchange as spot_exchange

BIDS = [(60_000, 2), (59_990, 5), (50_000, 500)]
ASKS = [(60_010, 1), (60_020, 40)]
RATE = 50_000
SETTLES_MS = START_MS + 8 * 60_000


class Futures(Worlds):
    """A futures market with funding, and its mirror."""

    def __init__(self, **mirror_options: Any) -> None:
        def mirrored(feed: LiveMirror) -> UmPaperExchange:
            account = AccountSpec("desk", KEY, SECRET, {"USDT": "100000"})
            return UmPaperExchange(feed, accounts=[account], begin="now")

        funding = [FundingEvent("BTCUSDT", at, 8, RATE) for at in (START_MS, SETTLES_MS)]
        upstream = exchange(funding={"BTCUSDT": funding})
        super().__init__(Market.UM, upstream, mirrored, (BIDS, ASKS), **mirror_options)

    async def order(self, side: str, qty: float, price: float | None = None) -> dict[str, Any]:
        kind = {"type": "MARKET"} if price is None else {"type": "LIMIT", "timeInForce": "GTC"}
        more = {} if price is None else {"price": str(price)}
        status, body, _ = await self.rest.signed(
            "POST", "order", symbol="BTCUSDT", side=side, quantity=str(qty), newOrderRespType="RESULT",
            **kind, **more,
        )  # fmt: skip
        assert status == 200, body
        return body  # type: ignore[no-any-return]


async def test_listing_candles_book_trades_and_settlements_are_the_mirrored_venues() -> None:
    async with Futures() as worlds, worlds.client_of(worlds.upstream) as theirs:
        for path in ("exchangeInfo", "klines", "depth", "fundingRate"):
            params: dict[str, Any] = {"symbol": "BTCUSDT", "interval": "1m"} if path == "klines" else {}
            params |= {} if path == "exchangeInfo" else {"symbol": "BTCUSDT"}
            _, mine, _ = await worlds.rest.public(path, **params)
            _, original, _ = await theirs.public(path, **params)
            if path == "exchangeInfo":
                mine, original = mine["symbols"], original["symbols"]
            if path == "depth":
                mine, original = ([answer["bids"], answer["asks"]] for answer in (mine, original))
            assert mine, path
            assert mine == original, path
        worlds.upstream.venue.print_trade("BTCUSDT", 60_005 * E8, E8 // 4, buyer_is_maker=False)
        await until(lambda: bool(worlds.market.tape))
        _, mine, _ = await worlds.rest.public("trades", symbol="BTCUSDT")
        _, original, _ = await theirs.public("trades", symbol="BTCUSDT")
        assert {**mine[-1], "time": 0} == {**original[-1], "time": 0}


async def test_filters_that_change_there_change_here() -> None:
    async with Futures(listing_every_s=0.05) as worlds:
        worlds.upstream.venue.change_filters(
            "BTCUSDT", [{"filterType": "PERCENT_PRICE", "multiplierUp": "1.1000"}]
        )
        await until(lambda: worlds.mirror.venue.symbols["BTCUSDT"].percent == E8 // 10)


def test_a_mirrored_listing_brings_its_grid_its_bounds_and_its_dates() -> None:
    listing = {
        "symbol": "DOGEUSDT", "pair": "DOGEUSDT", "baseAsset": "DOGE", "quoteAsset": "USDT",
        "pricePrecision": 6, "quantityPrecision": 0, "onboardDate": 1_594_280_000_000,
        "liquidationFee": "0.015000", "requiredMarginPercent": "4.0000",
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "0.002440", "maxPrice": "30", "tickSize": "0.000010"},
            {"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "50000000", "stepSize": "1"},
            {"filterType": "MARKET_LOT_SIZE", "minQty": "1", "maxQty": "30000000", "stepSize": "1"},
            {"filterType": "MAX_NUM_ORDERS", "limit": 150},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 10},
            {"filterType": "PERCENT_PRICE", "multiplierDown": "0.9000", "multiplierUp": "1.1000",
             "multiplierDecimal": "4"},
        ],
    }  # fmt: skip
    instrument = instrument_from_exchange_info(Market.UM, listing)
    contract = UmSymbol.of(instrument).relisted(listing)
    shown = contract.public("TRADING")
    rules = {rule["filterType"]: rule for rule in shown["filters"]}
    for kind in ("PRICE_FILTER", "LOT_SIZE", "MARKET_LOT_SIZE", "MAX_NUM_ORDERS", "PERCENT_PRICE"):
        assert rules[kind] in listing["filters"]
    for name in ("pricePrecision", "quantityPrecision", "onboardDate", "liquidationFee"):
        assert shown[name] == listing[name]
    assert (shown["triggerProtect"], shown["marketTakeBound"]) == ("0.1000", "0.10")
    assert (contract.price(12_345_000), contract.qty(7 * E8)) == ("0.123450", "7")
    assert contract.liquidation_fee == 1_500_000


async def test_a_market_order_walks_the_book_and_does_not_move_it() -> None:
    async with Futures() as worlds:
        filled = await worlds.order("BUY", 1.5)
        assert (filled["executedQty"], float(filled["cumQuote"])) == ("1.500", 60_010 + 30_010)
        await worlds.change(bids=[(59_000, 1)])
        assert worlds.best() == ((60_000, 2), (60_010, 1))


async def test_a_resting_order_waits_behind_what_was_shown_and_fills_as_that_trades() -> None:
    async with Futures() as worlds:
        order = await worlds.order("BUY", 1, 60_000)
        trade = worlds.upstream.venue.print_trade
        trade("BTCUSDT", 60_000 * E8, round(1.5 * E8), buyer_is_maker=True)
        await worlds.change(bids=[(60_000, 0.5)])
        await until(lambda: len(worlds.market.tape) == 1)
        assert await worlds.executed(order) == 0
        trade("BTCUSDT", 60_000 * E8, round(0.8 * E8), buyer_is_maker=True)
        await until(lambda: len(worlds.market.tape) >= 2)
        assert await worlds.executed(order) == pytest.approx(0.3)
        trade("BTCUSDT", 59_999 * E8, 5 * E8, buyer_is_maker=True)
        await until(lambda: not worlds.mirror.venue.accounts["desk"].open_orders)
        assert await worlds.executed(order) == 1


async def test_what_retail_price_improvement_orders_traded_reaches_no_paper_order() -> None:
    async with Futures() as worlds:
        order = await worlds.order("BUY", 1, 60_000)
        event = {
            "e": "aggTrade", "E": worlds.mirror.venue.clock.now_ms(), "a": 900, "s": "BTCUSDT",
            "p": "60000.00", "q": "9.000", "nq": "2.250", "f": 901, "l": 907, "T": 0, "m": True,
        }  # fmt: skip
        told = orjson.dumps({"stream": "btcusdt@aggTrade", "data": event})
        worlds.feed._message(told)
        worlds.feed._message(told)
        assert await worlds.executed(order) == 0.25
        assert [trade.qty for trade in worlds.market.tape] == [E8 // 4, 9 * E8]


async def test_mark_price_index_and_funding_are_followed_and_settled() -> None:
    async with Futures() as worlds, worlds.client_of(worlds.upstream) as upstream:
        await worlds.order("BUY", 1)
        ours = worlds.mirror.venue
        await worlds.change(bids=[(60_004, 3)])
        theirs = worlds.upstream.venue
        await until(lambda: ours.mark("BTCUSDT") == theirs.mark("BTCUSDT"))
        _, mine, _ = await worlds.rest.public("premiumIndex", symbol="BTCUSDT")
        _, original, _ = await upstream.public("premiumIndex", symbol="BTCUSDT")
        assert {**mine, "time": 0} == {**original, "time": 0}
        assert (mine["lastFundingRate"], mine["nextFundingTime"]) == (text_of(RATE), SETTLES_MS)
        worlds.upstream.advance(4)
        await until(lambda: len(ours.funding.settled["BTCUSDT"]) == 2)
        settled = ours.funding.settled["BTCUSDT"][-1]
        _, paid, _ = await worlds.rest.signed("GET", "income", incomeType="FUNDING_FEE")
        assert [row["income"] for row in paid] == [text_of(-(settled.mark * RATE // E8))]
        _, mine, _ = await worlds.rest.public("fundingRate", symbol="BTCUSDT")
        assert [(row["fundingTime"], row["fundingRate"]) for row in mine] == [
            (START_MS, text_of(RATE)), (SETTLES_MS, text_of(RATE)),
        ]  # fmt: skip


async def test_the_mirrored_mark_price_liquidates() -> None:
    async with Futures() as worlds:
        await worlds.order("BUY", 30)
        account = worlds.mirror.venue.accounts["desk"]
        worlds.upstream.venue.set_depth("BTCUSDT", units([(55_000, 900)]), units([(55_010, 900)]))
        worlds.upstream.venue.print_trade("BTCUSDT", 55_000 * E8, E8, buyer_is_maker=True)
        await until(lambda: not account.held("BTCUSDT"))
        _, forced, _ = await worlds.rest.signed("GET", "forceOrders", symbol="BTCUSDT")
        assert forced[0]["clientOrderId"].startswith("autoclose-")
        assert worlds.mirror.venue.imbalance("USDT") == 0


async def test_a_mark_price_liquidates_nobody_while_the_book_is_in_doubt() -> None:
    async with Futures() as worlds:
        await worlds.order("BUY", 30)
        ours, account = worlds.mirror.venue, worlds.mirror.venue.accounts["desk"]
        worlds.upstream.faults.add(FaultRule("delay", "depth", seconds=2.5))
        worlds.feed._doubt("BTCUSDT")
        worlds.feed._symbols["BTCUSDT"].depth.forget()
        worlds.upstream.venue.set_depth("BTCUSDT", units([(55_000, 900)]), units([(55_010, 900)]))
        worlds.upstream.venue.print_trade("BTCUSDT", 55_000 * E8, E8, buyer_is_maker=True)
        await until(lambda: ours.mark("BTCUSDT") < 55_100 * E8)
        assert worlds.market.status == "BREAK"
        assert account.held("BTCUSDT")
        await until(lambda: not account.held("BTCUSDT"))
        assert worlds.market.status == "TRADING"


@pytest.mark.parametrize("lost", [0, 1])
async def test_one_lost_connection_closes_the_market_until_both_speak_and_the_book_is_whole(
    lost: int,
) -> None:
    async with Futures() as worlds:
        opened = list(worlds.upstream.application.sockets.values())
        assert len(opened) == 2
        opened[lost].socket.abort()
        await until(lambda: worlds.market.status == "BREAK")
        status, answer, _ = await worlds.rest.signed(
            "POST", "order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="1"
        )
        assert (status, answer["code"]) == (400, -4140)
        worlds.upstream.venue.change_depth("BTCUSDT", [], units([(60_010, 0), (60_015, 3)]))
        await until(lambda: worlds.market.status == "TRADING")
        assert worlds.best() == ((60_000, 2), (60_015, 3))
        assert worlds.feed.status()["connections"] == 3


async def test_a_gap_in_the_chain_fetches_the_book_again() -> None:
    async with Futures() as worlds:
        await worlds.change(bids=[(58_000, 1)])
        book = worlds.upstream.venue.markets["BTCUSDT"].book
        book.update_id += 7
        worlds.upstream._streams.depth._chains["BTCUSDT"][100].published = book.update_id
        # What happened in the gap is not told by any update.
        book.bids.levels[60_000 * E8].external = 9 * E8
        worlds.upstream.faults.add(FaultRule("delay", "depth", seconds=0.3))
        worlds.upstream.venue.change_depth("BTCUSDT", units([(59_000, 1)]), [])
        await until(lambda: worlds.feed.gaps == 1)
        assert worlds.market.status == "BREAK"
        await until(lambda: worlds.market.status == "TRADING")
        assert worlds.best()[0] == (60_000, 9)


async def test_a_venue_without_split_addresses_is_read_at_its_unsplit_one() -> None:
    asked: list[str] = []

    async def relay(request: web.Request) -> web.StreamResponse:
        asked.append(request.path)
        if request.path != "/stream":
            raise web.HTTPNotFound
        ours = web.WebSocketResponse()
        await ours.prepare(request)
        address = f"{worlds.upstream.ws_url}/stream?{request.query_string}"
        async with aiohttp.ClientSession() as session, session.ws_connect(address) as theirs:

            async def forward() -> None:
                async for message in theirs:
                    await ours.send_str(message.data)

            task = asyncio.create_task(forward())
            async for message in ours:
                await theirs.send_str(message.data)
            task.cancel()
        return ours

    application = web.Application()
    application.router.add_get("/{path:.*}", relay)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        worlds = Futures(stream_url=f"ws://127.0.0.1:{runner.addresses[0][1]}")
        async with worlds:
            await worlds.change(bids=[(60_001, 4)])
            assert worlds.best()[0] == (60_001, 4)
            worlds.upstream.venue.print_trade("BTCUSDT", 60_005 * E8, E8, buyer_is_maker=False)
            await until(lambda: bool(worlds.market.tape))
    finally:
        await runner.cleanup()
    assert sorted(asked) == ["/market/stream", "/public/stream", "/stream", "/stream"]


async def test_an_unreachable_venue_is_named_with_a_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(VenueError, match="mirror-rest-url") as failure:
            await asyncio.to_thread(LiveMirror, ["BTCUSDT"], market=Market.UM, rest_url=url)
    assert failure.value.where == url


def test_a_contract_that_expires_is_refused() -> None:
    listing = {"BTCUSDT_250926": {"contractType": "CURRENT_QUARTER"}}
    with pytest.raises(DataError, match="CURRENT_QUARTER"):
        UmSide().prepare(Upstream(UM, "http://127.0.0.1:1"), listing)


async def test_a_mirror_of_one_market_does_not_drive_the_other() -> None:
    async with exchange() as upstream:
        urls = {"stream_url": upstream.ws_url, "rest_url": upstream.url}
        feed = await asyncio.to_thread(LiveMirror, ["BTCUSDT"], market=Market.UM, **urls)
        with pytest.raises(ConfigError, match="UmVenue"):
            await spot_exchange(feed).start()
