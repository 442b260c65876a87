"""The filters of exchangeInfo, checked in the venue's order; each failure is -1013 `Filter failure: NAME`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from qtm.paper.errors import filter_failure
from qtm.paper.spot.accounts import SpotAccount
from qtm.paper.spot.orders import STOP_TYPES, NewOrder, SpotOrder
from qtm.paper.spot.symbols import SpotSymbol
from qtm.paper.wire import E8

ReferencePrice = Callable[[int], int]
"""Reference price over some minutes (0: last price), in 1e-8 units."""


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """Open orders of an account on one symbol (or on the whole exchange)."""

    orders: int
    algo: int
    iceberg: int

    @classmethod
    def of(cls, orders: Iterable[SpotOrder]) -> OpenCounts:
        """Count open orders."""
        total = algo = iceberg = 0
        for order in orders:
            total += 1
            algo += order.type in STOP_TYPES
            iceberg += bool(order.iceberg)
        return cls(total, algo, iceberg)


def check_price(symbol: SpotSymbol, price: int) -> None:
    """PRICE_FILTER for a price or stop price."""
    rule = symbol.filter("PRICE_FILTER")
    if rule is None:
        return
    if (
        price < rule["minPrice"]
        or (rule["maxPrice"] and price > rule["maxPrice"])
        or (rule["tickSize"] and price % rule["tickSize"])
    ):
        raise filter_failure("PRICE_FILTER")


def check_lot(symbol: SpotSymbol, qty: int, name: str = "LOT_SIZE") -> None:
    """LOT_SIZE or MARKET_LOT_SIZE for a quantity."""
    rule = symbol.filter(name)
    if rule is None:
        return
    if qty < rule["minQty"] or (rule["maxQty"] and qty > rule["maxQty"]):
        raise filter_failure(name)
    if rule["stepSize"] and qty % rule["stepSize"]:
        raise filter_failure(name)


def check_percent_price(symbol: SpotSymbol, *, buy: bool, price: int, reference: ReferencePrice) -> None:
    """PERCENT_PRICE and PERCENT_PRICE_BY_SIDE around the reference price."""
    rule = symbol.filter("PERCENT_PRICE")
    if rule is not None:
        _within(
            price,
            reference(rule["avgPriceMins"]),
            rule["multiplierUp"],
            rule["multiplierDown"],
            "PERCENT_PRICE",
        )
    rule = symbol.filter("PERCENT_PRICE_BY_SIDE")
    if rule is not None:
        side = "bid" if buy else "ask"
        _within(
            price,
            reference(rule["avgPriceMins"]),
            rule[f"{side}MultiplierUp"],
            rule[f"{side}MultiplierDown"],
            "PERCENT_PRICE_BY_SIDE",
        )


def check_notional(symbol: SpotSymbol, *, notional: int, market: bool) -> None:
    """MIN_NOTIONAL and NOTIONAL."""
    rule = symbol.filter("MIN_NOTIONAL")
    if rule is not None and (not market or rule.get("applyToMarket")) and notional < rule["minNotional"]:
        raise filter_failure("MIN_NOTIONAL")
    rule = symbol.filter("NOTIONAL")
    if rule is None:
        return
    if (not market or rule["applyMinToMarket"]) and notional < rule["minNotional"]:
        raise filter_failure("NOTIONAL")
    if rule["maxNotional"] and (not market or rule["applyMaxToMarket"]) and notional > rule["maxNotional"]:
        raise filter_failure("NOTIONAL")


def check_trailing(symbol: SpotSymbol, request: NewOrder) -> None:
    """TRAILING_DELTA: above the market for STOP_LOSS BUY and TAKE_PROFIT SELL, below it for the others."""
    rule = symbol.filter("TRAILING_DELTA")
    if rule is None or request.trailing_delta is None:
        return
    above = request.buy == request.type.startswith("STOP_LOSS")
    side = "Above" if above else "Below"
    if not rule[f"minTrailing{side}Delta"] <= request.trailing_delta <= rule[f"maxTrailing{side}Delta"]:
        raise filter_failure("TRAILING_DELTA")


def check_prices(symbol: SpotSymbol, request: NewOrder, reference: ReferencePrice) -> None:
    """The filters of prices, in the venue's order."""
    for price in (request.price, request.stop_price):
        if price is not None:
            check_price(symbol, price)
    for price in (request.price, request.stop_price):
        if price is not None:
            check_percent_price(symbol, buy=request.buy, price=price, reference=reference)


def check_order(symbol: SpotSymbol, request: NewOrder, reference: ReferencePrice) -> None:
    """The filters that look at the order alone, in the venue's order."""
    check_prices(symbol, request, reference)
    if request.qty is not None:
        check_lot(symbol, request.qty)
        if request.type == "MARKET":
            check_lot(symbol, request.qty, "MARKET_LOT_SIZE")
    if request.iceberg:
        check_lot(symbol, request.iceberg)
        rule = symbol.filter("ICEBERG_PARTS")
        if rule and request.qty is not None and -(-request.qty // request.iceberg) > rule["limit"]:
            raise filter_failure("ICEBERG_PARTS")
    check_trailing(symbol, request)
    _check_order_notional(symbol, request, reference)


def check_counts(
    symbol: SpotSymbol, account: SpotAccount, request: NewOrder, exchange: dict[str, dict[str, int]]
) -> None:
    """The filters that count the account's open orders, and MAX_POSITION."""
    opened = [order for order in account.open_orders.values() if order.symbol == request.symbol]
    _check_caps(OpenCounts.of(opened), request, symbol.by_type, "")
    if exchange:
        _check_caps(OpenCounts.of(account.open_orders.values()), request, exchange, "EXCHANGE_")
    rule = symbol.filter("MAX_POSITION")
    if rule is not None and request.buy:
        held = account.balance(symbol.base)
        buying = sum(order.remaining for order in opened if order.buy)
        if held.free + held.locked + buying + (request.qty or 0) > rule["maxPosition"]:
            raise filter_failure("MAX_POSITION")


def _check_caps(counts: OpenCounts, request: NewOrder, rules: dict[str, dict[str, int]], prefix: str) -> None:
    name = f"{prefix}MAX_NUM_ORDERS"
    if name in rules and counts.orders >= rules[name]["maxNumOrders"]:
        raise filter_failure(name)
    name = f"{prefix}MAX_NUM_ALGO_ORDERS"
    if request.type in STOP_TYPES and name in rules and counts.algo >= rules[name]["maxNumAlgoOrders"]:
        raise filter_failure(name)
    name = f"{prefix}MAX_NUM_ICEBERG_ORDERS"
    if request.iceberg and name in rules and counts.iceberg >= rules[name]["maxNumIcebergOrders"]:
        raise filter_failure(name)


def _check_order_notional(symbol: SpotSymbol, request: NewOrder, reference: ReferencePrice) -> None:
    if request.quote_qty is not None:
        check_notional(symbol, notional=request.quote_qty, market=True)
        return
    assert request.qty is not None
    if request.price is not None:
        check_notional(symbol, notional=request.price * request.qty // E8, market=False)
        return
    rule = symbol.filter("NOTIONAL") or symbol.filter("MIN_NOTIONAL")
    price = request.stop_price or reference(rule["avgPriceMins"] if rule else 0)
    check_notional(symbol, notional=price * request.qty // E8, market=True)


def _within(price: int, reference: int, up: int, down: int, name: str) -> None:
    if reference and not reference * down <= price * E8 <= reference * up:
        raise filter_failure(name)
