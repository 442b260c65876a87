"""An unmodified ccxt.pro trades on the paper exchange: candles, next-open fill, events, errors."""

from __future__ import annotations

import asyncio

import ccxt
import pytest

from qtm.trading.costs import SPOT_COSTS, taker_price_ticks
from tests.paper.clients import pro
from tests.paper.worlds import bars, exchange


async def test_order_after_a_closed_candle_fills_at_the_next_open() -> None:
    series = bars("BTCUSDT")
    async with exchange() as ex:
        client = pro(ex.url)
        try:
            await client.load_markets()
            candles = asyncio.create_task(client.watch_ohlcv("BTC/USDT", "1m"))
            orders = asyncio.create_task(client.watch_orders())
            while not ex.application.hub.names("btcusdt") or not ex.venue.accounts["desk"].listeners:
                await asyncio.sleep(0.01)
            ex.advance(1)
            assert (await candles)[-1][4] == series.close[5]
            order = await client.create_order("BTC/USDT", "limit", "buy", 0.01, 70000, {"timeInForce": "IOC"})
            expected = taker_price_ticks(+1, float(series.open[6]), 0.01, SPOT_COSTS.slippage_bps) * 0.01
            assert order["average"] == pytest.approx(expected, abs=1e-9)
            assert order["status"] == "closed"
            assert order["fee"] == {"currency": "BTC", "cost": 0.00001}
            seen = (await orders)[-1]
            assert (seen["id"], seen["status"]) == (order["id"], "closed")
            balance = await client.fetch_balance()
            assert balance["BTC"]["total"] == 2.00999
        finally:
            await client.close()


async def test_errors_reach_ccxt_as_its_own_exceptions() -> None:
    async with exchange(balances={"USDT": "100"}) as ex:
        client = pro(ex.url)
        try:
            with pytest.raises(ccxt.InsufficientFunds):
                await client.create_order("BTC/USDT", "limit", "buy", 1, 60000)
            with pytest.raises(ccxt.OrderNotFound):
                await client.cancel_order("999", "BTC/USDT")
            with pytest.raises(ccxt.OrderNotFound):
                await client.fetch_order("999", "BTC/USDT")
            with pytest.raises(ccxt.BadSymbol):
                await client.fetch_ticker("NO/SUCH")
            client.secret = "wrong"
            with pytest.raises(ccxt.AuthenticationError):
                await client.fetch_balance()
        finally:
            await client.close()
