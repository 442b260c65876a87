"""What is checked before an order is taken: side and mode, price, quantity, notional, counts, margin.

Source of codes and texts: Binance, "Error Codes" of USD-M futures.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from qtm.paper.errors import ApiError
from qtm.paper.matching import BookOrder
from qtm.paper.um import margin
from qtm.paper.um.accounts import UmAccount
from qtm.paper.um.brackets import max_notional
from qtm.paper.um.orders import NewUmOrder
from qtm.paper.um.symbols import UmSymbol
from qtm.paper.venue import SymbolMarket
from qtm.paper.wire import E8

if TYPE_CHECKING:
    from qtm.paper.um.venue import UmVenue

GTD_LEAST_MS = 600_000
GTD_MOST_MS = 253_402_300_799_000


def check_order(venue: UmVenue, account: UmAccount, request: NewUmOrder) -> tuple[NewUmOrder, bool]:
    """Check an order; returns it as it will be entered, and whether it may only reduce its position.

    Raises
    ------
    ApiError
        The futures code of what is wrong.
    """
    symbol, market = venue.symbol(request.symbol), venue.markets[request.symbol]
    if market.status != "TRADING":
        raise ApiError(-4140, "Invalid symbol status for opening position.")
    closing = check_position_side(account, request)
    check_good_till(request, venue.wall.now_ms())
    if request.price_match != "NONE":
        request = replace(request, price=matched_price(market, request.price_match, buy=request.buy))
    if closing:
        request = _reduced(account, request)
    qty = request.qty or 0
    symbol.check_qty(qty, market=request.type == "MARKET")
    worth = _check_price(venue, symbol, market, request) * qty // E8
    if not closing:
        symbol.check_notional(worth)
    if request.client_id in account.open_client_ids:
        raise ApiError(-4116, "ClientOrderId is duplicated.")
    opened = sum(order.symbol == request.symbol for order in account.open_orders.values())
    if opened >= symbol.max_orders:
        raise ApiError(-2025, "Reach max open order limit.")
    if not closing:
        check_margin(venue, account, symbol, request, worth)
    if request.tif == "FOK" and request.price is not None:
        _check_fill_or_kill(venue, account, request)
    return request, closing


def check_position_side(account: UmAccount, request: NewUmOrder) -> bool:
    """Position side and reduce-only against the account's mode; True when the order only reduces.

    Raises
    ------
    ApiError
        -4061 for a side of the other mode, -1106 for reduceOnly in hedge mode.
    """
    if account.hedge != (request.position_side != "BOTH"):
        raise ApiError(-4061, "Order's position side does not match user's setting.")
    if not account.hedge:
        return request.reduce_only or request.close_position
    if request.reduce_only:
        raise ApiError(-1106, "Parameter 'reduceonly' sent when not required.")
    return request.buy == (request.position_side == "SHORT")


def check_good_till(request: NewUmOrder, now_ms: int) -> None:
    """-5040 for a goodTillDate that is too near or beyond the calendar."""
    till = request.good_till_ms
    if till and not now_ms + GTD_LEAST_MS < till < GTD_MOST_MS:
        raise ApiError(
            -5040,
            "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller "
            "than 253402300799000 (UTC 9999-12-31 23:59:59)",
        )


def check_margin(
    venue: UmVenue, account: UmAccount, symbol: UmSymbol, request: NewUmOrder, worth: int
) -> None:
    """Whether leverage and margin carry an order worth `worth`; raises -2027 or -2019."""
    side, name, mark = request.position_side, symbol.name, venue.mark(symbol.name)
    held = account.position(name, side).notional(mark)
    leverage = account.setting(name).leverage
    bids, asks = margin.order_notionals(account, name, side, (request.buy, worth))
    worst = max(abs(held + bids), abs(held - asks)) if side == "BOTH" else abs(held) + bids + asks
    if worst > max_notional(symbol.brackets, leverage) and worst > abs(held):
        raise ApiError(-2027, "Exceeded the maximum allowable position at current leverage.")
    before = margin.orders_initial(venue, account, name, side)
    after = margin.orders_initial(venue, account, name, side, (request.buy, worth))
    if after > before:
        gap = worth - mark * (request.qty or 0) // E8
        loss = max(0, gap if request.buy else -gap)
        if after - before + loss > margin.asset_margin(venue, account, symbol.asset).available:
            raise ApiError(-2019, "Margin is insufficient.")


def _reduced(account: UmAccount, request: NewUmOrder) -> NewUmOrder:
    """The order cut to what there is to close; -2022 when there is nothing."""
    held = account.position(request.symbol, request.position_side).qty
    if held == 0 or (held > 0) == request.buy or (account.hedge and (request.qty or 0) > abs(held)):
        raise ApiError(-2022, "ReduceOnly Order is rejected.")
    return replace(request, qty=min(request.qty or abs(held), abs(held)))


def _check_price(venue: UmVenue, symbol: UmSymbol, market: SymbolMarket, request: NewUmOrder) -> int:
    """The price an order is valued at: its own, or what it would meet."""
    mark, side = venue.mark(symbol.name), market.book.opposite(buy=request.buy)
    best = side.best()
    if request.price is not None:
        symbol.check_price(request.price, mark, buy=request.buy)
        if request.tif == "GTX" and best is not None and side.reaches(best[0], request.price):
            raise ApiError(
                -5022,
                "Due to the order could not be executed as maker, the Post Only order will be rejected.",
            )
        return request.price
    if best is None:
        return mark
    lowest, highest = symbol.band(mark)
    if mark and (best[0] > highest if request.buy else best[0] < lowest):
        raise ApiError(-4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit.")
    return best[0]


def _check_fill_or_kill(venue: UmVenue, account: UmAccount, request: NewUmOrder) -> None:
    qty, price = request.qty or 0, request.price or 0
    taker = BookOrder(0, account.name, buy=request.buy, qty=qty, price=price, stp=request.stp)
    if venue.available(venue.markets[request.symbol].book, taker, price, qty) < qty:
        raise ApiError(
            -5021, "Due to the order could not be filled immediately, the FOK order has been rejected."
        )


def matched_price(market: SymbolMarket, match: str, *, buy: bool) -> int:
    """The price a `priceMatch` stands for: the n-th level of the opponent's or one's own side; -5041."""
    kind, _, depth = match.partition("_")
    book = market.book
    side = book.opposite(buy=buy) if kind == "OPPONENT" else book.side(buy=buy)
    wanted = int(depth or 1)
    levels = side.depth(wanted)
    if len(levels) < wanted:
        raise ApiError(-5041, "No depth matches this BBO order.")
    return levels[-1][0]
