"""Liquidation: margin below maintenance cancels orders and closes positions, step by step.

A cross account is judged as a whole, per margin asset; an isolated position by its own wallet. First every
open order goes. Then a position beyond the first bracket is reduced to the bracket below by one
immediate-or-cancel order no worse than its bankruptcy price, again and again while the account is still
short. A position that cannot be helped so is closed: what the book does not take at the bankruptcy price is
taken over there by the insurance fund, which trades it out; a fund that could not bear the loss leaves it to
auto-deleveraging (`adl`). The liquidation fee is a share of what was liquidated, or what margin is left; a
wallet that ends below zero is filled up by the fund. Source: Binance, "Liquidation protocols".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from qtm.paper.matching import BookOrder
from qtm.paper.um import margin
from qtm.paper.um.accounts import UmAccount
from qtm.paper.um.brackets import bracket_at, maintenance
from qtm.paper.um.orders import LIQUIDATED, LIQUIDATION_ID, NewUmOrder, UmOrder
from qtm.paper.um.positions import Position
from qtm.paper.um.settlement import book_fill
from qtm.paper.venue import MarketTrade, SymbolMarket
from qtm.paper.wire import E8

if TYPE_CHECKING:
    from qtm.paper.um.venue import UmVenue

WARN_AT = 80
"""Percentage of the margin balance that maintenance may reach before the account gets a margin call."""


class LiquidationWatcher(Protocol):
    """Who is told of liquidations (the market-data streams)."""

    def liquidated(self, order: UmOrder) -> None:
        """A liquidation order has ended."""
        ...

    def handed_over(self, market: SymbolMarket, trade: MarketTrade, kind: str) -> None:
        """A trade beside the book: `kind` is INSURANCE_FUND or ADL."""
        ...


class FundOrder(BookOrder):
    """An order of the insurance fund that trades out what it has taken over."""

    __slots__ = ()

    def __init__(self, *, buy: bool, qty: int) -> None:
        super().__init__(0, "", buy=buy, qty=qty, price=0, stp="NONE")


def check(venue: UmVenue, symbol: str) -> bool:
    """Liquidate what the present prices of `symbol` have put below maintenance margin.

    Returns
    -------
    Whether anything was closed or traded out.
    """
    acted = _trade_out(venue, symbol)
    for account in venue.accounts.values():
        if account.held(symbol):
            if account.setting(symbol).isolated:
                acted |= _isolated(venue, account, symbol)
            elif not _surely_safe(venue, account, symbol):
                acted |= _cross(venue, account, venue.symbols[symbol].asset)
    return acted


def _surely_safe(venue: UmVenue, account: UmAccount, symbol: str) -> bool:
    """Whether a move of one mark price cannot have brought the account near a margin call.

    Profit moves by the size of the position, maintenance by less: twice the move bounds both. So most moves
    need no look at all the positions of the account.
    """
    asset = venue.symbols[symbol].asset
    slack = account.slack.get(asset)
    if slack is None or account.multi_assets:
        return False
    mark = venue.mark(symbol)
    size = sum(abs(position.qty) for position in account.held(symbol))
    slack -= 2 * size * abs(mark - account.slack_marks.get(symbol, 0)) // E8 + 1
    account.slack[asset], account.slack_marks[symbol] = slack, mark
    return slack > 0


def _isolated(venue: UmVenue, account: UmAccount, symbol: str) -> bool:
    contract, acted = venue.symbols[symbol], False
    for position in account.held(symbol):
        mark = venue.mark(symbol)
        left = position.isolated_wallet + position.unrealised(mark)
        needed = maintenance(contract.brackets, position.notional(mark))
        _warn(venue, account, symbol, left, needed, [position], None)
        if left >= needed:
            continue
        _cancel_orders(venue, account, {symbol})
        whole = False
        while position.qty:
            backing = position.isolated_wallet
            if backing + position.unrealised(venue.mark(symbol)) >= maintenance(
                contract.brackets, position.notional(venue.mark(symbol))
            ):
                break
            before = account.wallets[contract.asset]
            value, whole = _step(venue, account, position, backing, whole=whole)
            remains = backing + account.wallets[contract.asset] - before
            fee = _charge(venue, account, symbol, remains, value, clear=not position.qty)
            if position.qty:
                position.isolated_wallet = max(0, remains - fee)
            acted = True
    return acted


def _cross(venue: UmVenue, account: UmAccount, asset: str) -> bool:
    total = margin.asset_margin(venue, account, asset)
    crossed = _crossed(account, total)
    left = total.cross_wallet + total.cross_unrealised
    _warn(venue, account, asset, left, total.cross_maintenance, crossed, total.cross_wallet)
    account.slack[asset] = left - total.cross_maintenance * 100 // WARN_AT
    account.slack_marks.update({p.symbol: venue.mark(p.symbol) for p in crossed})
    if left >= total.cross_maintenance or not crossed:
        return False
    contracts = {s.name for s in venue.symbols.values() if account.multi_assets or s.asset == asset}
    _cancel_orders(venue, account, contracts)
    whole: dict[tuple[str, str], bool] = {}
    acted = False
    while True:
        total = margin.asset_margin(venue, account, asset)
        crossed = _crossed(account, total)
        if not crossed or total.cross_wallet + total.cross_unrealised >= total.cross_maintenance:
            return acted
        worst = max(crossed, key=lambda p: _maintenance(venue, p))
        key = worst.symbol, worst.side
        mark = venue.mark(worst.symbol)
        backing = total.cross_wallet + total.cross_unrealised - worst.unrealised(mark)
        value, whole[key] = _step(venue, account, worst, backing, whole=whole.get(key, False))
        total = margin.asset_margin(venue, account, asset)
        remains = total.cross_wallet + total.cross_unrealised
        _charge(venue, account, worst.symbol, remains, value, clear=not _crossed(account, total))
        acted = True


def _step(
    venue: UmVenue, account: UmAccount, position: Position, backing: int, *, whole: bool
) -> tuple[int, bool]:
    """One liquidation order; returns the value liquidated, and whether the next must close everything.

    Parameters
    ----------
    backing
        Margin that stands behind the position: beyond its loss the price is the bankruptcy price.
    """
    symbol, mark = venue.symbols[position.symbol], venue.mark(position.symbol)
    brackets, size = symbol.brackets, abs(position.qty)
    bracket = bracket_at(brackets, abs(position.notional(mark)))
    wanted = size
    if not whole and bracket.number > 1 and mark:
        excess = -(-(abs(position.notional(mark)) - bracket.floor) * E8 // mark)
        wanted = min(size, -(-excess // symbol.step) * symbol.step)
    price = _bankruptcy_price(position, backing, symbol.tick)
    order, limit = _enter(venue, account, position, wanted, price), price or None
    venue.match(order.symbol, venue.markets[order.symbol].book, order, limit)
    if wanted == size and order.remaining > 0:
        _hand_over(venue, account, order, price or mark)
    missed = order.remaining > 0
    if order.id in account.open_orders:
        if missed:
            venue.end(account, order, "EXPIRED", LIQUIDATED)
        else:
            venue.complete(order.symbol, order)
    for watcher in venue.watchers:
        watcher.liquidated(order)
    return order.notional, whole or missed or wanted == size


def _enter(venue: UmVenue, account: UmAccount, position: Position, qty: int, price: int) -> UmOrder:
    request = NewUmOrder(
        position.symbol, position.qty < 0, "LIMIT",
        f"{LIQUIDATION_ID}{venue.clock.now_us()}-{venue.last_order_id + 1}"[:36],
        position_side=position.side, tif="IOC", qty=qty, price=price or venue.mark(position.symbol),
        reduce_only=position.side == "BOTH",
    )  # fmt: skip
    return venue.enter(account, request, closing=True)


def _bankruptcy_price(position: Position, backing: int, tick: int) -> int:
    """The bankruptcy price on the grid, never on the losing side of it; 0 when there is none."""
    price = position.bankruptcy(backing)
    if not price:
        return 0
    return max(tick, -(-price // tick) * tick if position.qty > 0 else price // tick * tick)


def _hand_over(venue: UmVenue, account: UmAccount, order: UmOrder, price: int) -> None:
    """What the book did not take goes to the fund, to opposing positions, or at last to the market."""
    symbol, asset = order.symbol, venue.symbols[order.symbol].asset
    loss = _cost_of_trading_out(venue, order, price)
    if loss > venue.fund.balance(asset):
        closed = venue.deleverage(symbol, not order.buy, price, order.remaining)
        if closed:
            _beside_the_book(venue, account, order, price, closed, "ADL")
            venue.treasury.receive("market", asset, _cash(order.buy, price, closed))
        if order.remaining <= 0:
            return
        if loss > 0:
            # The market's own traders are deleveraged: they keep what they had and get no more.
            rest = order.remaining
            _beside_the_book(venue, account, order, price, rest, "ADL")
            venue.treasury.receive("market", asset, _cash(order.buy, price, rest))
            return
    rest = order.remaining
    _beside_the_book(venue, account, order, price, rest, "INSURANCE_FUND")
    venue.fund.trade(symbol, asset, not order.buy, price, rest)
    _trade_out(venue, symbol)


def _cash(buy: bool, price: int, qty: int) -> int:
    """What the other side of a trade receives."""
    quote = price * qty // E8
    return quote if buy else -quote


def _beside_the_book(
    venue: UmVenue, account: UmAccount, order: UmOrder, price: int, qty: int, kind: str
) -> None:
    """One side of a trade that the book and the last price do not see."""
    market = venue.markets[order.symbol]
    trade = MarketTrade(
        market.next_trade_id, price, qty, price * qty // E8, venue.clock.now_us(), not order.buy
    )
    market.next_trade_id += 1
    book_fill(venue, account, order, trade, is_maker=False, free=True)
    for watcher in venue.watchers:
        watcher.handed_over(market, trade, kind)


def _cost_of_trading_out(venue: UmVenue, order: UmOrder, price: int) -> int:
    """What the fund would lose by taking the rest of an order over at `price` and trading it out now."""
    side, left, cash = venue.markets[order.symbol].book.opposite(buy=order.buy), order.remaining, 0
    for offered in side.prices():
        take = min(left, side.levels[offered].quantity)
        cash, left = cash + offered * take // E8, left - take
        if not left:
            break
    cash += venue.mark(order.symbol) * left // E8
    due = price * order.remaining // E8
    return cash - due if order.buy else due - cash


def _trade_out(venue: UmVenue, symbol: str) -> bool:
    """Let the fund trade what it holds against the book; True when something traded."""
    held = venue.fund.position(symbol).qty if symbol in venue.fund.positions else 0
    if not held:
        return False
    order = FundOrder(buy=held < 0, qty=abs(held))
    venue.match(symbol, venue.markets[symbol].book, order, None)
    return order.executed > 0


def _charge(venue: UmVenue, account: UmAccount, symbol: str, remains: int, value: int, *, clear: bool) -> int:
    """Take the fee from what remains, or let the fund fill up what is missing; returns the fee."""
    contract = venue.symbols[symbol]
    asset, fee = contract.asset, min(max(0, remains), value * contract.liquidation_fee // E8)
    amount = -fee if remains >= 0 else (-remains if clear else 0)
    if amount:
        venue.fund.receive(asset, -amount)
        venue.book_income(account, symbol, "INSURANCE_CLEAR", asset, amount)
        venue.events.account(account, "INSURANCE_CLEAR", {asset: amount})
    return fee


def _warn(
    venue: UmVenue,
    account: UmAccount,
    what: str,
    left: int,
    needed: int,
    positions: list[Position],
    cross_wallet: int | None,
) -> None:
    """A margin call when maintenance nears what is left; another one only after it was safe again."""
    if needed * 100 < left * WARN_AT:
        account.warned.discard(what)
    elif positions and what not in account.warned:
        account.warned.add(what)
        venue.events.margin_call(account, positions, cross_wallet)


def _crossed(account: UmAccount, total: margin.AssetMargin) -> list[Position]:
    return [p for p in total.positions if not account.setting(p.symbol).isolated]


def _maintenance(venue: UmVenue, position: Position) -> int:
    symbol = venue.symbols[position.symbol]
    return maintenance(symbol.brackets, position.notional(venue.mark(position.symbol)))


def _cancel_orders(venue: UmVenue, account: UmAccount, symbols: set[str]) -> None:
    for order in [o for o in account.open_orders.values() if o.symbol in symbols]:
        venue.end(account, order, "EXPIRED", LIQUIDATED)
