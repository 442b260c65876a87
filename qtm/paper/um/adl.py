"""Auto-deleveraging: who is next when the insurance fund cannot take a bankrupt position over.

A position's score is its profit ratio times its effective leverage when it wins, divided by it when it loses;
the highest score of the side is deleveraged first, at the bankruptcy price of the position it relieves.
Source: Binance, "What is auto-deleveraging and how does it work".
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from qtm.paper.um import margin
from qtm.paper.um.accounts import UmAccount
from qtm.paper.um.orders import ADL_ID, NewUmOrder
from qtm.paper.um.positions import Position
from qtm.paper.um.settlement import book_fill
from qtm.paper.venue import MarketTrade
from qtm.paper.wire import E8

if TYPE_CHECKING:
    from qtm.paper.um.venue import UmVenue

QUANTILES = 5


def score(venue: UmVenue, account: UmAccount, position: Position) -> Fraction:
    """Priority of a position; the higher, the sooner it is deleveraged."""
    mark = venue.mark(position.symbol)
    value, profit = abs(position.notional(mark)), position.unrealised(mark)
    if account.setting(position.symbol).isolated:
        backing = position.isolated_wallet + profit
    else:
        total = margin.asset_margin(venue, account, venue.symbols[position.symbol].asset)
        backing = total.cross_wallet + total.cross_unrealised
    leverage = Fraction(value, max(1, backing)) or Fraction(1)
    ratio = Fraction(profit, max(1, abs(position.cost)))
    return ratio * leverage if profit > 0 else ratio / leverage


def ranking(venue: UmVenue, symbol: str, *, longs: bool) -> list[tuple[UmAccount, Position]]:
    """Positions of one side, the first to be deleveraged first."""
    held = [
        (account, position)
        for account in venue.accounts.values()
        for position in account.held(symbol)
        if (position.qty > 0) == longs
    ]
    return sorted(held, key=lambda pair: score(venue, *pair), reverse=True)


def quantile(venue: UmVenue, account: UmAccount, position: Position) -> int:
    """0 (last to be deleveraged) to 4 among the positions of its side; 0 for one that is flat or alone."""
    if not position.qty:
        return 0
    rows = ranking(venue, position.symbol, longs=position.qty > 0)
    behind = len(rows) - 1 - next(i for i, row in enumerate(rows) if row[1] is position)
    return behind * QUANTILES // len(rows)


def deleverage(venue: UmVenue, symbol: str, *, buy: bool, price: int, qty: int) -> int:
    """Close up to `qty` of the positions that a buy (sell) closes, at `price`; returns what was closed."""
    left, market = qty, venue.markets[symbol]
    for account, position in ranking(venue, symbol, longs=not buy):
        take = min(left, abs(position.qty))
        if not take:
            break
        request = NewUmOrder(
            symbol, buy, "LIMIT", ADL_ID, position_side=position.side, tif="IOC", qty=take, price=price,
            reduce_only=position.side == "BOTH",
        )  # fmt: skip
        order = venue.enter(account, request, closing=True)
        trade = MarketTrade(
            market.next_trade_id, price, take, price * take // E8, venue.clock.now_us(), not buy
        )
        market.next_trade_id += 1
        book_fill(venue, account, order, trade, is_maker=False, free=True)
        venue.complete(symbol, order)
        venue.treasury.receive("market", venue.symbols[symbol].asset, trade.quote if buy else -trade.quote)
        left -= take
    return qty - left
