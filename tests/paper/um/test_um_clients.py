"""Unmodified ccxt, ccxt.pro and the official futures SDK trade on the paper futures exchange."""

from __future__ import annotations

import asyncio
from typing import Any

import ccxt
import ccxt.pro
import pytest
from binance_common.configuration import ConfigurationRestAPI
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures,
)

from tests.paper.um.um_worlds import exchange, linear
from tests.paper.worlds import KEY, SECRET

S = "BTC/USDT:USDT"


async def test_ccxt_trades_a_position_from_leverage_to_close() -> None:
    async with exchange() as venue:
        client = ccxt.pro.binance(linear(venue.url))
        try:
            await client.load_markets()
            assert client.markets[S]["linear"]
            await client.set_leverage(10, S)
            book = await client.fetch_order_book(S)
            order = await client.create_order(S, "market", "buy", 0.5)
            assert (order["status"], order["filled"]) == ("closed", 0.5)
            assert order["average"] == book["asks"][0][0]
            (position,) = await client.fetch_positions([S])
            assert (position["contracts"], position["side"]) == (0.5, "long")
            resting = await client.create_order(S, "limit", "sell", 0.5, 61_000, {"reduceOnly": True})
            moved = await client.edit_order(resting["id"], S, "limit", "sell", 0.4, 61_100)
            assert (moved["price"], moved["amount"]) == (61_100, 0.4)
            stop = await client.create_order(S, "market", "sell", 0.5, None, {"stopLossPrice": 50_000})
            assert [o["id"] for o in await client.fetch_open_orders(S)] == [resting["id"]]
            waiting = await client.fetch_open_orders(S, params={"trigger": True})
            assert [o["id"] for o in waiting] == [stop["id"]]
            await client.cancel_order(stop["id"], S, {"trigger": True})
            await client.cancel_all_orders(S)
            await client.create_order(S, "market", "sell", 0.5, None, {"reduceOnly": True})
            assert await client.fetch_positions([S]) == []
            assert len(await client.fetch_my_trades(S)) == 2
            balance = await client.fetch_balance()
            assert balance["USDT"]["free"] == balance["USDT"]["total"] < 100_000
            for answer in (
                await client.fetch_ticker(S), await client.fetch_ohlcv(S, "1m"), await client.fetch_trades(S),
                await client.fetch_funding_rate(S), await client.fetch_leverage_tiers([S]),
                await client.fetch_trading_fee(S), await client.fetch_mark_ohlcv(S),
            ):  # fmt: skip
                assert answer is not None
        finally:
            await client.close()


async def test_ccxt_maps_every_refusal() -> None:
    async with exchange() as venue:
        client = ccxt.pro.binance(linear(venue.url))
        try:
            await client.load_markets()
            with pytest.raises(ccxt.InsufficientFunds):
                await client.create_order(S, "limit", "buy", 900, 60_000)
            with pytest.raises(ccxt.OrderNotFound):
                await client.fetch_order("12345", S)
            with pytest.raises(ccxt.OrderNotFound):
                await client.cancel_order("12345", S)
            with pytest.raises(ccxt.BaseError, match="-4164"):
                await client.create_order(S, "limit", "buy", 0.001, 4_000)
        finally:
            await client.close()


async def test_ccxt_watches_candles_and_its_own_orders() -> None:
    async with exchange(begin="now") as venue:
        client = ccxt.pro.binance(linear(venue.url))
        try:
            await client.load_markets()
            candles = asyncio.ensure_future(client.watch_ohlcv(S, "1m"))
            orders = asyncio.ensure_future(client.watch_orders(S))
            for _ in range(200):
                await asyncio.sleep(0.02)
                hub = venue.application.hub
                if hub.wants("btcusdt@kline_1m") and venue.venue.accounts["desk"].listeners:
                    break
            await asyncio.sleep(0.2)
            await client.create_order(S, "market", "buy", 0.1)
            venue.advance(1)
            assert (await asyncio.wait_for(candles, 30))[-1][4] > 0
            assert (await asyncio.wait_for(orders, 30))[-1]["symbol"] == S
        finally:
            await client.close()


async def test_the_official_sdk_reads_every_answer_into_its_models() -> None:
    async with exchange() as venue:
        config = ConfigurationRestAPI(api_key=KEY, api_secret=SECRET, base_path=venue.url)
        rest = DerivativesTradingUsdsFutures(config_rest_api=config).rest_api

        def run() -> dict[str, Any]:
            placed = rest.new_order(
                "BTCUSDT", "BUY", "MARKET", quantity=0.2, new_order_resp_type="RESULT"
            ).data()
            waits = rest.new_order(
                "BTCUSDT", "SELL", "LIMIT", quantity=0.2, price=61000.0, time_in_force="GTC"
            ).data()
            return {
                "placed": placed,
                "found": rest.query_order("BTCUSDT", order_id=waits.order_id).data(),
                "account": rest.account_information_v3().data(),
                "risk": rest.position_information_v3().data(),
                "balance": rest.futures_account_balance_v3().data(),
                "income": rest.get_income_history().data(),
                "info": rest.exchange_information().data(),
                "cancelled": rest.cancel_order("BTCUSDT", order_id=waits.order_id).data(),
            }

        seen = await asyncio.to_thread(run)
        assert seen["placed"].status == "FILLED"
        assert seen["found"].orig_qty == "0.200"
        assert seen["account"].positions[0].position_amt == "0.200"
        assert seen["risk"][0].margin_asset == "USDT"
        assert seen["cancelled"].status == "CANCELED"
        assert {row.income_type for row in seen["income"]} == {"TRANSFER", "COMMISSION"}
