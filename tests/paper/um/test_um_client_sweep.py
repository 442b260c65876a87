"""Every method of ccxt and of the official SDK that a futures trading client uses."""

from __future__ import annotations

import asyncio
from typing import Any

import ccxt.pro
import pydantic
from binance_common.configuration import ConfigurationRestAPI
from binance_sdk_derivatives_trading_usds_futures.derivatives_trading_usds_futures import (
    DerivativesTradingUsdsFutures,
)

from qtm.paper.um.index_price import SyntheticPremium
from tests.paper.um.um_worlds import exchange, linear
from tests.paper.worlds import KEY, SECRET

S = "BTC/USDT:USDT"
QUERIES: list[tuple[str, tuple[Any, ...]]] = [
    ("fetch_time", ()), ("fetch_status", ()), ("fetch_ticker", (S,)), ("fetch_tickers", ([S],)),
    ("fetch_bids_asks", ([S],)), ("fetch_last_prices", ([S],)), ("fetch_order_book", (S,)),
    ("fetch_trades", (S,)), ("fetch_ohlcv", (S, "1m")), ("fetch_mark_ohlcv", (S, "1m")),
    ("fetch_index_ohlcv", (S, "1m")), ("fetch_premium_index_ohlcv", (S, "1m")), ("fetch_funding_rate", (S,)),
    ("fetch_funding_rates", ([S],)), ("fetch_funding_rate_history", (S,)), ("fetch_funding_history", (S,)),
    ("fetch_funding_intervals", ([S],)), ("fetch_mark_price", (S,)), ("fetch_mark_prices", ([S],)),
    ("fetch_open_interest", (S,)), ("fetch_open_interest_history", (S, "5m")),
    ("fetch_long_short_ratio_history", (S, "5m")), ("fetch_balance", ()), ("fetch_positions", ([S],)),
    ("fetch_positions_risk", ([S],)), ("fetch_account_positions", ([S],)), ("fetch_position_mode", (S,)),
    ("fetch_leverage", (S,)), ("fetch_leverages", ([S],)), ("fetch_leverage_tiers", ([S],)),
    ("fetch_market_leverage_tiers", (S,)), ("fetch_margin_mode", (S,)), ("fetch_margin_modes", ([S],)),
    ("fetch_trading_fee", (S,)), ("fetch_trading_fees", ()), ("fetch_ledger", ("USDT",)),
    ("fetch_margin_adjustment_history", (S,)), ("fetch_my_liquidations", (S,)),
    ("fetch_position_adl_rank", (S,)), ("fetch_open_orders", (S,)), ("fetch_orders", (S,)),
    ("fetch_closed_orders", (S,)), ("fetch_canceled_orders", (S,)), ("fetch_my_trades", (S,)),
    ("fetch_balance_ws", ()), ("fetch_positions_ws", ([S],)), ("fetch_order_book_ws", (S,)),
    ("fetch_ticker_ws", (S,)),
]  # fmt: skip


async def test_ccxt_asks_everything() -> None:
    async with exchange(index=SyntheticPremium(1)) as venue:
        client = ccxt.pro.binanceusdm(linear(venue.url))
        client.urls["api"]["sapi"] = venue.url + "/sapi/v1"
        try:
            await client.load_markets()
            await client.create_order(S, "market", "buy", 0.2)
            venue.advance(3)
            for name, arguments in QUERIES:
                assert await asyncio.wait_for(getattr(client, name)(*arguments), 30) is not None, name
        finally:
            await client.close()


async def test_ccxt_trades_in_every_way_and_watches_it() -> None:
    async with exchange(begin="now") as venue:
        client = ccxt.pro.binanceusdm(linear(venue.url))
        try:
            await client.load_markets()
            venue.advance(1)
            price = (await client.fetch_ticker(S))["last"]
            below, above = round(price * 0.98, 1), round(price * 1.02, 1)
            await client.set_leverage(5, S)
            await client.set_margin_mode("isolated", S)
            watching = [
                asyncio.ensure_future(client.watch_orders(S)),
                asyncio.ensure_future(client.watch_my_trades(S)),
                asyncio.ensure_future(client.watch_positions([S])),
                asyncio.ensure_future(client.watch_balance()),
            ]  # fmt: skip
            for _ in range(100):
                await asyncio.sleep(0.02)
                if len(venue.application.sockets) and venue.venue.accounts["desk"].listeners:
                    break
            await asyncio.sleep(0.3)
            await client.create_order(S, "market", "buy", 0.2)
            orders, trades, _, balance = await asyncio.wait_for(asyncio.gather(*watching), 30)
            assert orders[-1]["symbol"] == trades[-1]["symbol"] == S
            assert balance["USDT"]["total"] < 100_000
            await client.add_margin(S, 50)
            await client.reduce_margin(S, 20)
            resting = await client.create_order(S, "limit", "sell", 0.1, above, {"reduceOnly": True})
            moved = await client.edit_order(resting["id"], S, "limit", "sell", 0.05, above + 1)
            assert (await client.fetch_order(moved["id"], S))["amount"] == 0.05
            await client.cancel_order(moved["id"], S)
            pair = await client.create_orders(
                [
                    {"symbol": S, "type": "limit", "side": "buy", "amount": 0.01, "price": below},
                    {"symbol": S, "type": "limit", "side": "buy", "amount": 0.01, "price": below - 1},
                ]
            )
            await client.cancel_orders([order["id"] for order in pair], S)
            stop = await client.create_stop_loss_order(S, "market", "sell", 0.1, None, below)
            await client.create_take_profit_order(S, "market", "sell", 0.1, None, above)
            await client.create_trailing_percent_order(S, "market", "sell", 0.1, None, 1)
            assert (await client.fetch_order(stop["id"], S, {"trigger": True}))["id"] == stop["id"]
            await client.cancel_order(stop["id"], S, {"trigger": True})
            assert len(await client.fetch_open_orders(S, params={"trigger": True})) == 2
            await client.cancel_all_orders(S, {"trigger": True})
            placed = await client.create_order_ws(S, "limit", "buy", 0.01, below)
            await client.edit_order_ws(placed["id"], S, "limit", "buy", 0.02, below)
            assert (await client.fetch_order_ws(placed["id"], S))["amount"] == 0.02
            await client.cancel_order_ws(placed["id"], S)
            await client.create_order(S, "market", "sell", 0.2, None, {"reduceOnly": True})
            assert await client.fetch_positions([S]) == []
        finally:
            await client.close()


SDK: list[tuple[str, dict[str, Any], set[str]]] = [
    ("account_information_v2", {}, set()), ("account_information_v3", {}, set()),
    ("account_trade_list", {"symbol": "BTCUSDT"}, {"baseQty", "marginAsset", "pair"}),
    ("adl_risk", {"symbol": "BTCUSDT"}, set()),
    ("all_orders", {"symbol": "BTCUSDT"}, {"activatePrice", "priceRate", "pair", "cumBase"}),
    ("asset_index", {"symbol": "BTCUSD"}, set()),
    ("basis", {"pair": "BTCUSDT", "contract_type": "PERPETUAL", "period": "5m"}, set()),
    ("check_server_time", {}, set()), ("compressed_aggregate_trades_list", {"symbol": "BTCUSDT"}, set()),
    ("current_all_open_orders", {}, {"activatePrice", "priceRate"}), ("exchange_information", {}, set()),
    ("futures_account_balance_v3", {}, set()), ("futures_account_configuration", {}, set()),
    ("get_bnb_burn_status", {}, set()), ("get_current_multi_assets_mode", {}, set()),
    ("get_current_position_mode", {}, set()), ("get_income_history", {}, set()),
    ("mark_price", {"symbol": "BTCUSDT"}, set()), ("notional_and_leverage_brackets", {}, {"notionalCoef"}),
    ("open_interest", {"symbol": "BTCUSDT"}, set()), ("order_book", {"symbol": "BTCUSDT"}, set()),
    ("position_adl_quantile_estimation", {"symbol": "BTCUSDT"}, set()),
    ("position_information_v2", {}, set()),
    ("position_information_v3", {}, set()), ("query_index_price_constituents", {"symbol": "BTCUSDT"}, set()),
    ("query_insurance_fund_balance_snapshot", {"symbol": "BTCUSDT"}, set()),
    ("query_user_rate_limit", {}, set()),
    ("recent_trades_list", {"symbol": "BTCUSDT"}, set()), ("rpi_order_book", {"symbol": "BTCUSDT"}, set()),
    ("start_user_data_stream", {}, set()), ("symbol_configuration", {}, set()),
    ("symbol_order_book_ticker", {"symbol": "BTCUSDT"}, set()),
    ("symbol_price_ticker_v2", {"symbol": "BTCUSDT"}, set()),
    ("ticker24hr_price_change_statistics", {"symbol": "BTCUSDT"}, set()), ("trading_schedule", {}, set()),
    ("user_commission_rate", {"symbol": "BTCUSDT"}, set()),
]  # fmt: skip
"""Methods, arguments, and members of the SDK's models that belong to other kinds of orders or contracts."""


async def test_the_official_sdk_finds_every_member_of_its_models() -> None:
    async with exchange() as venue:
        config = ConfigurationRestAPI(api_key=KEY, api_secret=SECRET, base_path=venue.url)
        rest = DerivativesTradingUsdsFutures(config_rest_api=config).rest_api

        def run() -> dict[str, tuple[set[str], set[str]]]:
            rest.new_order(symbol="BTCUSDT", side="BUY", type="MARKET", quantity=0.2)
            limit = {"symbol": "BTCUSDT", "side": "SELL", "type": "LIMIT", "time_in_force": "GTC"}
            rest.new_order(**limit, quantity=0.1, price=61_000.0)
            venue.venue.move_clock(venue.venue.clock.now_ms() + 1000)
            return {name: members(getattr(rest, name)(**given).data()) for name, given, _ in SDK}

        seen = await asyncio.to_thread(run)
    for name, _given, elsewhere in SDK:
        missing, unknown = seen[name]
        assert missing <= elsewhere, (name, missing)
        assert unknown <= {"futuresType", "lastUpdateId"}, (name, unknown)


def members(data: Any) -> tuple[set[str], set[str]]:
    """Members of the SDK's model that an answer lacks, and members that the model does not know."""
    first = data[0] if isinstance(data, list) else data
    model = getattr(first, "actual_instance", first)
    model = model[0] if isinstance(model, list) else model
    assert isinstance(model, pydantic.BaseModel)
    known = type(model).model_fields.items()
    missing = {field.alias or name for name, field in known if name not in model.model_fields_set}
    return missing - {"additional_properties"}, set(getattr(model, "additional_properties", {}))
