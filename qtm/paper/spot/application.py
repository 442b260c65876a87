"""The spot market's surface: every operation with its weight, its REST routes and WebSocket API names."""

from __future__ import annotations

from typing import Any

from qtm.paper.application import VenueApplication
from qtm.paper.faults import Faults
from qtm.paper.gateway import KEY_ONLY, TRADE, USER_DATA, Call, Gateway, Operation
from qtm.paper.listen_key import ListenKeys
from qtm.paper.metrics import Metrics
from qtm.paper.params import Params
from qtm.paper.spot.account_data import AccountData
from qtm.paper.spot.list_trading import ListTrading
from qtm.paper.spot.market_data import MarketData
from qtm.paper.spot.replacing import Replacing
from qtm.paper.spot.streams import SpotStreams
from qtm.paper.spot.trading import Trading
from qtm.paper.spot.venue import SpotVenue
from qtm.paper.streams import StreamHub

STREAM_PREFIXES = ("/stream/ws", "/stream", "/ws")
"""`/stream/ws/<n>` is the address ccxt builds; it behaves as `/ws`."""

API = "/api/v3"


def spot_application(
    venue: SpotVenue, faults: Faults, metrics: Metrics, *, legacy_listen_key: bool = False
) -> tuple[VenueApplication, SpotStreams]:
    """Wire a spot venue to the shared edge; returns the application and the publisher of its streams."""
    hub = StreamHub(faults)
    streams = SpotStreams(venue, hub)
    venue.listeners.append(streams)
    gateway = Gateway("spot", venue.wall, venue.rate_limits, venue.accounts, faults, metrics)
    _market(gateway, venue)
    _trading(gateway, venue)
    _account(gateway, venue)
    _sapi(gateway, venue)
    application = VenueApplication(gateway, hub, STREAM_PREFIXES, ("/ws-api/v3",))
    if legacy_listen_key:
        keys = ListenKeys(gateway, ("/ws", "/stream/ws"), hub)
        application.listen_keys = keys
        for method, run in (("POST", keys.create), ("PUT", keys.extend), ("DELETE", keys.delete)):
            gateway.add(
                Operation(f"userDataStream.{method}", run, 2, KEY_ONLY),
                rest=(f"{method} {API}/userDataStream",),
            )
    return application, streams


def _market(gateway: Gateway, venue: SpotVenue) -> None:
    data = MarketData(venue, gateway.now_us)

    def public(name: str, run: Any, weight: Any, path: str, ws: str) -> None:
        gateway.add(Operation(name, run, weight), rest=(f"GET {API}/{path}",), ws=(ws,))

    public("ping", data.ping, 1, "ping", "ping")
    public("time", data.time, 1, "time", "time")
    public("exchangeInfo", data.exchange_info, 20, "exchangeInfo", "exchangeInfo")
    public("depth", data.depth, _depth_weight, "depth", "depth")
    public("trades", data.trades, 25, "trades", "trades.recent")
    public("aggTrades", data.agg_trades, 4, "aggTrades", "trades.aggregate")
    public("klines", data.klines, 2, "klines", "klines")
    public("uiKlines", data.klines, 2, "uiKlines", "uiKlines")
    public("avgPrice", data.average_price, 2, "avgPrice", "avgPrice")
    public("ticker/24hr", data.ticker_24h, _ticker_weight, "ticker/24hr", "ticker.24hr")
    public("ticker/tradingDay", data.ticker_day, _window_weight, "ticker/tradingDay", "ticker.tradingDay")
    public("ticker", data.ticker_window, _window_weight, "ticker", "ticker")
    public("ticker/price", data.price, _price_weight, "ticker/price", "ticker.price")
    public("ticker/bookTicker", data.book_ticker, _price_weight, "ticker/bookTicker", "ticker.book")
    public("referencePrice", data.reference_price, 2, "referencePrice", "referencePrice")
    calculation = "referencePrice/calculation"
    public(calculation, data.reference_price_calculation, 2, calculation, "referencePrice.calculation")
    public("executionRules", data.execution_rules, _rules_weight, "executionRules", "executionRules")
    blocks = "historicalBlockTrades"
    public(blocks, data.block_trades, 25, blocks, "blockTrades.historical")
    gateway.add(
        Operation("historicalTrades", data.trades, 25),
        rest=(f"GET {API}/historicalTrades",), ws=("trades.historical",),
    )  # fmt: skip


def _trading(gateway: Gateway, venue: SpotVenue) -> None:
    trading = Trading(venue)

    def order_entry(name: str, run: Any, rest: str, ws: str, weight: Any = 1) -> None:
        gateway.add(
            Operation(name, run, weight, TRADE, free_on_success=True, counts_orders=True),
            rest=(rest,),
            ws=(ws,),
        )

    order_entry("order.place", trading.place, f"POST {API}/order", "order.place")
    order_entry("order.cancel", trading.cancel, f"DELETE {API}/order", "order.cancel")
    order_entry(
        "openOrders.cancelAll", trading.cancel_all, f"DELETE {API}/openOrders", "openOrders.cancelAll"
    )
    replacing, lists = Replacing(trading), ListTrading(venue)
    order_entry(
        "order.cancelReplace",
        replacing.cancel_replace,
        f"POST {API}/order/cancelReplace",
        "order.cancelReplace",
    )
    order_entry(
        "order.amend", replacing.amend, f"PUT {API}/order/amend/keepPriority", "order.amend.keepPriority", 4
    )
    order_entry("orderList.oco", lists.oco, f"POST {API}/orderList/oco", "orderList.place.oco")
    order_entry("orderList.place", lists.old_oco, f"POST {API}/order/oco", "orderList.place")
    order_entry("orderList.oto", lists.oto, f"POST {API}/orderList/oto", "orderList.place.oto")
    order_entry("orderList.otoco", lists.otoco, f"POST {API}/orderList/otoco", "orderList.place.otoco")
    order_entry("orderList.opo", lists.opo, f"POST {API}/orderList/opo", "orderList.place.opo")
    order_entry("orderList.opoco", lists.opoco, f"POST {API}/orderList/opoco", "orderList.place.opoco")
    order_entry("orderList.cancel", lists.cancel, f"DELETE {API}/orderList", "orderList.cancel")
    for run, rest, ws in (
        (trading.place_routed, (f"POST {API}/sor/order",), ()),
        (lambda call: [trading.place_routed(call)], (), ("sor.order.place",)),
    ):
        gateway.add(
            Operation("sor.order", run, 1, TRADE, free_on_success=True, counts_orders=True), rest=rest, ws=ws
        )
    gateway.add(
        Operation("sor.order.test", trading.test_routed, _test_weight, TRADE),
        rest=(f"POST {API}/sor/order/test",), ws=("sor.order.test",),
    )  # fmt: skip
    gateway.add(
        Operation("order.test", trading.test, _test_weight, TRADE),
        rest=(f"POST {API}/order/test",), ws=("order.test",),
    )  # fmt: skip


def _account(gateway: Gateway, venue: SpotVenue) -> None:
    data = AccountData(venue)

    def query(name: str, run: Any, weight: Any, path: str, ws: str) -> None:
        gateway.add(Operation(name, run, weight, USER_DATA), rest=(f"GET {API}/{path}",), ws=(ws,))

    query("account", data.account, 20, "account", "account.status")
    query("order.status", data.order, 4, "order", "order.status")
    query("openOrders", data.open_orders, _open_orders_weight, "openOrders", "openOrders.status")
    query("allOrders", data.all_orders, 20, "allOrders", "allOrders")
    query("myTrades", data.my_trades, _my_trades_weight, "myTrades", "myTrades")
    query("commission", data.commission, 20, "account/commission", "account.commission")
    query(
        "myPreventedMatches",
        data.prevented_matches,
        _prevented_weight,
        "myPreventedMatches",
        "myPreventedMatches",
    )
    query("myAllocations", data.allocations, 20, "myAllocations", "myAllocations")
    query("myFilters", data.filters, 40, "myFilters", "myFilters")
    replacing, lists = Replacing(Trading(venue)), ListTrading(venue)
    query("order.amendments", replacing.amendments, 4, "order/amendments", "order.amendments")
    query("orderList", lists.query, 4, "orderList", "orderList.status")
    query("allOrderList", lists.all, 20, "allOrderList", "allOrderLists")
    query("openOrderList", lists.opened, 6, "openOrderList", "openOrderLists.status")
    query("rateLimit/order", data.order_counts, 40, "rateLimit/order", "account.rateLimits.orders")


def _sapi(gateway: Gateway, venue: SpotVenue) -> None:
    """The few wallet answers that general clients ask for while they load markets."""

    def trade_fee(call: Call) -> list[dict[str, Any]]:
        wanted = call.params.text("symbol")
        if wanted is not None:
            venue.symbol(wanted)
        fees = call.account.fees
        return [
            {
                "symbol": name,
                "makerCommission": f"{fees.maker / 1e8:.8g}",
                "takerCommission": f"{fees.taker / 1e8:.8g}",
            }
            for name in venue.symbols
            if wanted is None or name == wanted
        ]

    gateway.add(
        Operation("system/status", lambda call: {"status": 0, "msg": "normal"}),
        rest=("GET /sapi/v1/system/status",),
    )

    def burn(call: Call) -> dict[str, bool]:
        wanted = call.params.text("spotBNBBurn")
        call.params.text("interestBNBBurn")
        call.params.finish()
        if wanted is not None:
            call.account.fees.bnb_discount = wanted.lower() == "true"
        return {"spotBNBBurn": call.account.fees.bnb_discount, "interestBNBBurn": False}

    for method in ("GET", "POST"):
        gateway.add(Operation(f"bnbBurn.{method}", burn, 1, USER_DATA), rest=(f"{method} /sapi/v1/bnbBurn",))
    gateway.add(Operation("tradeFee", trade_fee, 1, USER_DATA), rest=("GET /sapi/v1/asset/tradeFee",))
    for path in ("capital/config/getall",):
        gateway.add(Operation(path, lambda call: [], 10, USER_DATA), rest=(f"GET /sapi/v1/{path}",))
    for path in ("margin/allPairs", "margin/isolated/allPairs"):
        gateway.add(Operation(path, lambda call: [], 1, KEY_ONLY), rest=(f"GET /sapi/v1/{path}",))


def _limit(params: Params, default: int) -> int:
    text = params.get("limit", "")
    return int(text) if text.isdigit() and len(text) < 9 else default


def _depth_weight(params: Params) -> int:
    limit = _limit(params, 100)
    return next((weight for cap, weight in ((100, 5), (500, 25), (1000, 50)) if limit <= cap), 250)


def _count(params: Params) -> int | None:
    """How many symbols a ticker request names, None for all of them."""
    if "symbol" in params:
        return 1
    return params["symbols"].count(",") + 1 if "symbols" in params else None


def _ticker_weight(params: Params) -> int:
    count = _count(params)
    if count is None or count > 100:
        return 80
    return 2 if count <= 20 else 40


def _price_weight(params: Params) -> int:
    return 2 if "symbol" in params else 4


def _rules_weight(params: Params) -> int:
    return min(40, 2 * (_count(params) or 20))


def _window_weight(params: Params) -> int:
    return min(200, 4 * (_count(params) or 1))


def _open_orders_weight(params: Params) -> int:
    return 6 if "symbol" in params else 80


def _my_trades_weight(params: Params) -> int:
    return 5 if "orderId" in params else 20


def _prevented_weight(params: Params) -> int:
    return 2 if "preventedMatchId" in params else 20


def _test_weight(params: Params) -> int:
    return 20 if params.get("computeCommissionRates", "").lower() == "true" else 1
