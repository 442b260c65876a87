"""Order lists: one cancels the other (OCO), triggers the other (OTO) or an OCO (OTOCO), or pays for it (OPO).

The legs of an OCO lock once: the second leg locks only what it needs beyond the first, and the leg that
survives takes over everything. Pending orders lock nothing until the working order is filled; in an OPO or
OPOCO list what the working order brings is locked for them as it comes, and is their quantity in the end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qtm.paper.errors import ApiError, filter_failure, insufficient_balance, rejected
from qtm.paper.spot.admission import check_new, check_pending
from qtm.paper.spot.filters import check_order
from qtm.paper.spot.orders import NewOrder, SpotOrder

if TYPE_CHECKING:
    from qtm.paper.spot.accounts import SpotAccount
    from qtm.paper.spot.venue import SpotVenue

LISTS_KEPT = 5_000

TRIGGERED = "OCO_TRIGGER"
"""Expiry reason of the leg that the other leg's execution has ended."""


@dataclass(slots=True)
class OrderList:
    """One list. `working` is the first order of an OTO; `legs` are the orders that exclude each other."""

    id: int
    account: str
    symbol: str
    client_id: str
    contingency: str
    time_us: int
    working: SpotOrder | None = None
    pending: list[SpotOrder] = field(default_factory=list)
    legs: list[SpotOrder] = field(default_factory=list)
    status_type: str = "EXEC_STARTED"
    order_status: str = "EXECUTING"
    pays: bool = False
    """Whether the pending orders sell what the working order buys (OPO)."""

    @property
    def orders(self) -> list[SpotOrder]:
        """Every order of the list, in the order of placing."""
        if self.working is None:
            return self.legs
        return [self.working, *self.pending]

    def view(self, div: int = 1000) -> dict[str, Any]:
        """As answered by queries."""
        return {
            "orderListId": self.id,
            "contingencyType": self.contingency,
            "listStatusType": self.status_type,
            "listOrderStatus": self.order_status,
            "listClientOrderId": self.client_id,
            "transactionTime": self.time_us // div,
            "symbol": self.symbol,
            "orders": [
                {"symbol": o.symbol, "orderId": o.id, "clientOrderId": o.client_id} for o in self.orders
            ],
        }


class OrderLists:
    """All order lists of the spot market."""

    def __init__(self, venue: SpotVenue) -> None:
        self.venue = venue
        self.lists: dict[int, OrderList] = {}
        self.last_id = -1
        self._due: list[OrderList] = []

    # --- placing -------------------------------------------------------------------------------------------
    def place_oco(self, account: SpotAccount, above: NewOrder, below: NewOrder, client_id: str) -> OrderList:
        """Place two orders that exclude each other."""
        self._check_room(account, above.symbol, client_id)
        self._check_relation(above, below, self.venue.markets[above.symbol].trigger_price)
        for request in (above, below):
            check_new(self.venue, account, request)
        group = self._new(account, above.symbol, client_id, "OCO")
        group.legs = [self._member(account, group, request) for request in (above, below)]
        account.limits.check(2, self.venue.wall.now_ms() / 1000)
        self._lock_legs(account, group.legs)
        account.limits.charge(2, self.venue.wall.now_ms() / 1000)
        self.lists[group.id] = group
        self._publish(account, group)
        for order in group.legs:
            self.venue.accept(account, order)
        for order in group.legs:
            self.venue.activate(account, order)
        self.venue.conclude(group.symbol)
        return group

    def place_oto(
        self,
        account: SpotAccount,
        working: NewOrder,
        pending: list[NewOrder],
        client_id: str,
        *,
        pays: bool = False,
    ) -> OrderList:
        """Place an order that triggers (or `pays` for) one pending order, or two that exclude each other."""
        venue = self.venue
        self._check_room(account, working.symbol, client_id)
        check_new(venue, account, working)
        for request in pending:
            check_pending(venue, account, request)
        if len(pending) == 2:
            self._check_relation(pending[0], pending[1])
        group = self._new(account, working.symbol, client_id, "OTO")
        group.pays = pays
        group.working = self._member(account, group, working)
        group.pending = [self._member(account, group, request) for request in pending]
        if len(pending) == 2:
            group.legs = group.pending
        account.limits.check(1 + len(pending), venue.wall.now_ms() / 1000)
        venue.lock_for(account, group.working)
        account.limits.charge(1 + len(pending), venue.wall.now_ms() / 1000)
        self.lists[group.id] = group
        self._publish(account, group)
        venue.accept(account, group.working)
        for order in group.pending:
            venue.accept(account, order, "PENDING_NEW")
        venue.activate(account, group.working)
        venue.conclude(group.symbol)
        return group

    # --- what happens to a member ---------------------------------------------------------------------------
    def paid(self, account: SpotAccount, order: SpotOrder, asset: str, units: int, fee: int) -> None:
        """What the working order of an OPO list has brought is locked for its pending orders.

        The commission comes out of the free balance when that has enough, else out of what was received.
        """
        group = self.lists.get(order.list_id)
        if group is None or not group.pays or order is not group.working or not group.pending[0].is_open:
            return
        kept = units if account.balance(asset).free >= units else units - fee
        account.lock(asset, kept)
        group.pending[0].locked += kept
        if self.venue.store is not None:
            self.venue.store.note(group.pending[0], None)

    def before_fill(self, order: SpotOrder) -> None:
        """The first fill of a leg ends the other leg."""
        if order.list_id >= 0 and order.executed == 0:
            self._end_sibling(order)

    def before_trigger(self, order: SpotOrder) -> None:
        """The trigger of a leg ends the other leg."""
        if order.list_id >= 0:
            self._end_sibling(order)

    def open_orders_of(self, order: SpotOrder) -> list[SpotOrder]:
        """The open orders that are cancelled together with `order`: all of its list."""
        group = self.lists.get(order.list_id)
        members = [order] if group is None else group.orders
        return [member for member in members if member.is_open]

    def closed(self, order: SpotOrder) -> None:
        """A member has closed: activate or end what depends on it."""
        group = self.lists.get(order.list_id)
        if group is None or group.status_type == "ALL_DONE":
            return
        was_excluded = order.expiry_reason == TRIGGERED
        if group.working is order:
            if order.status == "FILLED":
                self._due.append(group)
            else:
                self._end_pending(group)
        elif order in group.legs and order.status not in ("CANCELED", "FILLED") and not was_excluded:
            for sibling in group.legs:
                if sibling is not order and sibling.is_open:
                    self.venue.expire(self.venue.accounts[group.account], sibling, TRIGGERED)
        if not any(member.is_open for member in group.orders):
            group.status_type = group.order_status = "ALL_DONE"
            group.time_us = self.venue.clock.now_us()
            self._publish(self.venue.accounts[group.account], group)

    def activate_due(self) -> bool:
        """Put the pending orders of filled working orders to work; True when there were any."""
        if not self._due:
            return False
        while self._due:
            self._activate(self._due.pop(0))
        return True

    def find(self, account: SpotAccount, list_id: int | None, client_id: str | None) -> OrderList | None:
        """A list by id or client id."""
        if list_id is not None:
            group = self.lists.get(list_id)
            return group if group is not None and group.account == account.name else None
        found = [g for g in self.lists.values() if g.account == account.name and g.client_id == client_id]
        return found[-1] if found else None

    # --- inside --------------------------------------------------------------------------------------------
    def _activate(self, group: OrderList) -> None:
        venue, account = self.venue, self.venue.accounts[group.account]
        waiting = [order for order in group.pending if order.status == "PENDING_NEW"]
        if not waiting:
            return
        try:
            if group.pays:
                self._size(account, waiting)
            else:
                self._lock_legs(account, waiting)
        except ApiError:
            self._end_pending(group)
            return
        for order in waiting:
            order.status = "NEW"
            order.update_us = venue.clock.now_us()
            if not order.stop_price and order.trailing_delta is None:
                order.working, order.working_us = True, order.update_us
            venue.report(account, order, "NEW")
        for order in waiting:
            if order.is_open:
                venue.activate(account, order)

    def _size(self, account: SpotAccount, waiting: list[SpotOrder]) -> None:
        """Let the pending orders of an OPO list sell what was received; ApiError when filters refuse it."""
        first = waiting[0]
        symbol = self.venue.symbol(first.symbol)
        have = first.locked
        steps = [(symbol.filter("LOT_SIZE") or {}).get("stepSize", 0)]
        if any(order.type == "MARKET" for order in waiting):
            steps.append((symbol.filter("MARKET_LOT_SIZE") or {}).get("stepSize", 0))
        qty = have
        for step in steps:
            qty = qty // step * step if step else qty
        market = self.venue.markets[first.symbol]

        def reference(minutes: int) -> int:
            return self.venue.reference_price(market, minutes)

        for order in waiting:
            order.qty = qty
            check_order(symbol, _request_of(order), reference)
        account.unlock(symbol.base, have - qty)
        first.locked = qty

    def _lock_legs(self, account: SpotAccount, legs: list[SpotOrder]) -> None:
        """Lock the larger need once; raises -2010 and locks nothing when it is not there."""
        needs = [self.venue.lock_needed(order) for order in legs]
        asset = needs[0][0]
        if account.balance(asset).free < max(units for _, units in needs):
            raise insufficient_balance()
        held = 0
        for order, (_, units) in zip(legs, needs, strict=True):
            order.locked = max(0, units - held)
            held += order.locked
            account.lock(asset, order.locked)

    def _end_sibling(self, order: SpotOrder) -> None:
        group = self.lists.get(order.list_id)
        if group is None or order not in group.legs:
            return
        venue, account = self.venue, self.venue.accounts[group.account]
        for sibling in group.legs:
            if sibling is order or not sibling.is_open:
                continue
            order.locked += sibling.locked
            sibling.locked = 0
            venue.expire(account, sibling, TRIGGERED)
            asset, needed = venue.lock_needed(order)
            if order.locked > needed:
                account.unlock(asset, order.locked - needed)
                order.locked = needed

    def _end_pending(self, group: OrderList) -> None:
        account = self.venue.accounts[group.account]
        for order in group.pending:
            if order.is_open:
                self.venue.expire(account, order, "OTO_PHASE_ONE_EXPIRED")

    def _new(self, account: SpotAccount, symbol: str, client_id: str, contingency: str) -> OrderList:
        self.last_id += 1
        return OrderList(
            self.last_id, account.name, symbol, client_id, contingency, self.venue.clock.now_us()
        )

    def _member(self, account: SpotAccount, group: OrderList, request: NewOrder) -> SpotOrder:
        order = self.venue.new_order(account, request)
        order.list_id = group.id
        return order

    def _check_room(self, account: SpotAccount, symbol: str, client_id: str) -> None:
        rule = self.venue.symbol(symbol).filter("MAX_NUM_ORDER_LISTS")
        mine = [g for g in self.lists.values() if g.account == account.name and g.status_type != "ALL_DONE"]
        if rule is not None and sum(g.symbol == symbol for g in mine) >= rule["maxNumOrderLists"]:
            raise filter_failure("MAX_NUM_ORDER_LISTS")
        if any(g.client_id == client_id for g in mine):
            raise rejected("Duplicate order sent.")
        while len(self.lists) > LISTS_KEPT:
            oldest = next(iter(self.lists))
            if self.lists[oldest].status_type != "ALL_DONE":
                break
            del self.lists[oldest]

    def _check_relation(self, above: NewOrder, below: NewOrder, last: int | None = None) -> None:
        """The prices of two orders that exclude each other lie apart, on both sides of the `last` trade."""
        upper = above.stop_price or above.price
        lower = below.stop_price or below.price
        if upper is None or lower is None:
            return
        has_limit = "LIMIT_MAKER" in (above.type, below.type)
        if upper <= lower or (has_limit and last and not upper > last > lower):
            raise rejected("The relationship of the prices for the orders is not correct.")

    def _publish(self, account: SpotAccount, group: OrderList) -> None:
        now = self.venue.clock.now_us()
        account.publish(
            {
                "e": "listStatus", "E": now, "s": group.symbol, "g": group.id, "c": group.contingency,
                "l": group.status_type, "L": group.order_status, "r": "NONE", "C": group.client_id,
                "T": group.time_us,
                "O": [{"s": o.symbol, "i": o.id, "c": o.client_id} for o in group.orders],
            }
        )  # fmt: skip


def _request_of(order: SpotOrder) -> NewOrder:
    """What the filters look at of an order."""
    return NewOrder(
        symbol=order.symbol,
        buy=order.buy,
        type=order.type,
        qty=order.qty,
        price=order.price or None,
        stop_price=order.stop_price or None,
        trailing_delta=order.trailing_delta,
        iceberg=order.iceberg or None,
    )
