"""The unmodified official SDK over WebSockets: every request of the WebSocket API, every stream."""

from __future__ import annotations

import asyncio
from typing import Any

from binance_common.configuration import ConfigurationWebSocketAPI, ConfigurationWebSocketStreams
from binance_sdk_spot.spot import Spot

from qtm.paper.wire import E8
from tests.paper.test_official_sdk import PAIRS, S
from tests.paper.worlds import KEY, SECRET, exchange, replay


def api_client(url: str) -> Any:
    configuration = ConfigurationWebSocketAPI(
        api_key=KEY, api_secret=SECRET, stream_url=url + "/ws-api/v3", timeout=5
    )
    return Spot(config_ws_api=configuration).websocket_api


def one_of(answer: Any) -> Any:
    """The answer inside a model that may be one of several."""
    return getattr(answer, "actual_instance", None) or answer


async def orders(api: Any) -> dict[str, Any]:
    """In this order: each request leaves what the next one needs."""
    limit = {"time_in_force": "GTC", "quantity": 0.01, "price": 50000.0}
    working = {"working_time_in_force": "GTC"}
    pending = {"pending_price": 90000.0, "pending_time_in_force": "GTC"}
    bracket = {
        "pending_above_price": 90000.0, "pending_below_type": "STOP_LOSS",
        "pending_below_stop_price": 40000.0,
    }  # fmt: skip
    return {
        "place": await api.order_place(S, "BUY", "LIMIT", new_client_order_id="ws1", **limit),
        "test": await api.order_test(S, "BUY", "MARKET", quantity=0.01),
        "status": await api.order_status(S, orig_client_order_id="ws1"),
        "amend": await api.order_amend_keep_priority(
            S, 0.005, orig_client_order_id="ws1", new_client_order_id="ws2"
        ),
        "amendments": await api.order_amendments(S, 1),
        "replace": await api.order_cancel_replace(
            S, "STOP_ON_FAILURE", "BUY", "LIMIT", cancel_orig_client_order_id="ws2",
            new_client_order_id="ws3", **limit,
        ),
        "open": await api.open_orders_status(symbol=S),
        "cancel": await api.order_cancel(S, orig_client_order_id="ws3"),
        "oco": await api.order_list_place_oco(
            S, "SELL", 0.1, "LIMIT_MAKER", "STOP_LOSS", above_price=90000.0, below_stop_price=30000.0,
            list_client_order_id="wl1",
        ),
        "old_oco": await api.order_list_place(S, "SELL", 90000.0, 0.1, stop_price=30000.0),
        "oto": await api.order_list_place_oto(
            S, "LIMIT", "BUY", 50000.0, 0.01, "LIMIT", "SELL", 0.01, **working, **pending
        ),
        "otoco": await api.order_list_place_otoco(
            S, "LIMIT", "BUY", 50000.0, 0.01, "SELL", 0.01, "LIMIT_MAKER", **working, **bracket
        ),
        "opo": await api.order_list_place_opo(
            S, "LIMIT", "BUY", 50000.0, 0.01, "LIMIT", "SELL", **working, **pending
        ),
        "opoco": await api.order_list_place_opoco(
            S, "LIMIT", "BUY", 50000.0, 0.01, "SELL", "LIMIT_MAKER", **working, **bracket
        ),
        "list": await api.order_list_status(order_list_id=0),
        "lists": await api.all_order_lists(),
        "open_lists": await api.open_order_lists_status(),
        "cancel_list": await api.order_list_cancel(S, list_client_order_id="wl1"),
        "cancel_all": await api.open_orders_cancel_all(S),
        "sor": await api.sor_order_place(S, "BUY", "MARKET", 0.01),
        "sor_test": await api.sor_order_test(S, "BUY", "MARKET", 0.01),
    }  # fmt: skip


async def queries(api: Any) -> dict[str, Any]:
    return {
        "ping": await api.ping(), "time": await api.time(), "info": await api.exchange_info(symbol=S),
        "rules": await api.execution_rules(), "depth": await api.depth(S),
        "trades": await api.trades_recent(S),
        "historical": await api.trades_historical(S), "aggregate": await api.trades_aggregate(S),
        "blocks": await api.block_trades_historical(S, 1), "klines": await api.klines(S, "1m"),
        "ui_klines": await api.ui_klines(S, "1m"), "average": await api.avg_price(S),
        "day": await api.ticker24hr(symbol=S), "trading_day": await api.ticker_trading_day(symbol=S),
        "window": await api.ticker(symbol=S), "price": await api.ticker_price(symbol=S),
        "book": await api.ticker_book(symbol=S), "reference": await api.reference_price(S),
        "account": await api.account_status(), "commission": await api.account_commission(S),
        "counts": await api.account_rate_limits_orders(), "all": await api.all_orders(S),
        "my_trades": await api.my_trades(S), "prevented": await api.my_prevented_matches(S, order_id=1),
        "allocations": await api.my_allocations(S), "filters": await api.my_filters(S),
        "session": await api.session_status(), "subscriptions": await api.session_subscriptions(),
    }  # fmt: skip


async def test_every_request_of_the_websocket_api_is_answered_as_the_sdk_reads_it() -> None:
    async with exchange(replay(*PAIRS)) as ex:
        ex.advance(3)
        api = await api_client(ex.ws_url).create_connection()
        try:
            events: list[Any] = []
            user = await api.user_data_stream_subscribe_signature()
            user.stream.on("message", events.append)
            answers = await orders(api) | await queries(api)
            data = {name: one_of(answer.data()) for name, answer in answers.items()}
            # These two models of the SDK miss the envelope: they are there when it could read the limits.
            assert [bool(data.pop(name).rate_limits) for name in ("info", "filters")] == [True, True]
            assert {name for name, body in data.items() if body.status != 200} == set()
            assert {name for name, body in data.items() if not getattr(body, "rate_limits", True)} == set()
            assert data["place"].result.status == "NEW"
            assert data["cancel"].result.orig_client_order_id == "ws3"
            assert [row.allocation_id for row in data["allocations"].result] == [0]
            await asyncio.sleep(0.2)
            assert events
        finally:
            await api.close_connection(close_session=True)


async def test_every_stream_reaches_the_sdk_s_reader() -> None:
    async with exchange(replay(*PAIRS)) as ex:
        configuration = ConfigurationWebSocketStreams(stream_url=ex.ws_url)
        streams = await Spot(config_ws_streams=configuration).websocket_streams.create_connection()
        symbol = {"symbol": "btcusdt"}
        got: dict[str, list[Any]] = {}
        try:
            for name, opened in {
                "trade": streams.trade(**symbol), "agg_trade": streams.agg_trade(**symbol),
                "block_trade": streams.block_trade(**symbol), "book_ticker": streams.book_ticker(**symbol),
                "depth": streams.diff_book_depth(**symbol), "average": streams.avg_price(**symbol),
                "partial": streams.partial_book_depth(**symbol, levels=5),
                "mini": streams.mini_ticker(**symbol),
                "kline": streams.kline(**symbol, interval="1m"), "ticker": streams.ticker(**symbol),
                "offset": streams.kline_offset(**symbol, interval="1h"),
                "all_mini": streams.all_mini_ticker(),
                "window": streams.rolling_window_ticker(**symbol, window_size="1h"),
                "all_windows": streams.all_market_rolling_window_ticker(window_size="1h"),
                "reference": streams.reference_price(**symbol),
            }.items():  # fmt: skip
                stream = await opened
                stream.on("message", got.setdefault(name, []).append)
                await asyncio.sleep(0.22)  # five messages a second are allowed
            ex.venue.print_block("BTCUSDT", 1, 60_000 * E8, E8, buyer_is_maker=False)
            ex.advance(2)
            async with asyncio.timeout(30):
                while not all(got.values()):
                    await asyncio.sleep(0.05)
        finally:
            await streams.close_connection(close_session=True)
        assert got["kline"][-1].k.x is True
        assert got["trade"][0].q == got["agg_trade"][0].q
