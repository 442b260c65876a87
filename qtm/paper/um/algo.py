"""Conditional orders: STOP, TAKE_PROFIT and trailing orders, waiting beside the book until their trigger.

STOP BUY and TAKE_PROFIT SELL fire at or above the trigger, the other two at or below it. A trailing
order follows the best price since its activation and fires when the price comes back by the callback rate.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtm.paper.errors import ApiError
from qtm.paper.um.accounts import UmAccount
from qtm.paper.um.orders import AlgoOrder, NewUmOrder
from qtm.paper.wire import E8

if TYPE_CHECKING:
    from qtm.paper.um.venue import UmVenue

MAX_OPEN = 200


def place(
    venue: UmVenue,
    account: UmAccount,
    request: NewUmOrder,
    kind: str,
    trigger: int,
    activate: int,
    callback: int,
) -> AlgoOrder:
    """Take a conditional order.

    Raises
    ------
    ApiError
        -2021 when it would fire at once, -4045 beyond the open conditional orders allowed, -4116 for an id in
        use, -4061, -4014, -4023 and their like for what the later order could not be.
    """
    symbol = venue.symbol(request.symbol)
    price = _watched(venue, request)
    if account.hedge != (request.position_side != "BOTH"):
        raise ApiError(-4061, "Order's position side does not match user's setting.")
    if request.qty is not None:
        symbol.check_qty(request.qty, market=request.type == "MARKET")
    for value in (trigger, activate, request.price or 0):
        if value and value % symbol.tick:
            raise ApiError(-4014, "Price not increased by tick size.")
    if len(account.open_algos) >= MAX_OPEN:
        raise ApiError(-4045, "Reach max stop order limit.")
    if any(order.request.client_id == request.client_id for order in account.open_algos.values()):
        raise ApiError(-4116, "ClientOrderId is duplicated.")
    if kind == "TRAILING_STOP_MARKET":
        if activate and price and (activate >= price if request.buy else activate <= price):
            raise ApiError(-2021, "Order would immediately trigger.")
    elif price and _passed(trigger, price, above=_above(kind, request.buy)):
        raise ApiError(-2021, "Order would immediately trigger.")
    venue.last_algo_id += 1
    now = venue.clock.now_us()
    order = AlgoOrder(
        venue.last_algo_id,
        account.name,
        request,
        kind,
        trigger,
        now,
        now,
        activate=activate,
        callback=callback,
    )
    if kind == "TRAILING_STOP_MARKET" and not activate:
        order.extreme = price
    account.algos[order.id] = account.open_algos[order.id] = order
    _tell(venue, account, order)
    return order


def cancel(venue: UmVenue, account: UmAccount, order: AlgoOrder) -> None:
    """Cancel a waiting conditional order."""
    account.open_algos.pop(order.id)
    _become(venue, account, order, "CANCELED")


def trigger(venue: UmVenue, symbol: str) -> None:
    """Fire what the last or the mark price has reached, and what those executions reach in turn."""
    for account in venue.accounts.values():
        for order in list(account.open_algos.values()):
            if order.request.symbol == symbol and order.id in account.open_algos and _fires(venue, order):
                del account.open_algos[order.id]
                _fire(venue, account, order)


def _fires(venue: UmVenue, order: AlgoOrder) -> bool:
    price = _watched(venue, order.request)
    if not price:
        return False
    if order.kind != "TRAILING_STOP_MARKET":
        return _passed(order.trigger, price, above=_above(order.kind, order.request.buy))
    buy = order.request.buy
    if not order.extreme:
        if price > order.activate if buy else price < order.activate:
            return False
        order.extreme = price
    order.extreme = min(order.extreme, price) if buy else max(order.extreme, price)
    away = order.extreme * order.callback
    if buy:
        return price * E8 >= order.extreme * E8 + away
    return price * E8 <= order.extreme * E8 - away


def _fire(venue: UmVenue, account: UmAccount, order: AlgoOrder) -> None:
    order.trigger_us = venue.clock.now_us()
    _become(venue, account, order, "TRIGGERING")
    request = replace(
        order.request, orig_type=order.kind, stop_price=order.trigger, client_id=f"algo-{order.id}"
    )
    if request.close_position:
        held = account.position(request.symbol, request.position_side)
        if not held.qty or (held.qty > 0) == request.buy:
            order.reason = "no position to close"
            _become(venue, account, order, "EXPIRED")
            return
        request = replace(request, qty=abs(held.qty))
    try:
        entered, closing = venue.validate(account, request)
    except ApiError as error:
        order.reason = error.msg
        _become(venue, account, order, "REJECTED")
        return
    placed = venue.enter(account, entered, closing=closing)
    order.order_id = placed.id
    _become(venue, account, order, "TRIGGERED")
    venue.work(account, placed)
    _become(venue, account, order, "FINISHED")


def _watched(venue: UmVenue, request: NewUmOrder) -> int:
    mark = request.working_type == "MARK_PRICE"
    return venue.mark(request.symbol) if mark else venue.markets[request.symbol].last_price


def _above(kind: str, buy: bool) -> bool:
    return buy == kind.startswith("STOP")


def _passed(trigger_price: int, price: int, *, above: bool) -> bool:
    return price >= trigger_price if above else price <= trigger_price


def _become(venue: UmVenue, account: UmAccount, order: AlgoOrder, status: str) -> None:
    order.status = status
    order.update_us = venue.clock.now_us()
    _tell(venue, account, order)


def _tell(venue: UmVenue, account: UmAccount, order: AlgoOrder) -> None:
    if account.listeners:
        account.publish(order.update(venue.symbols[order.request.symbol], account.orders.get(order.order_id)))
