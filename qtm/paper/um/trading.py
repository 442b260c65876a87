"""Order entry of the futures market: single and batch orders, modifications, cancels, countdowns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from qtm.paper.errors import ApiError, illegal
from qtm.paper.gateway import Call
from qtm.paper.params import Params, params_of
from qtm.paper.um.account_history import either
from qtm.paper.um.accounts import UmAccount
from qtm.paper.um.amending import amend
from qtm.paper.um.checks import check_order
from qtm.paper.um.orders import UmOrder
from qtm.paper.um.requests import read_order, read_price_match, read_side
from qtm.paper.um.venue import UmVenue

BATCH = 5
CANCEL_BATCH = 10


class UmTrading:
    """Order entry of one venue."""

    def __init__(self, venue: UmVenue) -> None:
        self.venue = venue
        self._countdowns: dict[tuple[str, str], asyncio.TimerHandle] = {}

    def place(self, call: Call) -> dict[str, Any]:
        """POST order."""
        return self._place(call.account, call.params)

    def test(self, call: Call) -> dict[str, Any]:
        """POST order/test: all checks, no order; the answer is that of an order without an id."""
        request = read_order(call.params)
        call.params.finish()
        checked, _ = check_order(self.venue, call.account, request)
        order = UmOrder(0, call.account.name, checked, self.venue.clock.now_us())
        return order.view(self.venue.symbols[order.symbol])

    def cancel(self, call: Call) -> dict[str, Any]:
        """DELETE order."""
        return self._cancel(call.account, call.params)

    def amend(self, call: Call) -> dict[str, Any]:
        """PUT order."""
        return self._amend(call.account, call.params)

    def batch(self, call: Call) -> list[dict[str, Any]]:
        """POST batchOrders: each order answers for itself."""
        rows = _rows(call.params, "batchOrders", BATCH)
        call.params.finish()
        self._count_batch(call.account)
        return [self._row(partial(self._place, counted=False), call.account, row) for row in rows]

    def amend_batch(self, call: Call) -> list[dict[str, Any]]:
        """PUT batchOrders."""
        rows = _rows(call.params, "batchOrders", BATCH)
        call.params.finish()
        self._count_batch(call.account)
        return [self._row(partial(self._amend, counted=False), call.account, row) for row in rows]

    def cancel_batch(self, call: Call) -> list[dict[str, Any]]:
        """DELETE batchOrders."""
        params = call.params
        symbol = params.required("symbol")
        ids, names = _either_case(params, "orderIdList"), _either_case(params, "origClientOrderIdList")
        params.finish()
        self.venue.symbol(symbol)
        if ids is None and names is None:
            raise either("orderIdList", "origClientOrderIdList")
        if ids is not None and names is not None:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        listed = "orderIdList" if ids is not None else "origClientOrderIdList"
        chosen = _json_list(ids if ids is not None else names or "", listed)
        if len(chosen) > CANCEL_BATCH:
            raise ApiError(-4032, "Exceed maximum cancel order size.")
        name = "orderId" if ids is not None else "origClientOrderId"
        return [self._row(self._cancel, call.account, {"symbol": symbol, name: one}) for one in chosen]

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
        if delay_ms < 0:
            raise ApiError(-1130, "Data sent for parameter 'countdownTime' is not valid.")
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

    # --- one order -----------------------------------------------------------------------------------------
    def _place(self, account: UmAccount, params: Params, *, counted: bool = True) -> dict[str, Any]:
        request = read_order(params)
        params.finish()
        order = self.venue.place(account, request, counted=counted)
        symbol = self.venue.symbols[order.symbol]
        shown = order.view(symbol)
        if request.resp_type == "ACK":
            nothing = symbol.qty(0)
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

    def _amend(self, account: UmAccount, params: Params, *, counted: bool = True) -> dict[str, Any]:
        symbol = self.venue.symbol(params.required("symbol"))
        order_id, client_id = _reference(params)
        buy = read_side(params)
        params.required("quantity")
        qty, price = params.amount("quantity") or 0, params.amount("price")
        match, reference = read_price_match(params, "LIMIT"), params.integer("modifyId")
        params.text("stopPrice")
        params.finish()
        order = self.venue.find(account, symbol.name, order_id, client_id)
        amend(self.venue, account, order, buy=buy, qty=qty, price=price, match=match, counted=counted)
        shown: dict[str, Any] = {}
        for name, value in order.view(symbol).items():
            shown[name] = value
            if name == "symbol":
                shown["pair"] = symbol.name
            elif name == "clientOrderId" and reference is not None:
                shown["modifyId"] = reference
        return shown

    def _count_batch(self, account: UmAccount) -> None:
        """A batch counts as five orders in ten seconds and as one in a minute."""
        now_s = self.venue.wall.now_ms() / 1000
        account.limits.check(BATCH, now_s)
        for counter in account.limits.counters:
            counter.add(BATCH if counter.limit.interval == "SECOND" else 1)

    def _row(
        self,
        run: Callable[[UmAccount, Params], dict[str, Any]],
        account: UmAccount,
        row: dict[str, Any],
    ) -> dict[str, Any]:
        try:
            return run(account, params_of(row))
        except ApiError as error:
            return error.body()

    def _cancel_symbol(self, account: UmAccount, symbol: str) -> None:
        for order in [o for o in account.open_orders.values() if o.symbol == symbol]:
            self.venue.cancel(account, order)


def _reference(params: Params) -> tuple[int | None, str | None]:
    order_id, client_id = params.integer("orderId"), params.client_id("origClientOrderId")
    if order_id is None and client_id is None:
        raise either("origClientOrderId", "orderId")
    return order_id, client_id


def _either_case(params: Params, name: str) -> str | None:
    """A parameter that clients also write in small letters."""
    small = params.text(name.lower())
    return small if small is not None else params.text(name)


def _rows(params: Params, name: str, most: int) -> list[dict[str, Any]]:
    rows = _json_list(params.required(name), name)
    if len(rows) > most:
        raise ApiError(-4082, "Invalid number of batch place orders.")
    if not all(isinstance(row, dict) for row in rows):
        raise illegal(name, "JSON array of objects")
    return rows


def _json_list(text: str, name: str) -> list[Any]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        raise illegal(name, "JSON array") from None
    if not isinstance(rows, list) or not rows:
        raise illegal(name, "JSON array")
    return rows
