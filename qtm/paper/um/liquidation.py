"""Liquidation: margin below maintenance cancels orders and closes positions; a fund bears what is missing.

A cross account is judged as a whole, per margin asset; an isolated position by its own wallet. Positions are
closed against the market, largest maintenance margin first, until what is left is safe. What the book cannot
take goes to the insurance fund at the mark price. The liquidation fee goes to the fund as far as margin is
left; a wallet that ends below zero is filled up by the fund (INSURANCE_CLEAR).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtm.paper.um import margin
from qtm.paper.um.accounts import Position, UmAccount
from qtm.paper.um.brackets import maintenance
from qtm.paper.um.orders import NewUmOrder
from qtm.paper.um.symbols import LIQUIDATION_FEE
from qtm.paper.wire import E8

if TYPE_CHECKING:
    from qtm.paper.um.venue import UmVenue


def check(venue: UmVenue, symbol: str) -> None:
    """Liquidate what the present prices of `symbol` have put below maintenance margin."""
    if venue.liquidating:
        return
    venue.liquidating = True
    try:
        for account in venue.accounts.values():
            if account.held(symbol):
                if account.setting(symbol).isolated:
                    _isolated(venue, account, symbol)
                else:
                    _cross(venue, account, venue.symbols[symbol].asset)
    finally:
        venue.liquidating = False


def _isolated(venue: UmVenue, account: UmAccount, symbol: str) -> None:
    contract = venue.symbols[symbol]
    for position in account.held(symbol):
        mark = venue.mark(symbol)
        left = position.isolated_wallet + position.unrealised(mark)
        if left >= maintenance(contract.brackets, position.notional(mark)):
            continue
        _cancel_orders(venue, account, {symbol})
        backing = position.isolated_wallet
        before = account.wallets[contract.asset]
        value = abs(position.notional(mark))
        _close(venue, account, position)
        remains = backing + account.wallets[contract.asset] - before
        _settle_with_fund(venue, account, symbol, remains, value)


def _cross(venue: UmVenue, account: UmAccount, asset: str) -> None:
    total = margin.asset_margin(venue, account, asset)
    if total.cross_wallet + total.cross_unrealised >= total.cross_maintenance:
        return
    _cancel_orders(
        venue, account, {name for name, contract in venue.symbols.items() if contract.asset == asset}
    )
    while True:
        total = margin.asset_margin(venue, account, asset)
        crossed = [p for p in total.positions if not account.setting(p.symbol).isolated]
        if not crossed or total.cross_wallet + total.cross_unrealised >= total.cross_maintenance:
            break
        worst = max(
            crossed,
            key=lambda p: maintenance(venue.symbols[p.symbol].brackets, p.notional(venue.mark(p.symbol))),
        )
        value = abs(worst.notional(venue.mark(worst.symbol)))
        _close(venue, account, worst)
        total = margin.asset_margin(venue, account, asset)
        _settle_with_fund(
            venue, account, worst.symbol, total.cross_wallet + total.cross_unrealised, value,
            clear=not [p for p in total.positions if not account.setting(p.symbol).isolated],
        )  # fmt: skip


def _close(venue: UmVenue, account: UmAccount, position: Position) -> None:
    """Close a position against the market; the insurance fund takes what the market cannot, at the mark."""
    buy = position.qty < 0
    request = NewUmOrder(
        position.symbol, buy, "LIMIT", f"autoclose-{venue.clock.now_us()}-{venue.last_order_id + 1}"[:36],
        position_side=position.side, tif="IOC", qty=abs(position.qty), reduce_only=position.side == "BOTH",
    )  # fmt: skip
    order = venue.enter(account, request, closing=True)
    venue.match(order.symbol, venue.markets[order.symbol].book, order, None)
    if order.remaining > 0 and order.id in account.open_orders:
        venue.settle(order.symbol, order, None, venue.mark(order.symbol), order.remaining, taker_buys=buy)
    venue.complete(order.symbol, order)


def _settle_with_fund(
    venue: UmVenue, account: UmAccount, symbol: str, remains: int, value: int, *, clear: bool = True
) -> None:
    """Pay the liquidation fee from what remains, or let the fund fill up what is missing."""
    asset = venue.symbols[symbol].asset
    fee = min(max(0, remains), value * LIQUIDATION_FEE // E8)
    amount = -fee if remains >= 0 else (-remains if clear else 0)
    if amount:
        venue.insurance[asset] = venue.insurance.get(asset, 0) - amount
        venue.book_income(account, symbol, "INSURANCE_CLEAR", asset, amount)
        venue.publish_account(account, "INSURANCE_CLEAR", asset, change=amount)


def _cancel_orders(venue: UmVenue, account: UmAccount, symbols: set[str]) -> None:
    for order in [o for o in account.open_orders.values() if o.symbol in symbols]:
        venue.end(account, order, "EXPIRED")
