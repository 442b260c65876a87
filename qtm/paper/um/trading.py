"""Order entry of the futures market: single, batch and conditional orders, amendments, cancels."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from qtm.paper.errors import ApiError, illegal, unknown_order
from qtm.paper.gateway import Call
from qtm.paper.params import Params, params_of
from qtm.paper.um import algo
from qtm.paper.um.accounts import UmAccount
from qtm.paper.um.orders import AlgoOrder
from qtm.paper.um.requests import read_algo, read_order, read_side
from qtm.paper.um.venue import UmVenue

BATCH = 5


class UmTrading:
    """Order entry of one venue."""

    def __init__(self, venue: UmVenue) -> None:
        self.venue = venue
        self._countdowns: dict[tuple[str, str], asyncio.TimerHandle] = {}

    def place(self, call: Call) -> dict[str, Any]:
        """POST order."""
        return self._place(call.account, call.params)

    def test(self, call: Call) -> dict[str, Any]:
        """POST order/test: all checks, no order."""
        request = read_order(call.params)
        call.params.finish()
        self.venue.validate(call.account, request)
        return {}

    def cancel(self, call: Call) -> dict[str, Any]:
        """DELETE order."""
        return self._cancel(call.account, call.params)

    def amend(self, call: Call) -> dict[str, Any]:
        """PUT order: new price and quantity of a LIMIT order, which loses its place in the queue."""
        params, account, venue = call.params, call.account, self.venue
        symbol = venue.symbol(params.required("symbol"))
        order_id, client_id = _reference(params)
        buy = read_side(params)
        params.required("quantity")
        params.required("price")
        qty, price = params.amount("quantity") or 0, params.amount("price") or 0
        params.text("priceMatch")
        params.finish()
        order = venue.find(account, symbol.name, order_id, client_id, opened=True)
        if order.buy != buy:
            raise ApiError(-1117, "Invalid side.")
        if order.qty == qty and order.price == price:
            raise ApiError(-5027, "No need to modify the order.")
        symbol.check_qty(qty, market=False)
        symbol.check_price(price, venue.mark(symbol.name), buy=buy)
        if qty <= order.executed:
            venue.cancel(account, order)
            return order.view(symbol)
        book = venue.markets[symbol.name].book
        book.remove(order.id, order, buy=order.buy)
        order.qty, order.price, order.request.price = qty, price, price
        order.update_us = venue.clock.now_us()
        account.limits.charge(1, venue.wall.now_ms() / 1000)
        venue.report(account, order, "AMENDMENT")
        venue.work(account, order)
        venue.conclude(symbol.name)
        return order.view(symbol)

    def batch(self, call: Call) -> list[dict[str, Any]]:
        """POST batchOrders: each order answers for itself."""
        rows = _rows(call.params, "batchOrders", BATCH)
        call.params.finish()
        return [_try(partial(self._place_row, call.account, row)) for row in rows]

    def cancel_batch(self, call: Call) -> list[dict[str, Any]]:
        """DELETE batchOrders."""
        params = call.params
        symbol = params.required("symbol")
        ids, names = params.text("orderIdList"), params.text("origClientOrderIdList")
        params.finish()
        if (ids is None) == (names is None):
            raise ApiError(
                -1102, "Param 'orderIdList' or 'origClientOrderIdList' must be sent, but not both."
            )
        chosen = _json_list(ids or names or "", "orderIdList" if ids else "origClientOrderIdList", 10)
        name = "orderId" if ids else "origClientOrderId"
        return [
            _try(partial(self._cancel_row, call.account, {"symbol": symbol, name: one})) for one in chosen
        ]

    def cancel_all(self, call: Call) -> dict[str, Any]:
        """DELETE allOpenOrders."""
        symbol = call.params.required("symbol")
        call.params.finish()
        self.venue.symbol(symbol)
        self._cancel_symbol(call.account, symbol)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def countdown(self, call: Call) -> dict[str, Any]:
        """POST countdownCancelAll: cancel everything of a symbol unless called again in time; 0 stops it."""
        symbol = call.params.required("symbol")
        call.params.required("countdownTime")
        delay_ms = call.params.integer("countdownTime") or 0
        call.params.finish()
        self.venue.symbol(symbol)
        account = call.account
        running = self._countdowns.pop((account.name, symbol), None)
        if running is not None:
            running.cancel()
        if delay_ms > 0:
            loop = asyncio.get_running_loop()
            self._countdowns[account.name, symbol] = loop.call_later(
                delay_ms / 1000, self._cancel_symbol, account, symbol
            )
        return {"symbol": symbol, "countdownTime": str(delay_ms)}

    # --- conditional orders --------------------------------------------------------------------------------
    def place_algo(self, call: Call) -> dict[str, Any]:
        """POST algoOrder."""
        request, kind, trigger, activate, callback = read_algo(call.params)
        call.params.finish()
        call.account.limits.charge(1, self.venue.wall.now_ms() / 1000)
        order = algo.place(self.venue, call.account, request, kind, trigger, activate, callback)
        return self.algo_view(call.account, order)

    def cancel_algo(self, call: Call) -> dict[str, Any]:
        """DELETE algoOrder."""
        order = self.find_algo(call)
        if order.id not in call.account.open_algos:
            raise unknown_order()
        algo.cancel(self.venue, call.account, order)
        return {"algoId": order.id, "clientAlgoId": order.request.client_id, "code": "200", "msg": "success"}

    def cancel_all_algos(self, call: Call) -> dict[str, Any]:
        """DELETE algoOpenOrders."""
        symbol = call.params.required("symbol")
        call.params.finish()
        self.venue.symbol(symbol)
        for order in list(call.account.open_algos.values()):
            if order.request.symbol == symbol:
                algo.cancel(self.venue, call.account, order)
        return {"code": 200, "msg": "The operation of cancel all open order is done."}

    def find_algo(self, call: Call) -> AlgoOrder:
        """The conditional order a request names; -2013 when there is none."""
        params, account = call.params, call.account
        order_id, client_id = params.integer("algoId"), params.client_id("clientAlgoId")
        params.text("symbol")
        params.finish()
        if order_id is None and client_id is None:
            raise ApiError(-1102, "Param 'algoId' or 'clientAlgoId' must be sent, but both were empty/null!")
        for order in reversed(account.algos.values()):
            if order.id == order_id or (order_id is None and order.request.client_id == client_id):
                found: AlgoOrder = order
                return found
        raise ApiError(-2013, "Order does not exist.")

    def algo_view(self, account: UmAccount, order: AlgoOrder) -> dict[str, Any]:
        """A conditional order as shown."""
        return order.view(self.venue.symbols[order.request.symbol], account.orders.get(order.order_id))

    def _place_row(self, account: UmAccount, row: dict[str, Any]) -> dict[str, Any]:
        return self._place(account, params_of(row))

    def _cancel_row(self, account: UmAccount, row: dict[str, Any]) -> dict[str, Any]:
        return self._cancel(account, params_of(row))

    def _place(self, account: UmAccount, params: Params) -> dict[str, Any]:
        request = read_order(params)
        params.finish()
        order = self.venue.place(account, request)
        if request.tif == "FOK" and not order.executed and order.status == "EXPIRED":
            raise ApiError(
                -5021, "Due to the order could not be filled immediately, the FOK order has been rejected."
            )
        shown = order.view(self.venue.symbols[order.symbol])
        if request.resp_type == "ACK":
            nothing = self.venue.symbols[order.symbol].qty(0)
            shown |= {"status": "NEW", "executedQty": nothing, "cumQty": nothing, "cumQuote": "0.00000"}
            shown["avgPrice"] = "0.00"
        return shown

    def _cancel(self, account: UmAccount, params: Params) -> dict[str, Any]:
        symbol = params.required("symbol")
        order_id, client_id = _reference(params)
        params.finish()
        order = self.venue.find(account, symbol, order_id, client_id, opened=True)
        self.venue.cancel(account, order)
        return order.view(self.venue.symbols[symbol])

    def _cancel_symbol(self, account: UmAccount, symbol: str) -> None:
        for order in [o for o in account.open_orders.values() if o.symbol == symbol]:
            self.venue.cancel(account, order)


def _reference(params: Params) -> tuple[int | None, str | None]:
    order_id, client_id = params.integer("orderId"), params.client_id("origClientOrderId")
    if order_id is None and client_id is None:
        raise ApiError(
            -1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
        )
    return order_id, client_id


def _try(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return run()
    except ApiError as error:
        return error.body()


def _rows(params: Params, name: str, most: int) -> list[dict[str, Any]]:
    rows = _json_list(params.required(name), name, most)
    if not all(isinstance(row, dict) for row in rows):
        raise illegal(name, "JSON array of objects")
    return rows


def _json_list(text: str, name: str, most: int) -> list[Any]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        raise illegal(name, "JSON array") from None
    if not isinstance(rows, list) or not rows:
        raise illegal(name, "JSON array")
    if len(rows) > most:
        raise ApiError(-4082, "Invalid number of batch place orders.")
    return rows
