"""Whether an order is admitted: what the symbol offers, its filters, what the engine rejects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtm.paper.errors import ApiError, rejected
from qtm.paper.spot import conditional, quoting, smart_routing
from qtm.paper.spot.filters import check_counts, check_order, check_prices
from qtm.paper.spot.orders import STOP_TYPES, NewOrder
from qtm.paper.spot.supported import check_supported

if TYPE_CHECKING:
    from qtm.paper.spot.accounts import SpotAccount
    from qtm.paper.spot.venue import SpotVenue


def check_new(venue: SpotVenue, account: SpotAccount, request: NewOrder) -> None:
    """Everything that can be wrong with an order before it reaches the book.

    Raises
    ------
    ApiError
        -1121, -1013 (closed market, filters), -2010 (engine rejections, insufficient balance).
    """
    symbol = venue.symbol(request.symbol)
    market = venue.markets[request.symbol]
    if market.status != "TRADING":
        raise ApiError(-1013, "Market is closed.")
    check_supported(symbol, request)
    if request.sor:
        smart_routing.require_routing(venue, request.symbol)
    if request.peg_type is not None:
        request.price = quoting.pegged_price(market, request)
    if request.iceberg is not None and request.qty is not None and request.iceberg > request.qty:
        raise rejected("IcebergQty exceeds QTY.")
    check_order(symbol, request, lambda minutes: venue.reference_price(market, minutes))
    check_counts(symbol, account, request, _exchange_rules(venue))
    if request.stp not in ("NONE", symbol.default_stp, *symbol.allowed_stp):
        raise rejected("This symbol does not allow the specified self-trade prevention mode.")
    if (request.symbol, request.client_id) in account.open_client_ids:
        raise rejected("Duplicate order sent.")
    if request.type in STOP_TYPES:
        conditional.refuse_immediate_trigger(market, request)
    if request.type == "LIMIT_MAKER":
        assert request.price is not None
        best = market.book.opposite(buy=request.buy).best()
        if best is not None and market.book.opposite(buy=request.buy).reaches(best[0], request.price):
            raise rejected("Order would immediately match and take.")


def check_pending(venue: SpotVenue, account: SpotAccount, request: NewOrder) -> None:
    """The checks of an order that waits for another one to be filled: those that need no market."""
    market, symbol = venue.markets[request.symbol], venue.symbol(request.symbol)
    check_supported(symbol, request)
    sized = request.qty is not None or request.quote_qty is not None
    check = check_order if sized else check_prices
    check(symbol, request, lambda minutes: venue.reference_price(market, minutes))
    if (request.symbol, request.client_id) in account.open_client_ids:
        raise rejected("Duplicate order sent.")


def _exchange_rules(venue: SpotVenue) -> dict[str, dict[str, int]]:
    return {
        str(entry["filterType"]): {k: int(v) for k, v in entry.items() if k != "filterType"}
        for entry in venue.exchange_filters
    }
