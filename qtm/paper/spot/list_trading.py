"""Order lists at the door: placing, cancelling and querying them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtm.paper.errors import ApiError
from qtm.paper.gateway import Call
from qtm.paper.params import Params
from qtm.paper.spot.account_data import time_range
from qtm.paper.spot.list_requests import (
    ListRequest,
    read_oco,
    read_old_oco,
    read_opo,
    read_opoco,
    read_oto,
    read_otoco,
)
from qtm.paper.spot.lists import OrderList
from qtm.paper.spot.order_views import RESPONSE_VIEWS
from qtm.paper.spot.requests import generated_id
from qtm.paper.spot.supported import require
from qtm.paper.spot.trading import list_answer
from qtm.paper.spot.venue import SpotVenue


class ListTrading:
    """Order-list entry and queries of one venue."""

    def __init__(self, venue: SpotVenue) -> None:
        self.venue = venue

    def oco(self, call: Call) -> dict[str, Any]:
        """POST orderList/oco, orderList.place.oco."""
        return self._place(call, read_oco)

    def old_oco(self, call: Call) -> dict[str, Any]:
        """POST order/oco, orderList.place."""
        return self._place(call, read_old_oco)

    def oto(self, call: Call) -> dict[str, Any]:
        """POST orderList/oto, orderList.place.oto."""
        return self._place(call, read_oto)

    def otoco(self, call: Call) -> dict[str, Any]:
        """POST orderList/otoco, orderList.place.otoco."""
        return self._place(call, read_otoco)

    def opo(self, call: Call) -> dict[str, Any]:
        """POST orderList/opo, orderList.place.opo."""
        return self._place(call, read_opo)

    def opoco(self, call: Call) -> dict[str, Any]:
        """POST orderList/opoco, orderList.place.opoco."""
        return self._place(call, read_opoco)

    def cancel(self, call: Call) -> dict[str, Any]:
        """DELETE orderList, orderList.cancel."""
        params = call.params
        symbol = params.required("symbol")
        list_id, client_id = params.integer("orderListId"), params.client_id("listClientOrderId")
        cancel_id = params.client_id("newClientOrderId") or generated_id()
        params.finish()
        self.venue.symbol(symbol)
        if list_id is None and client_id is None:
            raise _neither("orderListId", "listClientOrderId")
        group = self.venue.lists.find(call.account, list_id, client_id)
        if group is None or group.symbol != symbol or group.status_type == "ALL_DONE":
            raise ApiError(-2011, "Unknown order list sent.")
        return list_answer(group, self.venue.cancel_list(call.account, group, cancel_id), call.div)

    def query(self, call: Call) -> dict[str, Any]:
        """GET orderList, orderList.status."""
        params = call.params
        list_id, client_id = params.integer("orderListId"), params.client_id("origClientOrderId")
        if list_id is None and client_id is None:
            raise _neither("orderListId", "origClientOrderId")
        group = self.venue.lists.find(call.account, list_id, client_id)
        if group is None:
            raise ApiError(-2018, "Order list does not exist.")
        return group.view(call.div)

    def all(self, call: Call) -> list[dict[str, Any]]:
        """GET allOrderList, allOrderLists."""
        params = call.params
        from_id = params.integer("fromId")
        start, end = time_range(params)
        limit = params.limit(500, 1000)
        if from_id is not None and (start is not None or end is not None):
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        mine = [
            group
            for group in self._mine(call)
            if (from_id is None or group.id >= from_id)
            and (start is None or group.time_us >= start)
            and (end is None or group.time_us <= end)
        ]
        chosen = mine[:limit] if from_id is not None or start is not None else mine[-limit:]
        return [group.view(call.div) for group in chosen]

    def opened(self, call: Call) -> list[dict[str, Any]]:
        """GET openOrderList, openOrderLists.status."""
        return [group.view(call.div) for group in self._mine(call) if group.status_type != "ALL_DONE"]

    def _mine(self, call: Call) -> list[OrderList]:
        return [group for group in self.venue.lists.lists.values() if group.account == call.account.name]

    def _place(self, call: Call, read: Callable[[Params, str], ListRequest]) -> dict[str, Any]:
        symbol = call.params.required("symbol")
        listing = self.venue.symbol(symbol)
        request = read(call.params, listing.default_stp)
        call.params.finish()
        if len(request.others) == 2:
            require(listing, "ocoAllowed")
        if request.pays:
            require(listing, "opoAllowed")
        lists = self.venue.lists
        if request.working is None:
            group = lists.place_oco(call.account, request.others[0], request.others[1], request.client_id)
        else:
            require(listing, "otoAllowed")
            group = lists.place_oto(
                call.account, request.working, request.others, request.client_id, pays=request.pays
            )
        view = RESPONSE_VIEWS[request.response_type]
        answer = group.view(call.div)
        answer["orderReports"] = [view(order, call.div) for order in group.orders]
        return answer


def _neither(first: str, second: str) -> ApiError:
    return ApiError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")
