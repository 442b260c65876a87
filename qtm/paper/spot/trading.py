"""Order entry: place, test, cancel, and the answers they give."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtm.paper.errors import ApiError, unknown_order
from qtm.paper.gateway import Call
from qtm.paper.params import Params
from qtm.paper.spot.admission import check_new
from qtm.paper.spot.fees import FeeRates
from qtm.paper.spot.lists import OrderList
from qtm.paper.spot.order_views import RESPONSE_VIEWS, cancel_view
from qtm.paper.spot.orders import NewOrder, SpotOrder
from qtm.paper.spot.requests import generated_id, read_order, read_routed_order
from qtm.paper.spot.venue import CANCEL_RESTRICTIONS, SpotVenue
from qtm.paper.wire import text_of


class Trading:
    """Order entry of one venue."""

    def __init__(self, venue: SpotVenue) -> None:
        self.venue = venue

    def place(self, call: Call) -> dict[str, Any]:
        """POST order, order.place."""
        request = read_order(call.params, default_stp=self._default_stp(call.params))
        call.params.finish()
        order = self.venue.place(call.account, request)
        answer = RESPONSE_VIEWS[request.resp_type](order, call.div)
        order.fills = []
        return answer

    def place_routed(self, call: Call) -> dict[str, Any]:
        """POST sor/order: an order that takes from several books."""
        request = read_routed_order(call.params, default_stp=self._default_stp(call.params))
        call.params.finish()
        order = self.venue.place(call.account, request)
        answer = RESPONSE_VIEWS[request.resp_type](order, call.div)
        order.fills = []
        return answer

    def test_routed(self, call: Call) -> dict[str, Any]:
        """POST sor/order/test, sor.order.test; the venue shows no special commission there."""
        answer = self._test(call, read_routed_order)
        return {name: value for name, value in answer.items() if name != "specialCommissionForOrder"}

    def test(self, call: Call) -> dict[str, Any]:
        """POST order/test, order.test: all checks, no order."""
        return self._test(call, read_order)

    def _test(self, call: Call, read: Callable[..., NewOrder]) -> dict[str, Any]:
        with_rates = call.params.flag("computeCommissionRates")
        request = read(call.params, default_stp=self._default_stp(call.params))
        call.params.finish()
        check_new(self.venue, call.account, request)
        if not with_rates:
            return {}
        fees: FeeRates = call.account.fees
        none = {"maker": "0.00000000", "taker": "0.00000000"}
        return {
            "standardCommissionForOrder": {"maker": text_of(fees.maker), "taker": text_of(fees.taker)},
            "specialCommissionForOrder": none,
            "taxCommissionForOrder": none,
            "discount": fees.discount_view(),
        }

    def cancel(self, call: Call) -> dict[str, Any]:
        """DELETE order, order.cancel."""
        params = call.params
        symbol = params.required("symbol")
        order_id, client_id = self.order_reference(params)
        cancel_id = params.client_id("newClientOrderId") or generated_id()
        restriction = read_restriction(params)
        params.finish()
        self.venue.symbol(symbol)
        order = self.venue.find_open(call.account, symbol, order_id, client_id)
        cancelled = self.venue.cancel(call.account, order, cancel_id, restriction=restriction)
        group = self.venue.lists.lists.get(order.list_id)
        if group is not None:
            return list_answer(group, cancelled, call.div)
        return cancel_view(order, call.div)

    def cancel_all(self, call: Call) -> list[dict[str, Any]]:
        """DELETE openOrders, openOrders.cancelAll."""
        symbol = call.params.required("symbol")
        call.params.finish()
        self.venue.symbol(symbol)
        mine = [order for order in call.account.open_orders.values() if order.symbol == symbol]
        if not mine:
            raise unknown_order()
        answers: list[dict[str, Any]] = []
        for order in mine:
            if not order.is_open:
                continue
            group = self.venue.lists.lists.get(order.list_id)
            if group is None:
                self.venue.cancel(call.account, order, generated_id())
                answers.append(cancel_view(order, call.div))
            else:
                cancelled = self.venue.cancel_list(call.account, group, generated_id())
                answers.append(list_answer(group, cancelled, call.div))
        return answers

    def order_reference(
        self, params: Params, id_name: str = "orderId", client_name: str = "origClientOrderId"
    ) -> tuple[int | None, str | None]:
        """Which order is meant; -1102 when neither id is sent."""
        order_id, client_id = params.integer(id_name), params.client_id(client_name)
        if order_id is None and client_id is None:
            raise ApiError(
                -1102, f"Param '{client_name}' or '{id_name}' must be sent, but both were empty/null!"
            )
        return order_id, client_id

    def _default_stp(self, params: Params) -> str:
        symbol = params.required("symbol")
        return self.venue.symbol(symbol).default_stp


def read_restriction(params: Params) -> str | None:
    """`cancelRestrictions`; -1145 for an unknown one."""
    restriction = params.text("cancelRestrictions")
    if restriction is not None and restriction not in CANCEL_RESTRICTIONS:
        raise ApiError(-1145, "`cancelRestrictions` has to be either `ONLY_NEW` or `ONLY_PARTIALLY_FILLED`.")
    return restriction


def list_answer(group: OrderList, reported: list[SpotOrder], div: int) -> dict[str, Any]:
    """A cancelled list with its order reports."""
    answer = group.view(div)
    answer["orderReports"] = [cancel_view(order, div) for order in reported]
    return answer
