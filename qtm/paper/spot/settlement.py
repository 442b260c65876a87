"""Settling a fill to the last unit: what is paid and received, the fee, the lock that has become idle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtm.paper.spot.accounts import Treasury
from qtm.paper.spot.fees import commission
from qtm.paper.spot.orders import LIMIT_TYPES, SpotOrder, SpotTrade
from qtm.paper.wire import E8

if TYPE_CHECKING:
    from qtm.paper.spot.accounts import SpotAccount
    from qtm.paper.spot.venue import SpotVenue


def fill(
    venue: SpotVenue,
    order: SpotOrder,
    price: int,
    qty: int,
    *,
    is_maker: bool,
    trade_id: int = -1,
    allocation_id: int = -1,
) -> None:
    """Book one fill of an order: a trade of its book, or an allocation from smart order routing."""
    account, symbol = venue.accounts[order.account], venue.symbols[order.symbol]
    quote = price * qty // E8
    spent, spent_units = (symbol.quote, quote) if order.buy else (symbol.base, qty)
    got, got_units = (symbol.base, qty) if order.buy else (symbol.quote, quote)
    order.executed += qty
    order.quote_executed += quote
    account.pay_locked(spent, spent_units)
    order.locked -= spent_units
    account.receive(got, got_units)
    Treasury.move(venue.treasury.market, spent, spent_units)
    Treasury.move(venue.treasury.market, got, -got_units)
    fee_asset, fee = commission(venue, account, symbol, order.buy, got_units, quote, is_maker=is_maker)
    account.receive(fee_asset, -fee)
    Treasury.move(venue.treasury.fees, fee_asset, fee)
    venue.lists.paid(account, order, got, got_units, fee if fee_asset == got else 0)
    now = venue.clock.now_us()
    trade = SpotTrade(
        trade_id, order.id, order.list_id, price, qty, quote, fee, fee_asset, now, order.buy, is_maker,
        allocation_id,
    )  # fmt: skip
    account.symbol(order.symbol).note(trade)
    order.update_us = now
    order.status = "FILLED" if order.remaining <= 0 else "PARTIALLY_FILLED"
    if not is_maker:
        order.fills.append(trade)
    _trim_lock(account, order, spent)
    if order.executed == qty:  # its first fill gives the order's place back
        account.limits.give_back(1, venue.wall.now_ms() / 1000)
    venue.report(account, order, "TRADE", trade=trade)


def release_surplus(venue: SpotVenue, account: SpotAccount, order: SpotOrder) -> None:
    """Give back what an order, or the legs of its OCO that lock together, hold beyond the larger need."""
    legs = [leg for leg in venue.lists.open_orders_of(order) if leg.status != "PENDING_NEW"]
    needs = [venue.lock_needed(leg) for leg in legs]
    surplus = sum(leg.locked for leg in legs) - max(units for _, units in needs)
    if surplus <= 0:
        return
    account.unlock(needs[0][0], surplus)
    held = 0
    for leg, (_, units) in zip(legs, needs, strict=True):
        leg.locked = max(0, units - held)
        held += leg.locked


def _trim_lock(account: SpotAccount, order: SpotOrder, asset: str) -> None:
    """Give back what a better price has made superfluous."""
    if order.buy and order.price and order.type in LIMIT_TYPES:
        surplus = order.locked + (order.price * -order.remaining) // E8
        if surplus > 0:
            account.unlock(asset, surplus)
            order.locked -= surplus
