"""The futures market's surface: every operation with its weight, REST routes and WebSocket API names."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from qtm.paper.application import VenueApplication
from qtm.paper.faults import Faults
from qtm.paper.gateway import KEY_ONLY, NONE, TRADE, USER_DATA, Call, Gateway, Operation
from qtm.paper.http import Request, Response
from qtm.paper.limits import RateLimit
from qtm.paper.metrics import Metrics
from qtm.paper.params import Params
from qtm.paper.streams import StreamHub
from qtm.paper.um.account_data import UmAccountData
from qtm.paper.um.account_history import UmAccountHistory
from qtm.paper.um.account_settings import UmAccountSettings
from qtm.paper.um.aggregates import Aggregates
from qtm.paper.um.candles import UmCandles
from qtm.paper.um.conditional_orders import UmConditionalOrders
from qtm.paper.um.market_data import UmMarketData
from qtm.paper.um.split_addresses import SplitConnection, split_part
from qtm.paper.um.statistics import MarketStatistics
from qtm.paper.um.streams import UmStreams
from qtm.paper.um.trading import UmTrading
from qtm.paper.um.user_streams import UmListenKeys
from qtm.paper.um.venue import UmVenue
from qtm.paper.websocket import WebSocket

STREAM_PREFIXES = tuple(
    f"{front}{part}/{kind}"
    for front in ("/fstream", "")
    for part in ("/public", "/market", "/private", "")
    for kind in ("stream", "ws")
)
"""The split addresses, their unsplit predecessors, and the `/fstream` alias that ccxt needs."""

PING_EVERY_S, PONG_WITHIN_S = 180.0, 600.0

FUNDING_LIMIT = RateLimit("FUNDING", "MINUTE", 5, 500)
"""Requests an address may make to the funding endpoints, counted apart from everything else."""

V1, V2, V3 = "/fapi/v1", "/fapi/v2", "/fapi/v3"


def um_application(
    venue: UmVenue, faults: Faults, metrics: Metrics
) -> tuple[VenueApplication, UmStreams, UmListenKeys]:
    """Wire a futures venue to the shared edge."""
    hub = StreamHub(faults, messages_per_second=10)
    gateway = Gateway("um", venue.wall, venue.rate_limits, venue.accounts, faults, metrics)
    aggregates = Aggregates(lambda market, trade: streams.aggregated(market, trade))
    statistics = MarketStatistics(venue)
    data = UmMarketData(venue, aggregates, gateway.now_us)
    streams = UmStreams(venue, hub, data)
    venue.listeners.extend((aggregates, statistics, streams))
    venue.watchers.append(streams)
    _market(gateway, data)
    _statistics(gateway, statistics)
    _trading(gateway, venue)
    _conditional(gateway, venue)
    _account(gateway, venue)
    _settings(gateway, venue)
    _elsewhere(gateway)
    keys = UmListenKeys(gateway, hub)
    for method, run, name in (
        ("POST", keys.create, "start"), ("PUT", keys.extend, "ping"), ("DELETE", keys.delete, "stop"),
    ):  # fmt: skip
        operation = Operation(f"listenKey.{method}", run, 1, KEY_ONLY)
        gateway.add(operation, rest=(f"{method} {V1}/listenKey",), ws=(f"userDataStream.{name}",))
    application = UmApplication(
        gateway,
        hub,
        STREAM_PREFIXES,
        ("/ws-fapi/v1",),
        ping_every_s=PING_EVERY_S,
        pong_within_s=PONG_WITHIN_S,
    )
    application.listen_keys = keys
    return application, streams, keys


class UmApplication(VenueApplication):
    """The futures market behind its port: split stream addresses serve their own streams only."""

    def _take_over(self, request: Request, socket: WebSocket) -> str | Response | None:
        part = split_part(request.path)
        if part is None:
            return super()._take_over(request, socket)
        if self.listen_keys is not None and self.listen_keys.accept(request, socket):
            return "user"
        return self._open_stream(request, socket, partial(SplitConnection, part))


def _market(gateway: Gateway, data: UmMarketData) -> None:
    candles = UmCandles(data.venue)

    def public(
        path: str,
        run: Any,
        weight: Any = 1,
        *more: str,
        ws: tuple[str, ...] = (),
        security: str = NONE,
        pool: RateLimit | None = None,
    ) -> None:
        operation = Operation(path, partial(_unsigned, run), weight, security, pool=pool)
        gateway.add(operation, rest=(f"GET {V1}/{path}", *more), ws=ws)

    public("ping", data.ping, ws=("ping",))
    public("time", data.time, ws=("time",))
    public("exchangeInfo", data.exchange_info)
    public("depth", data.depth, _depth_weight, ws=("depth",))
    public("rpiDepth", data.depth, 20)
    public("trades", data.trades, 5)
    public("historicalTrades", data.trades, 200, security=KEY_ONLY)
    public("aggTrades", data.agg_trades, 20)
    public("klines", candles.klines, _kline_weight)
    public("continuousKlines", candles.continuous_klines, _kline_weight)
    public("markPriceKlines", candles.mark_klines, _kline_weight)
    public("indexPriceKlines", candles.index_klines, _kline_weight)
    public("premiumIndexKlines", candles.premium_klines, _kline_weight)
    public("premiumIndex", data.premium_index, partial(_by_symbol, 1, 10))
    public("fundingRate", data.funding_rate, 0, pool=FUNDING_LIMIT)
    public("fundingInfo", data.funding_info, 0, pool=FUNDING_LIMIT)
    public("ticker/24hr", data.ticker, partial(_by_symbol, 1, 40))
    public(
        "ticker/price", data.price, partial(_by_symbol, 1, 2), f"GET {V2}/ticker/price", ws=("ticker.price",)
    )
    public("ticker/bookTicker", data.book_ticker, partial(_by_symbol, 2, 5), ws=("ticker.book",))
    public("constituents", data.constituents, 2)
    public("assetIndex", data.asset_index, partial(_by_symbol, 1, 10))
    public("indexInfo", data.composite_index)
    public("insuranceBalance", data.insurance)
    public("symbolAdlRisk", data.adl_risk)
    public("tradingSchedule", data.schedule, 5)


def _unsigned(run: Callable[[Call], Any], call: Call) -> Any:
    """Pass over the signature that some clients put on public requests too."""
    call.params.used.update(("apiKey", "timestamp", "recvWindow", "signature"))
    return run(call)


def _statistics(gateway: Gateway, statistics: MarketStatistics) -> None:
    interest = Operation("openInterest", partial(_unsigned, statistics.interest_now), 1)
    gateway.add(interest, rest=(f"GET {V1}/openInterest",))
    for path, run in (
        ("openInterestHist", statistics.interest_history),
        ("topLongShortAccountRatio", partial(statistics.ratio, "topAccounts")),
        ("topLongShortPositionRatio", partial(statistics.ratio, "topPositions")),
        ("globalLongShortAccountRatio", partial(statistics.ratio, "global")),
        ("takerlongshortRatio", statistics.taker_volume), ("basis", statistics.basis),
        ("delivery-price", statistics.delivery_prices),
    ):  # fmt: skip
        gateway.add(Operation(path, partial(_unsigned, run), 0), rest=(f"GET /futures/data/{path}",))


def _trading(gateway: Gateway, venue: UmVenue) -> None:
    trading = UmTrading(venue)

    def entry(name: str, run: Any, rest: str, weight: int = 0, ws: tuple[str, ...] = ()) -> None:
        gateway.add(Operation(name, run, weight, TRADE, counts_orders=True), rest=(rest,), ws=ws)

    entry("order.place", trading.place, f"POST {V1}/order", ws=("order.place",))
    entry("order.modify", trading.amend, f"PUT {V1}/order", ws=("order.modify",))
    entry("order.cancel", trading.cancel, f"DELETE {V1}/order", 1, ws=("order.cancel",))
    entry("order.test", trading.test, f"POST {V1}/order/test")
    entry("batchOrders", trading.batch, f"POST {V1}/batchOrders", 5)
    entry("batchOrders.modify", trading.amend_batch, f"PUT {V1}/batchOrders", 5)
    entry("batchOrders.cancel", trading.cancel_batch, f"DELETE {V1}/batchOrders", 1)
    entry("allOpenOrders", trading.cancel_all, f"DELETE {V1}/allOpenOrders", 1)
    entry("countdownCancelAll", trading.countdown, f"POST {V1}/countdownCancelAll", 10)


def _conditional(gateway: Gateway, venue: UmVenue) -> None:
    orders = UmConditionalOrders(venue)
    for name, run, rest in (
        ("algoOrder.place", orders.place, f"POST {V1}/algoOrder"),
        ("algoOrder.cancel", orders.cancel, f"DELETE {V1}/algoOrder"),
        ("algoOpenOrders", orders.cancel_all, f"DELETE {V1}/algoOpenOrders"),
    ):
        operation = Operation(name, run, 1, TRADE, counts_orders=True)
        gateway.add(operation, rest=(rest,), ws=(name,) if "." in name else ())
    for path, query, weight in (
        ("algoOrder", orders.query, 1), ("openAlgoOrders", orders.opened, partial(_by_symbol, 1, 40)),
        ("allAlgoOrders", orders.every, 5),
    ):  # fmt: skip
        gateway.add(Operation(path, query, weight, USER_DATA), rest=(f"GET {V1}/{path}",))


def _account(gateway: Gateway, venue: UmVenue) -> None:
    data, history = UmAccountData(venue), UmAccountHistory(venue)

    def query(name: str, run: Any, weight: Any, *rest: str, ws: tuple[str, ...] = ()) -> None:
        paths = tuple(f"GET {path}" for path in rest)
        gateway.add(Operation(name, run, weight, USER_DATA), rest=paths, ws=ws)

    query("account", data.account, 5, f"{V3}/account", ws=("v2/account.status",))
    query("account.v2", partial(data.account, v2=True), 5, f"{V2}/account", ws=("account.status",))
    query("positionRisk", data.positions, 5, f"{V3}/positionRisk", ws=("v2/account.position",))
    query(
        "positionRisk.v2", partial(data.positions, v2=True), 5, f"{V2}/positionRisk", ws=("account.position",)
    )
    balances = ("account.balance", "v2/account.balance")
    query("balance", data.balance, 5, f"{V3}/balance", f"{V2}/balance", ws=balances)
    for path, run, weight in (
        ("accountConfig", data.config, 5), ("symbolConfig", data.symbol_config, 5),
        ("leverageBracket", data.brackets, 1), ("commissionRate", data.commission, 20),
        ("positionSide/dual", data.position_mode, 30), ("multiAssetsMargin", data.asset_mode, 30),
        ("feeBurn", data.fee_burn, 30), ("adlQuantile", data.adl_quantile, 5),
        ("apiTradingStatus", data.trading_status, partial(_by_symbol, 1, 10)),
        ("rateLimit/order", data.order_counts, 1), ("income", history.income, 30),
        ("openOrder", history.open_order, 1), ("openOrders", history.open_orders, partial(_by_symbol, 1, 40)),
        ("allOrders", history.orders, 5), ("userTrades", history.trades, 5),
        ("orderAmendment", history.amendments, 1), ("positionMargin/history", history.margin_changes, 1),
        ("forceOrders", history.forced, partial(_by_symbol, 20, 50)),
    ):  # fmt: skip
        query(path, run, weight, f"{V1}/{path}")
    query("order.status", history.order, 1, f"{V1}/order", ws=("order.status",))


def _settings(gateway: Gateway, venue: UmVenue) -> None:
    settings = UmAccountSettings(venue)
    for path, run in (
        ("leverage", settings.leverage), ("marginType", settings.margin_type),
        ("positionSide/dual", settings.position_mode), ("positionMargin", settings.position_margin),
        ("multiAssetsMargin", settings.asset_mode), ("feeBurn", settings.fee_burn),
    ):  # fmt: skip
        gateway.add(Operation(f"{path}.set", run, 1, TRADE), rest=(f"POST {V1}/{path}",))


def _elsewhere(gateway: Gateway) -> None:
    """The few answers of other Binance services that general clients ask for while they load markets."""
    status = Operation("system/status", lambda call: {"status": 0, "msg": "normal"})
    gateway.add(status, rest=("GET /sapi/v1/system/status",))
    coins = Operation("dapi/exchangeInfo", lambda call: {"symbols": []})
    gateway.add(coins, rest=("GET /dapi/v1/exchangeInfo",))
    for path, security in (
        ("capital/config/getall", USER_DATA), ("margin/allPairs", KEY_ONLY),
        ("margin/isolated/allPairs", KEY_ONLY),
    ):  # fmt: skip
        gateway.add(Operation(path, lambda call: [], 1, security), rest=(f"GET /sapi/v1/{path}",))


def _limit(params: Params) -> int:
    text = params.get("limit", "")
    return int(text) if text.isdigit() and len(text) < 9 else 500


def _depth_weight(params: Params) -> int:
    return next((weight for cap, weight in ((50, 2), (100, 5), (500, 10)) if _limit(params) <= cap), 20)


def _kline_weight(params: Params) -> int:
    limit = _limit(params)
    return 1 if limit < 100 else 2 if limit < 500 else 5 if limit <= 1000 else 10


def _by_symbol(one: int, every: int, params: Params) -> int:
    return one if "symbol" in params else every
