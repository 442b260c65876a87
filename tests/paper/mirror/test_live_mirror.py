"""The live mirror over real sockets: another paper exchange on loopback stands where Binance stands."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from qtm.errors import ConfigError, DataError, VenueError
from qtm.market.instruments import Market
from qtm.paper.faults import FaultRule
from qtm.paper.mirror.feed import LiveMirror
from qtm.paper.server import PaperExchange
from qtm.paper.wire import E8
from tests.paper.mirror.worlds import Worlds, units, until
from tests.paper.worlds import exchange

BIDS = [(60_000, 2), (59_990, 5)]
ASKS = [(60_010, 1), (60_020, 4)]


class Spot(Worlds):
    """A spot market and its mirror."""

    def __init__(self, **mirror_options: Any) -> None:
        def mirrored(feed: LiveMirror) -> PaperExchange:
            return exchange(feed, {"USDT": "1000000", "BTC": "2"}, begin="now")

        super().__init__(Market.SPOT, exchange(), mirrored, (BIDS, ASKS), **mirror_options)

    async def order(self, **params: Any) -> dict[str, Any]:
        status, body = await self.rest.order(**params)
        assert status == 200, body
        return body

    async def limit(self, side: str, price: float, qty: float) -> dict[str, Any]:
        return await self.order(
            side=side, type="LIMIT", timeInForce="GTC", price=str(price), quantity=str(qty)
        )


async def test_listing_candles_book_and_trades_are_the_mirrored_venues() -> None:
    async with Spot() as worlds, worlds.client_of(worlds.upstream) as theirs:
        for path in ("exchangeInfo", "klines", "depth"):
            params: dict[str, Any] = {"symbol": "BTCUSDT"}
            if path == "klines":
                params["interval"] = "1m"
            _, mine, _ = await worlds.rest.public(path, **params)
            _, original, _ = await theirs.public(path, **params)
            if path == "exchangeInfo":
                mine, original = mine["symbols"], original["symbols"]
            if path == "depth":
                del mine["lastUpdateId"], original["lastUpdateId"]
            assert mine == original, path
        worlds.upstream.venue.print_trade("BTCUSDT", 60_005 * E8, E8 // 4, buyer_is_maker=False)
        await until(lambda: bool(worlds.market.tape))
        _, mine, _ = await worlds.rest.public("trades", symbol="BTCUSDT")
        _, original, _ = await theirs.public("trades", symbol="BTCUSDT")
        assert {**mine[-1], "time": 0} == {**original[-1], "time": 0}


async def test_block_trades_are_told_and_move_nothing() -> None:
    async with Spot() as worlds:
        before = worlds.market.last_price
        worlds.upstream.venue.print_block("BTCUSDT", 7, 59_000 * E8, 100 * E8, buyer_is_maker=True)
        await until(lambda: bool(worlds.mirror.venue.blocks["BTCUSDT"]))
        _, told, _ = await worlds.rest.public("historicalBlockTrades", symbol="BTCUSDT")
        assert [(row["id"], row["price"], row["qty"]) for row in told] == [
            (7, "59000.00000000", "100.00000000")
        ]
        assert (worlds.market.last_price, list(worlds.market.tape)) == (before, [])


async def test_a_bar_that_closes_there_closes_here() -> None:
    async with Spot() as worlds:
        worlds.upstream.advance(2)
        theirs = worlds.upstream.venue.markets["BTCUSDT"].klines
        await until(lambda: worlds.market.klines.count == theirs.count)
        async with worlds.client_of(worlds.upstream) as upstream:
            _, original, _ = await upstream.public("klines", symbol="BTCUSDT", interval="1m")
        _, mine, _ = await worlds.rest.public("klines", symbol="BTCUSDT", interval="1m")
        assert mine == original


async def test_a_market_order_walks_the_book_and_does_not_move_it() -> None:
    async with Spot() as worlds:
        filled = await worlds.order(side="BUY", type="MARKET", quantity="1.5")
        assert [(fill["price"], fill["qty"]) for fill in filled["fills"]] == [
            ("60010.00000000", "1.00000000"),
            ("60020.00000000", "0.50000000"),
        ]
        await worlds.change(bids=[(59_000, 1)])
        assert worlds.best() == ((60_000, 2), (60_010, 1))
        assert worlds.upstream.venue.markets["BTCUSDT"].book.asks.best()[1].external == E8  # type: ignore[index]


async def test_a_resting_order_waits_behind_what_was_shown_and_fills_as_that_trades() -> None:
    async with Spot() as worlds:
        order = await worlds.limit("BUY", 60_000, 1)
        trade = worlds.upstream.venue.print_trade
        trade("BTCUSDT", 60_000 * E8, round(1.5 * E8), buyer_is_maker=True)
        await worlds.change(bids=[(60_000, 0.5)])
        await until(lambda: len(worlds.market.tape) == 1)
        assert await worlds.executed(order) == 0
        # Newcomers join behind the order; half a coin of those before it is left.
        await worlds.change(bids=[(60_000, 3)])
        trade("BTCUSDT", 60_000 * E8, round(0.8 * E8), buyer_is_maker=True)
        await until(lambda: len(worlds.market.tape) >= 2)
        assert await worlds.executed(order) == pytest.approx(0.3)
        trade("BTCUSDT", 59_999 * E8, 5 * E8, buyer_is_maker=True)
        await until(lambda: not worlds.mirror.venue.accounts["desk"].open_orders)
        assert await worlds.executed(order) == 1


async def test_what_an_order_took_does_not_fill_the_rest_of_it_again() -> None:
    async with Spot() as worlds:
        order = await worlds.limit("BUY", 60_010, 2.5)
        assert float(order["executedQty"]) == 1
        await worlds.change(bids=[(59_000, 1)])
        await worlds.change(bids=[(59_000, 2)])
        assert await worlds.executed(order) == 1
        # A seller who arrives at the price is new.
        await worlds.change(asks=[(60_010, 0.5)])
        assert await worlds.executed(order) == 1.5
        await worlds.rest.signed("DELETE", "order", symbol="BTCUSDT", orderId=order["orderId"])
        await worlds.change(bids=[(59_000, 3)])
        assert worlds.best() == ((60_000, 2), (60_010, 0.5))


async def test_a_lost_connection_closes_the_market_until_the_book_is_whole_again() -> None:
    async with Spot() as worlds:
        order = await worlds.limit("BUY", 59_000, 1)
        for opened in list(worlds.upstream.application.sockets.values()):
            opened.socket.abort()
        await until(lambda: worlds.market.status == "BREAK")
        refused, answer = await worlds.rest.order(side="BUY", type="MARKET", quantity="1")
        assert (refused, answer["code"], answer["msg"]) == (400, -1013, "Market is closed.")
        worlds.upstream.venue.change_depth("BTCUSDT", [], units([(60_010, 0), (60_015, 3)]))
        status, _, _ = await worlds.rest.signed("DELETE", "order", symbol="BTCUSDT", orderId=order["orderId"])
        assert status == 200
        await until(lambda: worlds.market.status == "TRADING")
        assert worlds.best() == ((60_000, 2), (60_015, 3))
        assert worlds.feed.status()["connections"] == 2


async def test_a_gap_in_the_sequence_fetches_the_book_again() -> None:
    async with Spot() as worlds:
        book = worlds.upstream.venue.markets["BTCUSDT"].book
        streams: Any = worlds.upstream.publisher
        book.update_id += 7
        for pending in streams._states["BTCUSDT"].cadences.values():
            pending.last_update_id = book.update_id
        # What happened in the gap is not told by any update.
        book.bids.levels[60_000 * E8].external = 9 * E8
        worlds.upstream.faults.add(FaultRule("delay", "depth", seconds=0.3))
        worlds.upstream.venue.change_depth("BTCUSDT", units([(59_000, 1)]), [])
        await until(lambda: worlds.feed.gaps == 1)
        assert worlds.market.status == "BREAK"
        await until(lambda: worlds.market.status == "TRADING")
        assert worlds.best()[0] == (60_000, 9)


async def test_a_halt_there_is_a_halt_here() -> None:
    async with Spot(listing_every_s=0.05) as worlds:
        worlds.upstream.venue.markets["BTCUSDT"].status = "HALT"
        await until(lambda: worlds.market.status == "HALT")
        _, answer = await worlds.rest.order(side="BUY", type="MARKET", quantity="1")
        assert answer["msg"] == "Market is closed."
        worlds.upstream.venue.markets["BTCUSDT"].status = "TRADING"
        await until(lambda: worlds.market.status == "TRADING")
        worlds.upstream.venue.change_filters(
            "BTCUSDT", [{"filterType": "LOT_SIZE", "minQty": "1", "maxQty": "9", "stepSize": "1"}]
        )
        await until(lambda: worlds.mirror.venue.symbols["BTCUSDT"].filter("LOT_SIZE")["minQty"] == E8)  # type: ignore[index]


async def test_an_announced_shutdown_and_old_age_change_connections_without_a_hole() -> None:
    async with Spot(rotate_after_s=1.0) as worlds:
        worlds.upstream.application.announce_shutdown()
        await until(lambda: worlds.feed.status()["connections"] == 2)
        await until(lambda: worlds.feed.status()["connections"] >= 3)
        assert worlds.market.status == "TRADING"
        assert worlds.feed.gaps == 0
        await worlds.change(bids=[(60_000, 7)])
        assert worlds.best()[0] == (60_000, 7)
        assert len(worlds.upstream.application.hub.connections) == 1


async def test_an_unreachable_venue_is_named_with_a_remedy() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(VenueError) as failure:
            await asyncio.to_thread(LiveMirror, ["BTCUSDT"], rest_url=url)
    assert url in str(failure.value)
    assert "--mirror-rest-url" in str(failure.value)


async def test_addresses_and_symbols_are_checked() -> None:
    with pytest.raises(ConfigError, match="--mirror-url"):
        LiveMirror(["BTCUSDT"], stream_url="http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="symbols"):
        LiveMirror([])
    upstream = exchange()
    await upstream.start()
    try:
        with pytest.raises(DataError, match="does not know"):
            await asyncio.to_thread(LiveMirror, ["NOSUCH"], rest_url=upstream.url, stream_url=upstream.ws_url)
    finally:
        await upstream.stop()
