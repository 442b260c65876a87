"""Replacing orders: cancel-replace in one call, and the amendment that keeps its place in the queue."""

from __future__ import annotations

from typing import Any

from qtm.paper.errors import ApiError, illegal, mandatory
from qtm.paper.gateway import Call
from qtm.paper.spot.filters import check_lot, check_notional, check_order
from qtm.paper.spot.order_views import RESPONSE_VIEWS, cancel_view
from qtm.paper.spot.orders import Amendment, SpotOrder
from qtm.paper.spot.requests import generated_id, read_order
from qtm.paper.spot.supported import require
from qtm.paper.spot.trading import Trading, list_answer, read_restriction
from qtm.paper.wire import E8, text_of


class Replacing:
    """cancelReplace and amend of one venue."""

    def __init__(self, trading: Trading) -> None:
        self.trading = trading
        self.venue = trading.venue

    def cancel_replace(self, call: Call) -> dict[str, Any]:
        """POST order/cancelReplace, order.cancelReplace.

        Filters are evaluated before anything happens; then the cancellation, then the new order.
        """
        params, venue = call.params, self.venue
        mode = params.required("cancelReplaceMode")
        if mode not in ("STOP_ON_FAILURE", "ALLOW_FAILURE"):
            raise illegal("cancelReplaceMode", "STOP_ON_FAILURE|ALLOW_FAILURE")
        exceeded = params.text("orderRateLimitExceededMode") or "DO_NOTHING"
        if exceeded not in ("DO_NOTHING", "CANCEL_ONLY"):
            raise illegal("orderRateLimitExceededMode", "DO_NOTHING|CANCEL_ONLY")
        symbol = params.required("symbol")
        listing = venue.symbol(symbol)
        require(listing, "cancelReplaceAllowed")
        request = read_order(params, default_stp=listing.default_stp)
        order_id, client_id = self.trading.order_reference(params, "cancelOrderId", "cancelOrigClientOrderId")
        cancel_id = params.client_id("cancelNewClientOrderId") or generated_id()
        restriction = read_restriction(params)
        params.finish()
        market = venue.markets[symbol]
        check_order(listing, request, lambda minutes: venue.reference_price(market, minutes))
        if exceeded == "DO_NOTHING":
            call.account.limits.check(1, venue.wall.now_ms() / 1000)
        cancelled: Any
        placed: Any = None
        cancel_failed = place_failed = False
        try:
            order = venue.find_open(call.account, symbol, order_id, client_id)
            members = venue.cancel(call.account, order, cancel_id, restriction=restriction)
            group = venue.lists.lists.get(order.list_id)
            cancelled = list_answer(group, members, call.div) if group else cancel_view(order, call.div)
        except ApiError as error:
            cancelled, cancel_failed = error.body(), True
        attempted = not cancel_failed or mode == "ALLOW_FAILURE"
        if attempted:
            try:
                new = venue.place(call.account, request)
                placed = RESPONSE_VIEWS[request.resp_type](new, call.div)
            except ApiError as error:
                placed, place_failed = error.body(), True
        outcome = {
            "cancelResult": "FAILURE" if cancel_failed else "SUCCESS",
            "newOrderResult": "NOT_ATTEMPTED" if not attempted else "FAILURE" if place_failed else "SUCCESS",
            "cancelResponse": cancelled,
            "newOrderResponse": placed,
        }
        if not cancel_failed and not place_failed:
            return outcome
        if cancel_failed and (place_failed or not attempted):
            raise ApiError(-2022, "Order cancel-replace failed.", data=outcome)
        raise ApiError(-2021, "Order cancel-replace partially failed.", status=409, data=outcome)

    def amend(self, call: Call) -> dict[str, Any]:
        """PUT order/amend/keepPriority, order.amend.keepPriority: a smaller quantity, the same place."""
        params, venue = call.params, self.venue
        symbol = params.required("symbol")
        listing = venue.symbol(symbol)
        order_id, client_id = self.trading.order_reference(params)
        new_client_id = params.client_id("newClientOrderId") or generated_id()
        new_qty = params.amount("newQty")
        if new_qty is None:
            raise mandatory("newQty")
        params.finish()
        require(listing, "amendAllowed")
        order = venue.find_open(call.account, symbol, order_id, client_id)
        group = venue.lists.lists.get(order.list_id)
        if group is not None and group.pays and order.status == "PENDING_NEW":
            raise ApiError(-2038, "Order amend (pending OPO order) is not supported.")
        check_lot(listing, new_qty)
        if order.price:
            check_notional(listing, notional=order.price * new_qty // E8, market=False)
        if new_qty > order.qty:
            raise ApiError(-2038, "Order amend (quantity increase) is not supported.")
        if new_qty == order.qty or new_qty <= order.executed + order.prevented_qty:
            raise ApiError(-2038, "The requested action would change no state; rejecting")
        rule = listing.filter("MAX_NUM_ORDER_AMENDS")
        if rule is not None and len(order.amendments) >= rule["maxNumOrderAmends"]:
            raise ApiError(-2038, "Filter failure: MAX_NUM_ORDER_AMENDS")
        amendment = venue.amend(call.account, order, new_qty, new_client_id)
        answer = {
            "transactTime": order.update_us // call.div,
            "executionId": amendment.execution_id,
            "amendedOrder": _amended_view(order, amendment, call.div),
        }
        if group is not None:
            shown = group.view(call.div)
            answer["listStatus"] = {
                name: shown[name]
                for name in (
                    "orderListId", "contingencyType", "listOrderStatus", "listClientOrderId", "symbol",
                    "orders",
                )
            }  # fmt: skip
        return answer

    def amendments(self, call: Call) -> list[dict[str, Any]]:
        """GET order/amendments, order.amendments."""
        params = call.params
        symbol = params.required("symbol")
        self.venue.symbol(symbol)
        order_id = params.integer("orderId")
        if order_id is None:
            raise mandatory("orderId")
        from_id = params.integer("fromExecutionId") or 0
        limit = params.limit(500, 1000)
        order = self.venue.find(call.account, symbol, order_id, None)
        return [
            {
                "symbol": symbol,
                "orderId": order.id,
                "executionId": a.execution_id,
                "origClientOrderId": a.orig_client_id,
                "newClientOrderId": a.new_client_id,
                "origQty": text_of(a.orig_qty),
                "newQty": text_of(a.new_qty),
                "time": a.time_us // call.div,
            }
            for a in order.amendments
            if a.execution_id >= from_id
        ][:limit]


def _amended_view(order: SpotOrder, amendment: Amendment, div: int) -> dict[str, Any]:
    return {
        "symbol": order.symbol,
        "orderId": order.id,
        "orderListId": order.list_id,
        "origClientOrderId": amendment.orig_client_id,
        "clientOrderId": order.client_id,
        "price": text_of(order.price),
        "qty": text_of(order.qty),
        "executedQty": text_of(order.executed),
        "preventedQty": text_of(order.prevented_qty),
        "quoteOrderQty": text_of(order.quote_qty),
        "cumulativeQuoteQty": text_of(order.quote_executed),
        "status": order.status,
        "timeInForce": order.tif,
        "type": order.type,
        "side": "BUY" if order.buy else "SELL",
        "workingTime": order.working_us // div,
        "selfTradePreventionMode": order.stp,
    }
