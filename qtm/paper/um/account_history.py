"""What a futures account has done: orders, trades, income, modifications, margin changes, liquidations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from qtm.paper.errors import ApiError
from qtm.paper.gateway import Call
from qtm.paper.params import Params
from qtm.paper.um.orders import ADL_ID, LIQUIDATION_ID
from qtm.paper.um.venue import UmVenue
from qtm.paper.wire import text_of

WEEK_MS = 7 * 86_400_000


class UmAccountHistory:
    """Queries of the past of one venue's accounts."""

    def __init__(self, venue: UmVenue) -> None:
        self.venue = venue

    def order(self, call: Call) -> dict[str, Any]:
        """GET order."""
        symbol, order_id, client_id = self._reference(call)
        found = self.venue.find(call.account, symbol, order_id, client_id)
        return found.view(self.venue.symbols[symbol], with_time=True)

    def open_order(self, call: Call) -> dict[str, Any]:
        """GET openOrder: -2013 for an order that is no longer open."""
        symbol, order_id, client_id = self._reference(call)
        found = self.venue.find(call.account, symbol, order_id, client_id)
        if not found.is_open:
            raise ApiError(-2013, "Order does not exist.")
        return found.view(self.venue.symbols[symbol], with_time=True)

    def open_orders(self, call: Call) -> list[dict[str, Any]]:
        """GET openOrders."""
        wanted = call.params.text("symbol")
        call.params.finish()
        if wanted is not None:
            self.venue.symbol(wanted)
        return [
            order.view(self.venue.symbols[order.symbol], with_time=True)
            for order in call.account.open_orders.values()
            if wanted in (None, order.symbol)
        ]

    def orders(self, call: Call) -> list[dict[str, Any]]:
        """GET allOrders."""
        rows = self._past(call, "orderId", call.account.orders.values(), lambda order: order.id)
        return [order.view(self.venue.symbols[order.symbol], with_time=True) for order in rows]

    def trades(self, call: Call) -> list[dict[str, Any]]:
        """GET userTrades."""
        order_id = call.params.integer("orderId")
        kept = [trade for trade in call.account.trades if order_id in (None, trade.order_id)]
        rows = self._past(call, "fromId", kept, lambda trade: trade.id)
        return [trade.view(self.venue.symbols[trade.symbol]) for trade in rows]

    def income(self, call: Call) -> list[dict[str, Any]]:
        """GET income."""
        params = call.params
        symbol, kind = params.text("symbol"), params.text("incomeType")
        between = Period(params)
        page, limit = params.integer("page") or 1, params.limit(100, 1000)
        params.finish()
        rows = [
            i
            for i in call.account.income
            if symbol in (None, i.symbol) and kind in (None, i.kind) and between(i.time_us)
        ]
        chosen = rows[(page - 1) * limit : page * limit] if between.begins else _newest(rows, limit, page)
        return [
            {
                "symbol": i.symbol, "incomeType": i.kind, "income": text_of(i.amount), "asset": i.asset,
                "info": str(i.trade_id or i.kind), "time": i.time_us // 1000, "tranId": i.transaction,
                "tradeId": str(i.trade_id or ""),
            }
            for i in chosen
        ]  # fmt: skip

    def amendments(self, call: Call) -> list[dict[str, Any]]:
        """GET orderAmendment."""
        params = call.params
        symbol = self.venue.symbol(params.required("symbol"))
        order_id, client_id = params.integer("orderId"), params.client_id("origClientOrderId")
        between, limit = Period(params), params.limit(50, 100)
        params.finish()
        if order_id is None and client_id is None:
            raise either("orderId", "origClientOrderId")
        rows = [
            row
            for row in call.account.amendments
            if row.symbol == symbol.name
            and (row.order_id == order_id if order_id is not None else row.client_id == client_id)
            and between(row.time_us)
        ]
        return [row.view(symbol) for row in rows[-limit:]]

    def margin_changes(self, call: Call) -> list[dict[str, Any]]:
        """GET positionMargin/history."""
        params = call.params
        symbol, kind = self.venue.symbol(params.required("symbol")), params.integer("type")
        between, limit = Period(params), params.limit(500, 1000)
        params.finish()
        rows = [
            row
            for row in call.account.margin_changes
            if row.symbol == symbol.name and kind in (None, row.type) and between(row.time_us)
        ]
        return [
            {
                "symbol": row.symbol, "type": row.type, "deltaType": "USER_ADJUST",
                "amount": text_of(row.amount), "asset": row.asset, "time": row.time_us // 1000,
                "positionSide": row.side,
            }
            for row in rows[-limit:]
        ]  # fmt: skip

    def forced(self, call: Call) -> list[dict[str, Any]]:
        """GET forceOrders: the account's own liquidations and deleveragings."""
        params = call.params
        symbol, kind = params.text("symbol"), params.text("autoCloseType")
        between, limit = Period(params), params.limit(50, 100)
        params.finish()
        if symbol is not None:
            self.venue.symbol(symbol)
        starts = {"LIQUIDATION": (LIQUIDATION_ID,), "ADL": (ADL_ID,), None: (LIQUIDATION_ID, ADL_ID)}
        if kind not in starts:
            raise ApiError(-1130, "Data sent for parameter 'autoCloseType' is not valid.")
        rows = [
            order
            for order in call.account.orders.values()
            if order.client_id.startswith(starts[kind]) and symbol in (None, order.symbol)
            and between(order.time_us)
        ]  # fmt: skip
        return [order.forced_view(self.venue.symbols[order.symbol]) for order in rows[-limit:]]

    def _reference(self, call: Call) -> tuple[str, int | None, str | None]:
        params = call.params
        symbol = params.required("symbol")
        order_id, client_id = params.integer("orderId"), params.client_id("origClientOrderId")
        params.finish()
        if order_id is None and client_id is None:
            raise either("origClientOrderId", "orderId")
        return symbol, order_id, client_id

    def _past(self, call: Call, id_name: str, rows: Iterable[Any], key: Callable[[Any], int]) -> list[Any]:
        """Rows of one symbol: from an id on, in a period of at most a week, or the newest."""
        params = call.params
        symbol = self.venue.symbol(params.required("symbol")).name
        since, between = params.integer(id_name), Period(params, longest_ms=WEEK_MS)
        limit = params.limit(500, 1000)
        params.finish()
        chosen = [
            row
            for row in rows
            if row.symbol == symbol and (since is None or key(row) >= since) and between(row.time_us)
        ]
        return chosen[:limit] if since is not None or between.begins else chosen[-limit:]


class Period:
    """The `startTime` and `endTime` of a request, as a test of microseconds.

    Raises
    ------
    ApiError
        -1023 for a period that ends before it begins, -4165 for one longer than `longest_ms`.
    """

    def __init__(self, params: Params, *, longest_ms: int | None = None) -> None:
        self.start, self.end = params.integer("startTime"), params.integer("endTime")
        if self.start is not None and self.end is not None:
            if self.end < self.start:
                raise ApiError(-1023, "Start time is greater than end time.")
            if longest_ms is not None and self.end - self.start > longest_ms:
                raise ApiError(-4165, f"Maximum time interval is {longest_ms // 86_400_000} days.")

    @property
    def begins(self) -> bool:
        """Whether the period has a beginning: rows are counted from there."""
        return self.start is not None

    def __call__(self, time_us: int) -> bool:
        """Whether a moment lies in the period."""
        return (self.start is None or time_us >= self.start * 1000) and (
            self.end is None or time_us < (self.end + 1) * 1000
        )


def _newest(rows: list[Any], limit: int, page: int) -> list[Any]:
    end = len(rows) - (page - 1) * limit
    return rows[max(0, end - limit) : max(0, end)]


def either(first: str, second: str) -> ApiError:
    """-1102: neither of two names was sent."""
    return ApiError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")
