"""The algoOrder endpoints: placing, cancelling and querying conditional orders."""

from __future__ import annotations

from typing import Any

from qtm.paper.errors import ApiError, unknown_order
from qtm.paper.gateway import Call
from qtm.paper.um import algo
from qtm.paper.um.account_history import Period, either
from qtm.paper.um.orders import AlgoOrder
from qtm.paper.um.requests import read_algo
from qtm.paper.um.venue import UmVenue


class UmConditionalOrders:
    """Conditional orders of one venue."""

    def __init__(self, venue: UmVenue) -> None:
        self.venue = venue

    def place(self, call: Call) -> dict[str, Any]:
        """POST algoOrder."""
        request, kind, trigger, activate, callback = read_algo(call.params)
        call.params.finish()
        call.account.limits.charge(1, self.venue.wall.now_ms() / 1000)
        order = algo.place(self.venue, call.account, request, kind, trigger, activate, callback)
        self.venue.conclude(request.symbol)
        return order.view(self.venue.symbols[request.symbol])

    def cancel(self, call: Call) -> dict[str, Any]:
        """DELETE algoOrder."""
        order = self._find(call)
        if order is None or order.id not in call.account.open_algos:
            raise unknown_order()
        algo.cancel(self.venue, call.account, order)
        self.venue.settled(order.request.symbol)
        return {"algoId": order.id, "clientAlgoId": order.request.client_id, "code": "200", "msg": "success"}

    def cancel_all(self, call: Call) -> dict[str, Any]:
        """DELETE algoOpenOrders."""
        symbol = call.params.required("symbol")
        call.params.finish()
        self.venue.symbol(symbol)
        for order in list(call.account.open_algos.values()):
            if order.request.symbol == symbol:
                algo.cancel(self.venue, call.account, order)
        self.venue.settled(symbol)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def query(self, call: Call) -> dict[str, Any]:
        """GET algoOrder; -2013 when there is none."""
        order = self._find(call)
        if order is None:
            raise ApiError(-2013, "Order does not exist.")
        return self._view(call, order, listed=False)

    def opened(self, call: Call) -> list[dict[str, Any]]:
        """GET openAlgoOrders."""
        params = call.params
        symbol, number = params.text("symbol"), params.integer("algoId")
        self._check_type(call)
        params.finish()
        if symbol is not None:
            self.venue.symbol(symbol)
        rows = [
            o
            for o in call.account.open_algos.values()
            if symbol in (None, o.request.symbol) and number in (None, o.id)
        ]
        return [self._view(call, order, listed=True) for order in rows]

    def every(self, call: Call) -> list[dict[str, Any]]:
        """GET allAlgoOrders: from an id on, in a period, or the newest."""
        params = call.params
        symbol, since = self.venue.symbol(params.required("symbol")).name, params.integer("algoId")
        self._check_type(call)
        between = Period(params, longest_ms=7 * 86_400_000)
        page, limit = params.integer("page") or 1, params.limit(500, 1000)
        params.finish()
        rows = [
            o
            for o in call.account.algos.values()
            if o.request.symbol == symbol and (since is None or o.id >= since) and between(o.time_us)
        ]
        begins = since is not None or between.begins
        chosen = rows[(page - 1) * limit : page * limit] if begins else rows[-limit:]
        return [self._view(call, order, listed=True) for order in chosen]

    def _view(self, call: Call, order: AlgoOrder, *, listed: bool) -> dict[str, Any]:
        symbol, actual = self.venue.symbols[order.request.symbol], call.account.orders.get(order.order_id)
        return order.queried(symbol, actual, listed=listed)

    def _check_type(self, call: Call) -> None:
        if call.params.text("algoType") not in (None, "CONDITIONAL"):
            raise ApiError(-1130, "Data sent for parameter 'algoType' is not valid.")

    def _find(self, call: Call) -> AlgoOrder | None:
        params, account = call.params, call.account
        order_id, client_id = params.integer("algoId"), params.client_id("clientAlgoId")
        params.text("symbol")
        params.finish()
        if order_id is None and client_id is None:
            raise either("algoId", "clientAlgoId")
        named = (o for o in reversed(account.algos.values()) if o.request.client_id == client_id)
        found: AlgoOrder | None = next(named, None) if order_id is None else account.algos.get(order_id)
        return found
