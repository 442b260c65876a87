"""Answers about an account: balances, orders, trades, commissions, order counts."""

from __future__ import annotations

from typing import Any

from qtm.paper.errors import ApiError
from qtm.paper.gateway import Call
from qtm.paper.params import Params
from qtm.paper.spot.accounts import SpotAccount
from qtm.paper.spot.archive import Page
from qtm.paper.spot.fees import NOTHING
from qtm.paper.spot.order_views import allocation_view, query_view, trade_view
from qtm.paper.spot.venue import SpotVenue
from qtm.paper.wire import text_of

DAY_MS = 86_400_000


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
            "commissionRates": account.fees.standard(),
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
        oldest_first = from_id is not None or start is not None
        page = Page(limit, oldest_first, from_id=from_id, start_us=start, end_us=end)
        return [query_view(order, call.div) for order in call.account.symbol(symbol).page_of_orders(page)]

    def my_trades(self, call: Call) -> list[dict[str, Any]]:
        """GET myTrades."""
        params = call.params
        symbol = params.required("symbol")
        self.venue.symbol(symbol)
        order_id, from_id = params.integer("orderId"), params.integer("fromId")
        start, end = time_range(params)
        limit = params.limit(500, 1000)
        if (start is not None or end is not None) and (order_id is not None or from_id is not None):
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        oldest_first = from_id is not None or start is not None
        page = Page(limit, oldest_first, from_id=from_id, order_id=order_id, start_us=start, end_us=end)
        return [
            trade_view(symbol, trade, call.div) for trade in call.account.symbol(symbol).page_of_trades(page)
        ]

    def commission(self, call: Call) -> dict[str, Any]:
        """GET account/commission, account.commission."""
        symbol = call.params.required("symbol")
        self.venue.symbol(symbol)
        return {
            "symbol": symbol,
            "standardCommission": call.account.fees.standard(),
            "specialCommission": NOTHING,
            "taxCommission": NOTHING,
            "discount": call.account.fees.discount_view(),
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
                "makerSymbol": match.maker_symbol or symbol,
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
        """GET myAllocations: what smart order routing has handed over."""
        params = call.params
        symbol = params.required("symbol")
        self.venue.symbol(symbol)
        start, end = time_range(params)
        from_id, order_id = params.integer("fromAllocationId"), params.integer("orderId")
        limit = params.limit(500, 1000)
        history = call.account.history.get(symbol)
        found = [
            allocation
            for allocation in (history.allocations if history else ())
            if (from_id is None or allocation.allocation_id >= from_id)
            and (order_id is None or allocation.order_id == order_id)
            and (start is None or allocation.time_us >= start)
            and (end is None or allocation.time_us <= end)
        ]
        oldest_first = from_id is not None or start is not None
        chosen = found[:limit] if oldest_first else found[-limit:]
        return [allocation_view(symbol, allocation, call.div) for allocation in chosen]

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
        return [{**limit.public(), "count": used} for limit, used in call.account.limits.counts(now_s)]


def time_range(params: Params) -> tuple[int | None, int | None]:
    """`startTime` and `endTime` in microseconds; -1127 when more than 24 hours apart."""
    start, end = params.integer("startTime"), params.integer("endTime")
    start = start * 1000 if start is not None and start < 10**14 else start
    end = end * 1000 if end is not None and end < 10**14 else end
    if start is not None and end is not None:
        if end < start:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        if end - start > DAY_MS * 1000:
            raise ApiError(-1127, "More than 24 hours between startTime and endTime.")
    return start, end
