"""Conditional orders: STOP, TAKE_PROFIT and trailing orders, waiting beside the book until their trigger.

STOP BUY and TAKE_PROFIT SELL fire at or above the trigger, the other two at or below it. A trailing
order follows the best price since its activation and fires when the price comes back by the callback rate.
A protected order (`priceProtect`) waits while last and mark price are further apart than `triggerProtect`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtm.paper.errors import ApiError
from qtm.paper.um.accounts import UmAccount
from qtm.paper.um.checks import check_good_till, check_order, check_position_side
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
    if venue.markets[request.symbol].status != "TRADING":
        raise ApiError(-4140, "Invalid symbol status for opening position.")
    price = _watched(venue, request)
    check_position_side(account, request)
    check_good_till(request, venue.wall.now_ms())
    if request.qty is not None:
        symbol.check_qty(request.qty, market=request.type == "MARKET")
    for value in (trigger, activate):
        if value:
            symbol.check_trigger(value)
    if request.price is not None:
        symbol.check_grid(request.price)
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
        venue.last_algo_id, account.name, request, kind, trigger, now, now,
        activate=activate, callback=callback,
    )  # fmt: skip
    if kind == "TRAILING_STOP_MARKET" and not activate:
        order.extreme = price
    account.algos[order.id] = account.open_algos[order.id] = order
    account.forget_oldest()
    _tell(venue, account, order)
    return order


def cancel(venue: UmVenue, account: UmAccount, order: AlgoOrder) -> None:
    """Cancel a waiting conditional order."""
    account.open_algos.pop(order.id)
    _become(venue, account, order, "CANCELED")


def expire(venue: UmVenue, account: UmAccount, order: AlgoOrder) -> None:
    """End a waiting conditional order whose goodTillDate is over."""
    account.open_algos.pop(order.id)
    _become(venue, account, order, "EXPIRED")


def trigger(venue: UmVenue, symbol: str) -> bool:
    """Fire what the last or the mark price has reached; returns whether anything was reached.

    All are held against the same prices, however far the orders of those before them move the market.
    """
    reached = [
        (account, order)
        for account in venue.accounts.values()
        for order in account.open_algos.values()
        if order.request.symbol == symbol and _fires(venue, order)
    ]
    for account, order in reached:
        if account.open_algos.pop(order.id, None) is not None:
            _fire(venue, account, order)
    return bool(reached)


def _fires(venue: UmVenue, order: AlgoOrder) -> bool:
    price = _watched(venue, order.request)
    if not price or (order.request.price_protect and _apart(venue, order.request.symbol)):
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
        order.request, orig_type=order.kind, stop_price=order.trigger, client_id=order.request.client_id,
        activate=order.activate, callback=order.callback,
    )  # fmt: skip
    if request.close_position:
        held = account.position(request.symbol, request.position_side)
        if not held.qty or (held.qty > 0) == request.buy:
            order.reason = "no position to close"
            _become(venue, account, order, "EXPIRED")
            return
        request = replace(request, qty=abs(held.qty))
    try:
        entered, closing = check_order(venue, account, request)
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
    return venue.mark(request.symbol) if mark else venue.markets[request.symbol].trigger_price


def _apart(venue: UmVenue, symbol: str) -> bool:
    """Whether last and mark price are further apart than the contract's `triggerProtect`."""
    last, mark = venue.markets[symbol].last_price, venue.mark(symbol)
    return abs(last - mark) * E8 > venue.symbols[symbol].percent * mark


def _above(kind: str, buy: bool) -> bool:
    return buy == kind.startswith("STOP")


def _passed(trigger_price: int, price: int, *, above: bool) -> bool:
    return price >= trigger_price if above else price <= trigger_price


def _become(venue: UmVenue, account: UmAccount, order: AlgoOrder, status: str) -> None:
    order.status = status
    order.update_us = venue.clock.now_us()
    _tell(venue, account, order)


def _tell(venue: UmVenue, account: UmAccount, order: AlgoOrder) -> None:
    venue.events.algo(account, order)
    if venue.store is not None:
        venue.store.note_algo(order)
