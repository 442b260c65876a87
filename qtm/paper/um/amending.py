"""Modifying an open order: a new price and quantity, and a new place in the queue."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtm.paper.errors import ApiError, mandatory, not_required
from qtm.paper.um.accounts import UmAccount
from qtm.paper.um.checks import check_margin, matched_price
from qtm.paper.um.orders import Amendment, UmOrder
from qtm.paper.um.symbols import UmSymbol
from qtm.paper.wire import E8, units_of

if TYPE_CHECKING:
    from qtm.paper.um.venue import UmVenue

MOST = 10_000
"""How often one order may be modified (`maxMoveOrderLimit`)."""


def amend(
    venue: UmVenue,
    account: UmAccount,
    order: UmOrder,
    *,
    buy: bool,
    qty: int,
    price: int | None,
    match: str,
    counted: bool,
) -> None:
    """Modify an order.

    A quantity that is executed already, or a price at which a post-only order would take, cancels it.

    Raises
    ------
    ApiError
        -2013 for an order that is no longer open, -5024 to -5029, -5047 and what a new order would be
        refused for; the order then stands as it did.
    """
    symbol = venue.symbols[order.symbol]
    if order.id not in account.open_orders:
        raise ApiError(-2013, "Order does not exist.")
    if venue.markets[symbol.name].status != "TRADING":
        raise ApiError(-5024, "Symbol is not in trading status. Order amendment is not permitted.")
    if order.request.type != "LIMIT":
        raise ApiError(-5025, "Only limit order is supported.")
    if order.amended >= MOST:
        raise ApiError(-5026, "Exceed maximum modify order limit.")
    if order.buy != buy:
        raise ApiError(-1117, "Invalid side.")
    new = _price(venue, order, price, match)
    if (order.qty, order.price) == (qty, new):
        raise ApiError(-5027, "No need to modify the order.")
    _check(venue, account, symbol, order, qty, new)
    if counted:
        account.limits.charge(1, venue.wall.now_ms() / 1000)
    _write_down(venue, account, order, qty, new)
    side = venue.markets[symbol.name].book.opposite(buy=buy)
    best = side.best()
    takes = order.request.tif == "GTX" and best is not None and side.reaches(best[0], new)
    if qty <= order.executed or takes:
        venue.cancel(account, order)
        return
    venue.withdraw(order)
    order.qty, order.price = qty, new
    order.request = replace(order.request, price=new)
    order.update_us = venue.clock.now_us()
    venue.report(account, order, "AMENDMENT")
    venue.work(account, order)
    venue.conclude(symbol.name)


def _price(venue: UmVenue, order: UmOrder, price: int | None, match: str) -> int:
    if match != "NONE":
        if price is not None:
            raise not_required("price")
        return matched_price(venue.markets[order.symbol], match, buy=order.buy)
    if price is None:
        raise mandatory("price")
    return price


def _check(
    venue: UmVenue, account: UmAccount, symbol: UmSymbol, order: UmOrder, qty: int, price: int
) -> None:
    symbol.check_qty(qty, market=False)
    symbol.check_price(price, venue.mark(symbol.name), buy=order.buy)
    if order.closes:
        if qty - order.executed > abs(account.position(symbol.name, order.request.position_side).qty):
            raise ApiError(
                -4118, "ReduceOnly Order Failed. Please check your existing position and open orders"
            )
        return
    least = symbol.instrument.min_notional
    if price * qty // E8 < units_of(least):
        raise ApiError(-5029, f"Order's notional must be no smaller than {least.normalize():f}")
    rest = max(0, qty - order.executed)
    request = replace(order.request, price=price, qty=rest)
    opened, account.open_orders = account.open_orders, dict(account.open_orders)
    del account.open_orders[order.id]
    try:
        check_margin(venue, account, symbol, request, price * rest // E8)
    finally:
        account.open_orders = opened


def _write_down(venue: UmVenue, account: UmAccount, order: UmOrder, qty: int, price: int) -> None:
    venue.last_amendment_id += 1
    order.amended += 1
    account.amendments.append(
        Amendment(
            venue.last_amendment_id, order.symbol, order.id, order.client_id, venue.clock.now_us(),
            (order.price, order.qty), (price, qty), order.amended,
        )
    )  # fmt: skip
