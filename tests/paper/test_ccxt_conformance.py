"""Unmodified ccxt and ccxt.pro: every method a trading client uses, answers checked against the exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import ccxt
import ccxt.pro
import pytest

from qtm.errors import VenueError
from qtm.paper.faults import FaultRule
from tests.paper.clients import ccxt_config, pro
from tests.paper.worlds import exchange, replay

B = "BTC/USDT"


@pytest.fixture
async def trading() -> AsyncIterator[tuple[Any, Any]]:
    feed = replay(("BTCUSDT", "BTC", "USDT"), ("ETHUSDT", "ETH", "USDT"))
    async with exchange(feed, {"USDT": "100000", "BTC": "2"}) as ex:
        ex.advance(3)
        client = pro(ex.url)
        try:
            await client.load_markets()
            yield ex, client
        finally:
            await client.close()


async def test_markets_carry_the_exact_filters(trading: tuple[Any, Any]) -> None:
    _, client = trading
    market = client.market(B)
    assert (market["precision"]["amount"], market["precision"]["price"]) == (0.00001, 0.01)
    assert market["limits"]["cost"] == {"min": 5.0, "max": 9000000.0}
    assert market["limits"]["amount"] == {"min": 0.00001, "max": 9000.0}
    assert market["active"] is True


async def test_public_methods(trading: tuple[Any, Any]) -> None:
    ex, client = trading
    assert abs(await client.fetch_time() - ex.application.gateway.now_us() // 1000) < 1000
    assert (await client.fetch_status())["status"] == "ok"
    candles = await client.fetch_ohlcv(B, "1m", limit=4)
    assert [row[0] for row in candles] == sorted(row[0] for row in candles)
    assert len(await client.fetch_ohlcv(B, "5m")) == 2
    since = candles[1][0]
    assert (await client.fetch_ohlcv(B, "1m", since=since, limit=2))[0][0] == since
    book = await client.fetch_order_book(B, 5)
    assert book["bids"][0][0] < book["asks"][0][0]
    tickers = await client.fetch_tickers([B, "ETH/USDT"])
    assert set(tickers) == {B, "ETH/USDT"}
    assert (await client.fetch_bids_asks([B]))[B]["ask"] == book["asks"][0][0]
    trades = await client.fetch_trades(B, limit=3)
    assert len(trades) == 3
    assert (await client.fetch_last_prices([B]))[B]["price"] == trades[-1]["price"]


async def test_order_methods(trading: tuple[Any, Any]) -> None:
    _, client = trading
    bought = await client.create_order(B, "market", "buy", 0.01)
    assert (bought["status"], bought["filled"]) == ("closed", 0.01)
    by_cost = await client.create_market_buy_order_with_cost(B, 500)
    assert 499 < by_cost["cost"] <= 500
    order = await client.create_order(B, "limit", "buy", 0.01, 50000, {"clientOrderId": "mine-1"})
    assert (await client.fetch_order(order["id"], B))["clientOrderId"] == "mine-1"
    assert [o["id"] for o in await client.fetch_open_orders(B)] == [order["id"]]
    edited = await client.edit_order(order["id"], B, "limit", "buy", 0.02, 50001)
    assert (edited["amount"], edited["price"]) == (0.02, 50001.0)
    stop = await client.create_order(B, "stop_loss_limit", "sell", 0.01, 49000, {"stopPrice": 49500})
    assert (await client.fetch_order(stop["id"], B))["triggerPrice"] == 49500.0
    await client.create_order(B, "limit", "buy", 0.01, 50000, {"postOnly": True})
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        await client.create_order(B, "limit", "buy", 0.01, 70000, {"postOnly": True})
    assert await client.create_order(B, "limit", "buy", 0.01, 50000, {"test": True}) is not None
    assert len(await client.cancel_all_orders(B)) == 3
    assert await client.fetch_open_orders(B) == []
    statuses = {o["status"] for o in await client.fetch_orders(B)}
    assert statuses == {"closed", "canceled"}
    assert len(await client.fetch_closed_orders(B)) == 2
    trades = await client.fetch_my_trades(B)
    assert {t["order"] for t in trades} == {bought["id"], by_cost["id"]}
    assert await client.fetch_order_trades(bought["id"], B) == trades[:1]
    assert (await client.fetch_trading_fee(B))["taker"] == 0.001


async def test_errors_have_ccxt_s_own_types(trading: tuple[Any, Any]) -> None:
    ex, client = trading
    raises = pytest.raises
    with raises(ccxt.InsufficientFunds):
        await client.create_order(B, "limit", "sell", 50, 60000)
    with raises(ccxt.BadRequest, match="Filter failure: NOTIONAL"):
        await client.create_order(B, "limit", "buy", 0.00001, 60000)
    with raises(ccxt.InvalidOrder):
        await client.create_order(B, "stop_loss", "sell", 0.01, None, {"stopPrice": 90000})
    with raises(ccxt.OrderNotFound):
        await client.cancel_order("424242", B)
    ex.venue.markets["BTCUSDT"].status = "HALT"
    with raises(ccxt.ExchangeError, match="Market is closed"):
        await client.create_order(B, "limit", "buy", 0.01, 50000)
    ex.faults.add(FaultRule("rate_limited", "account", times=1))
    with raises((ccxt.DDoSProtection, ccxt.RateLimitExceeded)):
        await client.fetch_balance()
    ex.faults.add(FaultRule("unknown_executed", "account", times=1))
    with raises(ccxt.OperationFailed):
        await client.fetch_balance()
    ex.faults.clock_skew_ms = 60_000
    with raises(ccxt.InvalidNonce):
        await client.fetch_balance()


async def test_watch_methods(trading: tuple[Any, Any]) -> None:
    ex, client = trading

    async def one(method: str, *args: Any) -> Any:
        task = asyncio.create_task(getattr(client, method)(*args))
        while not task.done():
            await asyncio.sleep(0.05)
            if not ex.feed.done:
                ex.advance(1)
        return task.result()

    assert (await one("watch_trades", B))[0]["symbol"] == B
    assert (await one("watch_ticker", B))["last"] > 0
    assert (await one("watch_ohlcv", B, "1m"))[-1][4] > 0
    assert set(await one("watch_bids_asks", [B])) == {B}
    book = await one("watch_order_book", B)
    assert book["bids"][0][0] < book["asks"][0][0]


async def test_orders_and_queries_over_the_websocket_api(trading: tuple[Any, Any]) -> None:
    _, client = trading
    order = await client.create_order_ws(B, "limit", "buy", 0.01, 50000)
    assert (await client.fetch_order_ws(order["id"], B))["status"] == "open"
    assert len(await client.fetch_open_orders_ws(B)) == 1
    edited = await client.edit_order_ws(order["id"], B, "limit", "buy", 0.01, 50002)
    assert (await client.cancel_order_ws(edited["id"], B))["status"] == "canceled"
    assert len(await client.fetch_ohlcv_ws(B, "1m")) >= 3


async def test_the_user_stream_tells_orders_trades_and_balances(trading: tuple[Any, Any]) -> None:
    ex, client = trading
    orders = asyncio.create_task(client.watch_orders(B))
    trades = asyncio.create_task(client.watch_my_trades(B))
    balance = asyncio.create_task(client.watch_balance())
    while not ex.venue.accounts["desk"].listeners:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    order = await client.create_order(B, "market", "sell", 0.5)
    assert (await orders)[-1]["id"] == order["id"]
    assert (await trades)[-1]["amount"] == 0.5
    assert (await balance)["BTC"]["free"] == 1.5


def test_the_synchronous_client_too() -> None:
    async def run() -> None:
        async with exchange() as ex:

            def trade() -> str:
                client = ccxt.binance(ccxt_config(ex.url))
                client.load_markets()
                return str(client.create_order(B, "market", "buy", 0.01)["status"])

            assert await asyncio.to_thread(trade) == "closed"

    asyncio.run(run())


async def test_a_port_in_use_is_said_plainly() -> None:
    async with exchange() as ex:
        with pytest.raises(VenueError, match="choose another port"):
            await exchange(port=ex.port).start()


async def test_every_kind_of_order_ccxt_can_make(trading: tuple[Any, Any]) -> None:
    _, client = trading
    last = (await client.fetch_ticker(B))["last"]
    below, above = round(last * 0.9, 2), round(last * 1.1, 2)
    made = [
        await client.create_limit_buy_order(B, 0.01, below),
        await client.create_limit_sell_order(B, 0.01, above),
        await client.create_post_only_order(B, "limit", "buy", 0.01, below),
        await client.create_stop_loss_order(B, "market", "sell", 0.01, None, below),
        await client.create_take_profit_order(B, "limit", "sell", 0.01, above, above),
        await client.create_trigger_order(B, "limit", "buy", 0.01, above, above),
        await client.create_order(
            B, "limit", "sell", 0.01, below, {"trailingPercent": 2, "stopLossOrTakeProfit": "stopLoss"}
        ),
        await client.create_order(B, "limit", "buy", 0.01, below, {"timeInForce": "IOC"}),
        await client.create_order(B, "market", "buy", 0.01, None, {"test": True}),
    ]
    kinds = [order["type"] for order in await client.fetch_open_orders(B)]
    assert sorted(kinds) == sorted(["limit", "limit", "limit", "market", "limit", "limit", "limit"])
    assert made[7]["status"] == "expired"
    assert len(await client.cancel_all_orders(B)) == 7
    assert len(await client.fetch_canceled_orders(B)) == 7
    assert len(await client.fetch_canceled_and_closed_orders(B)) == 7
    assert (await client.fetch_trading_fees())[B]["taker"] == 0.001


async def test_the_other_websocket_requests_and_streams_of_ccxt(trading: tuple[Any, Any]) -> None:
    ex, client = trading
    # This version of ccxt does not read the balances of the answer, only hands it on.
    held = {row["asset"]: row["free"] for row in (await client.fetch_balance_ws())["info"]["balances"]}
    assert held["BTC"] == "2.00000000"
    assert len(await client.fetch_trades_ws(B, limit=2)) == 2
    bought = await client.create_order_ws(B, "market", "buy", 0.01)
    assert bought["status"] == "closed"
    await client.create_order_ws(B, "limit", "buy", 0.01, 50000)
    assert len(await client.cancel_all_orders_ws(B)) == 1
    assert len(await client.fetch_orders_ws(B)) == 2
    assert [order["id"] for order in await client.fetch_closed_orders_ws(B)] == [bought["id"]]
    assert [trade["order"] for trade in await client.fetch_my_trades_ws(B)] == [bought["id"]]

    async def advancing() -> None:
        while True:
            ex.advance(1)
            await asyncio.sleep(0.1)

    mover = asyncio.create_task(advancing())
    try:
        both = [B, "ETH/USDT"]
        async with asyncio.timeout(30):
            assert (await client.watch_tickers(both)).keys() <= set(both)
            assert (await client.watch_trades_for_symbols(both))[0]["symbol"] in both
            assert (await client.watch_order_book_for_symbols(both))["symbol"] in both
            assert (await client.watch_ohlcv_for_symbols([[B, "1m"]]))[B]["1m"]
    finally:
        mover.cancel()
