"""The futures market's surface: every operation with its weight, REST routes and WebSocket API names."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtm.paper.application import VenueApplication
from qtm.paper.faults import Faults
from qtm.paper.gateway import KEY_ONLY, TRADE, USER_DATA, Call, Gateway, Operation
from qtm.paper.metrics import Metrics
from qtm.paper.params import Params
from qtm.paper.streams import StreamHub
from qtm.paper.um.account_data import UmAccountData
from qtm.paper.um.market_data import UmMarketData
from qtm.paper.um.streams import UmStreams
from qtm.paper.um.trading import UmTrading
from qtm.paper.um.user_streams import UmListenKeys
from qtm.paper.um.venue import UmVenue

STREAM_PREFIXES = tuple(
    f"{front}{part}/{kind}"
    for front in ("/fstream", "")
    for part in ("/public", "/market", "/private", "")
    for kind in ("stream", "ws")
)
"""The split addresses, their unsplit predecessors, and the `/fstream` alias that ccxt needs."""

V1, V2, V3 = "/fapi/v1", "/fapi/v2", "/fapi/v3"


def um_application(
    venue: UmVenue, faults: Faults, metrics: Metrics
) -> tuple[VenueApplication, UmStreams, UmListenKeys]:
    """Wire a futures venue to the shared edge."""
    hub = StreamHub(faults, messages_per_second=10)
    gateway = Gateway("um", venue.wall, venue.rate_limits, venue.accounts, faults, metrics)
    data = UmMarketData(venue, gateway.now_us)
    streams = UmStreams(venue, hub, data)
    venue.listeners.append(streams)
    _market(gateway, data)
    _trading(gateway, venue)
    _account(gateway, venue)
    keys = UmListenKeys(gateway, hub)
    for method, run in (("POST", keys.create), ("PUT", keys.extend), ("DELETE", keys.delete)):
        gateway.add(Operation(f"listenKey.{method}", run, 1, KEY_ONLY), rest=(f"{method} {V1}/listenKey",))
    application = VenueApplication(gateway, hub, STREAM_PREFIXES, ("/ws-fapi/v1",))
    application.listen_keys = keys
    return application, streams, keys


def _market(gateway: Gateway, data: UmMarketData) -> None:
    def public(path: str, run: Any, weight: Any = 1, *more: str, ws: tuple[str, ...] = ()) -> None:
        gateway.add(Operation(path, run, weight), rest=(f"GET {V1}/{path}", *more), ws=ws)

    public("ping", data.ping, ws=("ping",))
    public("time", data.time, ws=("time",))
    public("exchangeInfo", data.exchange_info)
    public("depth", data.depth, _depth_weight, ws=("depth",))
    public("trades", data.trades, 5)
    public("historicalTrades", data.trades, 20)
    public("aggTrades", data.agg_trades, 20)
    for path in ("klines", "continuousKlines"):
        public(path, data.klines, _kline_weight)
    for path in ("markPriceKlines", "indexPriceKlines"):
        public(path, data.mark_klines, _kline_weight)
    public("premiumIndex", data.premium_index, partial(_by_symbol, 1, 10))
    public("fundingRate", data.funding_rate, 0)
    public("fundingInfo", data.funding_info, 0)
    public("ticker/24hr", data.ticker, partial(_by_symbol, 1, 40))
    public(
        "ticker/price", data.price, partial(_by_symbol, 1, 2), f"GET {V2}/ticker/price", ws=("ticker.price",)
    )
    public("ticker/bookTicker", data.book_ticker, partial(_by_symbol, 2, 5), ws=("ticker.book",))


def _trading(gateway: Gateway, venue: UmVenue) -> None:
    trading = UmTrading(venue)

    def entry(name: str, run: Any, rest: str, weight: int = 0, ws: tuple[str, ...] = ()) -> None:
        gateway.add(Operation(name, run, weight, TRADE, counts_orders=True), rest=(rest,), ws=ws)

    entry("order.place", trading.place, f"POST {V1}/order", ws=("order.place",))
    entry("order.modify", trading.amend, f"PUT {V1}/order", ws=("order.modify",))
    entry("order.cancel", trading.cancel, f"DELETE {V1}/order", 1, ws=("order.cancel",))
    entry("order.test", trading.test, f"POST {V1}/order/test")
    entry("batchOrders", trading.batch, f"POST {V1}/batchOrders", 5)
    entry("batchOrders.cancel", trading.cancel_batch, f"DELETE {V1}/batchOrders", 1)
    entry("allOpenOrders", trading.cancel_all, f"DELETE {V1}/allOpenOrders", 1)
    entry("countdownCancelAll", trading.countdown, f"POST {V1}/countdownCancelAll", 10)
    entry("algoOrder.place", trading.place_algo, f"POST {V1}/algoOrder", 1, ("algoOrder.place",))
    entry("algoOrder.cancel", trading.cancel_algo, f"DELETE {V1}/algoOrder", 1, ("algoOrder.cancel",))
    entry("algoOpenOrders", trading.cancel_all_algos, f"DELETE {V1}/algoOpenOrders", 1)

    def one(call: Call) -> dict[str, Any]:
        return trading.algo_view(call.account, trading.find_algo(call))

    def several(which: str, call: Call) -> list[dict[str, Any]]:
        symbol = call.params.text("symbol")
        for name in ("algoType", "algoId", "startTime", "endTime", "page", "limit"):
            call.params.text(name)
        call.params.finish()
        chosen = call.account.open_algos if which == "open" else call.account.algos
        return [
            trading.algo_view(call.account, o) for o in chosen.values() if symbol in (None, o.request.symbol)
        ]

    for path, run, weight in (
        ("algoOrder", one, 1), ("openAlgoOrders", partial(several, "open"), 1),
        ("allAlgoOrders", partial(several, "all"), 5),
    ):  # fmt: skip
        gateway.add(Operation(path, run, weight, USER_DATA), rest=(f"GET {V1}/{path}",))


def _account(gateway: Gateway, venue: UmVenue) -> None:
    data = UmAccountData(venue)

    def query(name: str, run: Any, weight: int, *rest: str, ws: tuple[str, ...] = ()) -> None:
        gateway.add(
            Operation(name, run, weight, USER_DATA), rest=tuple(f"GET {path}" for path in rest), ws=ws
        )

    query("account", data.account, 5, f"{V3}/account", ws=("account.status", "v2/account.status"))
    query("account.v2", partial(data.account, v2=True), 5, f"{V2}/account")
    query(
        "balance",
        data.balance,
        5,
        f"{V3}/balance",
        f"{V2}/balance",
        ws=("account.balance", "v2/account.balance"),
    )
    query(
        "positionRisk",
        data.positions,
        5,
        f"{V3}/positionRisk",
        ws=("account.position", "v2/account.position"),
    )
    query("positionRisk.v2", partial(data.positions, v2=True), 5, f"{V2}/positionRisk")
    query("accountConfig", data.config, 5, f"{V1}/accountConfig")
    query("symbolConfig", data.symbol_config, 5, f"{V1}/symbolConfig")
    query("leverageBracket", data.brackets, 1, f"{V1}/leverageBracket")
    query("commissionRate", data.commission, 20, f"{V1}/commissionRate")
    query("income", data.income, 30, f"{V1}/income")
    query("positionSide/dual", data.position_mode, 30, f"{V1}/positionSide/dual")
    query("rateLimit/order", data.order_counts, 1, f"{V1}/rateLimit/order")
    query("order.status", data.order, 1, f"{V1}/order", ws=("order.status",))
    query("openOrder", data.order, 1, f"{V1}/openOrder")
    query("openOrders", data.open_orders, 1, f"{V1}/openOrders")
    query("allOrders", data.all_orders, 5, f"{V1}/allOrders")
    query("userTrades", data.trades, 5, f"{V1}/userTrades")
    for path, run in (
        ("leverage", data.set_leverage), ("marginType", data.set_margin_type),
        ("positionSide/dual", data.set_position_mode), ("positionMargin", data.change_margin),
    ):  # fmt: skip
        gateway.add(Operation(f"{path}.set", run, 1, TRADE), rest=(f"POST {V1}/{path}",))


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
