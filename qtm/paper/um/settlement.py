"""What a fill does to an account: position, profit, commission, closing orders, events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtm.paper.um import orders
from qtm.paper.um.accounts import UmAccount
from qtm.paper.um.orders import UmOrder, UmTrade
from qtm.paper.um.positions import Position
from qtm.paper.venue import MarketTrade
from qtm.paper.wire import E8, units_of

if TYPE_CHECKING:
    from qtm.paper.um.venue import UmVenue

BNB = "BNB"
BNB_KEEPS = 90_000_000
"""Share of the commission that an account pays when it pays in BNB, in 1e-8 (10 % off)."""


def book_fill(
    venue: UmVenue,
    account: UmAccount,
    order: UmOrder,
    trade: MarketTrade,
    *,
    is_maker: bool,
    free: bool = False,
) -> None:
    """Book one side of a trade; `free` of commission for what the venue itself brings about."""
    symbol, setting = venue.symbols[order.symbol], account.setting(order.symbol)
    position = account.position(order.symbol, order.request.position_side)
    rate = 0 if free else account.maker if is_maker else account.taker
    fee = trade.quote * rate // E8
    realised = position.apply(order.buy, trade.price, trade.qty, setting.leverage if setting.isolated else 0)
    account.slack.clear()
    position.fees = position.fees + fee if position.qty else 0
    order.executed += trade.qty
    order.notional += trade.quote
    order.update_us = position.update_us = venue.clock.now_us()
    order.status = "FILLED" if order.remaining <= 0 else "PARTIALLY_FILLED"
    if realised:
        venue.book_income(account, order.symbol, "REALIZED_PNL", symbol.asset, realised, trade.id)
    paid_in, fee = _commission(venue, account, symbol.asset, fee)
    if fee:
        venue.treasury.receive("commission", paid_in, fee)
        venue.book_income(account, order.symbol, "COMMISSION", paid_in, -fee, trade.id)
    fill = UmTrade(
        trade.id, order.id, order.symbol, trade.price, trade.qty, trade.quote, fee, paid_in,
        realised, venue.clock.now_us(), order.buy, is_maker, position.side,
    )  # fmt: skip
    account.trades.append(fill)
    _trim_closing_orders(venue, account, position, order)
    venue.events.trade_lite(account, order, fill)
    venue.events.account(account, "ORDER", dict.fromkeys((symbol.asset, paid_in), 0), [position])
    venue.report(account, order, "CALCULATED" if order.forced else "TRADE", fill)


def bnb_price(venue: UmVenue, asset: str) -> int:
    """What a BNB costs: the index of its contract, else the cost model's price; 0 when unknown."""
    name = BNB + asset
    if name in venue.symbols:
        return venue.prices.contracts[name].index or venue.mark(name)
    return units_of(venue.costs.bnb_price)


def _commission(venue: UmVenue, account: UmAccount, asset: str, fee: int) -> tuple[str, int]:
    """The asset a commission is paid in, and how much of it."""
    if not account.fee_burn or fee <= 0:
        return asset, fee
    price = bnb_price(venue, asset)
    if not price:
        return asset, fee
    in_bnb = -(-fee * BNB_KEEPS // price)
    return (BNB, in_bnb) if account.wallets.get(BNB, 0) >= in_bnb else (asset, fee)


def _trim_closing_orders(venue: UmVenue, account: UmAccount, position: Position, filled: UmOrder) -> None:
    """Orders that may only reduce never exceed what is left of their position."""
    for order in list(account.open_orders.values()):
        same = order.symbol == position.symbol and order.request.position_side == position.side
        if not order.closes or not same or order is filled:
            continue
        if not position.qty or (position.qty > 0) == order.buy:
            venue.end(account, order, "EXPIRED", orders.KNOCKED_OUT)
        elif order.remaining > abs(position.qty):
            order.qty = order.executed + abs(position.qty)
            order.display = min(order.display, order.remaining)
            venue.markets[order.symbol].book.side(buy=order.buy).touched.add(order.book_price)
