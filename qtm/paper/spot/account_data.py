"""Answers about an account: balances, orders, trades, commissions, order counts."""

from __future__ import annotations

from typing import Any

from qtm.paper.errors import ApiError
from qtm.paper.gateway import Call
from qtm.paper.params import Params
from qtm.paper.spot.accounts import SpotAccount
from qtm.paper.spot.orders import query_view, trade_view
from qtm.paper.spot.venue import SpotVenue
from qtm.paper.wire import text_of

DAY_MS = 86_400_000


def commission_rates(account: SpotAccount) -> dict[str, str]:
    """Commission rates as fractions."""
    return {
        "maker": text_of(account.fees.maker),
        "taker": text_of(account.fees.taker),
        "buyer": "0.00000000",
        "seller": "0.00000000",
    }


class AccountData:
    """Account queries of one venue."""

    def __init__(self, venue: SpotVenue) -> None:
        self.venue = venue

    def account(self, call: Call) -> dict[str, Any]:
        """GET account, account.status."""
        omit_zero = call.params.flag("omitZeroBalances")
        account: SpotAccount = call.account
        return {
            "makerCommission": account.fees.maker // 10_000,
            "takerCommission": account.fees.taker // 10_000,
            "buyerCommission": 0,
            "sellerCommission": 0,
            "commissionRates": commission_rates(account),
            "canTrade": True,
            "canWithdraw": True,
            "canDeposit": True,
            "brokered": False,
            "requireSelfTradePrevention": False,
            "preventSor": False,
            "updateTime": account.update_time_ms * 1000 // call.div,
            "accountType": "SPOT",
            "balances": [
                {"asset": asset, "free": text_of(balance.free), "locked": text_of(balance.locked)}
                for asset, balance in sorted(account.balances.items())
                if balance.free or balance.locked or not omit_zero
            ],
            "permissions": ["SPOT"],
            "uid": account.uid,
        }

    def order(self, call: Call) -> dict[str, Any]:
        """GET order, order.status."""
        params = call.params
        symbol = params.required("symbol")
        order_id, client_id = params.integer("orderId"), params.client_id("origClientOrderId")
        self.venue.symbol(symbol)
        if order_id is None and client_id is None:
            raise ApiError(
                -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
            )
        return query_view(self.venue.find(call.account, symbol, order_id, client_id), call.div)

    def open_orders(self, call: Call) -> list[dict[str, Any]]:
        """GET openOrders, openOrders.status."""
        symbol = call.params.text("symbol")
        if symbol is not None:
            self.venue.symbol(symbol)
        return [
            query_view(order, call.div)
            for order in call.account.open_orders.values()
            if symbol is None or order.symbol == symbol
        ]

    def all_orders(self, call: Call) -> list[dict[str, Any]]:
        """GET allOrders: from an order id on, or inside at most 24 hours, or the newest."""
        params = call.params
        symbol = params.required("symbol")
        self.venue.symbol(symbol)
        from_id = params.integer("orderId")
        start, end = time_range(params)
        limit = params.limit(500, 1000)
        history = call.account.history.get(symbol)
        orders = list(history.orders.values()) if history else []
        if from_id is not None:
            orders = [order for order in orders if order.id >= from_id]
        if start is not None:
            orders = [order for order in orders if order.time_us >= start]
        if end is not None:
            orders = [order for order in orders if order.time_us <= end]
        oldest_first = from_id is not None or start is not None
        chosen = orders[:limit] if oldest_first else orders[-limit:]
        return [query_view(order, call.div) for order in chosen]

    def my_trades(self, call: Call) -> list[dict[str, Any]]:
        """GET myTrades."""
        params = call.params
        symbol = params.required("symbol")
        self.venue.symbol(symbol)
        order_id, from_id = params.integer("orderId"), params.integer("fromId")
        start, end = time_range(params)
        limit = params.limit(500, 1000)
        history = call.account.history.get(symbol)
        trades = list(history.trades) if history else []
        if order_id is not None:
            trades = [trade for trade in trades if trade.order_id == order_id]
        if from_id is not None:
            trades = [trade for trade in trades if trade.id >= from_id]
        if start is not None:
            trades = [trade for trade in trades if trade.time_us >= start]
        if end is not None:
            trades = [trade for trade in trades if trade.time_us <= end]
        chosen = trades[:limit] if from_id is not None or start is not None else trades[-limit:]
        return [trade_view(symbol, trade, call.div) for trade in chosen]

    def commission(self, call: Call) -> dict[str, Any]:
        """GET account/commission, account.commission."""
        symbol = call.params.required("symbol")
        self.venue.symbol(symbol)
        zero = {"maker": "0.00000000", "taker": "0.00000000", "buyer": "0.00000000", "seller": "0.00000000"}
        return {
            "symbol": symbol,
            "standardCommission": commission_rates(call.account),
            "specialCommission": zero,
            "taxCommission": zero,
            "discount": {
                "enabledForAccount": call.account.fees.bnb_discount,
                "enabledForSymbol": True,
                "discountAsset": "BNB",
                "discount": text_of(call.account.fees.discount),
            },
        }

    def prevented_matches(self, call: Call) -> list[dict[str, Any]]:
        """GET myPreventedMatches."""
        params = call.params
        symbol = params.required("symbol")
        self.venue.symbol(symbol)
        match_id, order_id = params.integer("preventedMatchId"), params.integer("orderId")
        from_id = params.integer("fromPreventedMatchId") or 0
        limit = params.limit(500, 1000)
        if match_id is None and order_id is None:
            raise ApiError(
                -1102, "Param 'preventedMatchId' or 'orderId' must be sent, but both were empty/null!"
            )
        history = call.account.history.get(symbol)
        found = [
            match
            for match in (history.prevented if history else ())
            if match.id >= from_id
            and match_id in (None, match.id)
            and order_id in (None, match.taker_order_id, match.maker_order_id)
        ]
        return [
            {
                "symbol": symbol,
                "preventedMatchId": match.id,
                "takerOrderId": match.taker_order_id,
                "makerSymbol": symbol,
                "makerOrderId": match.maker_order_id,
                "tradeGroupId": match.trade_group_id,
                "selfTradePreventionMode": match.mode,
                "price": text_of(match.price),
                "makerPreventedQuantity": text_of(match.maker_qty),
                "transactTime": match.time_us // call.div,
            }
            for match in found[:limit]
        ]

    def allocations(self, call: Call) -> list[dict[str, Any]]:
        """GET myAllocations: none, because this venue does not route between books."""
        params = call.params
        self.venue.symbol(params.required("symbol"))
        time_range(params)
        params.integer("fromAllocationId")
        params.integer("orderId")
        params.limit(500, 1000)
        return []

    def filters(self, call: Call) -> dict[str, Any]:
        """GET myFilters."""
        symbol = self.venue.symbol(call.params.required("symbol"))
        return {
            "exchangeFilters": self.venue.exchange_filters,
            "symbolFilters": symbol.filters,
            "assetFilters": [],
            "rateLimits": [],
        }

    def order_counts(self, call: Call) -> list[dict[str, Any]]:
        """GET rateLimit/order, account.rateLimits.orders."""
        now_s = self.venue.wall.now_ms() / 1000
        return [
            {**counter.limit.public(), "count": counter.roll(now_s)}
            for counter in call.account.limits.counters
        ]


def time_range(params: Params) -> tuple[int | None, int | None]:
    """`startTime` and `endTime` in microseconds; -1127 when more than 24 hours apart."""
    start, end = params.integer("startTime"), params.integer("endTime")
    start = start * 1000 if start is not None and start < 10**14 else start
    end = end * 1000 if end is not None and end < 10**14 else end
    if start is not None and end is not None:
        if end < start:
            raise ApiError(-1128, "Start time is greater than end time.")
        if end - start > DAY_MS * 1000:
            raise ApiError(-1127, "More than 24 hours between startTime and endTime.")
    return start, end
