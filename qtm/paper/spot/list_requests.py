"""Reading order-list requests: OCO (new and old form), OTO, OTOCO, OPO and OPOCO, each into plain orders."""

from __future__ import annotations

from dataclasses import dataclass

from qtm.paper.errors import ApiError, mandatory, not_required
from qtm.paper.params import Params
from qtm.paper.spot.orders import NewOrder
from qtm.paper.spot.requests import (
    check_shape,
    generated_id,
    read_side,
    read_stp,
    read_strategy,
    read_tif,
    read_type,
)

_PLAIN = {
    "quantity": "Quantity", "price": "Price", "stopPrice": "StopPrice", "trailingDelta": "TrailingDelta",
    "icebergQty": "IcebergQty", "timeInForce": "TimeInForce",
}  # fmt: skip

ABOVE_TYPES = {
    False: ("LIMIT_MAKER", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"),
    True: ("STOP_LOSS", "STOP_LOSS_LIMIT"),
}
BELOW_TYPES = {False: ABOVE_TYPES[True], True: ABOVE_TYPES[False]}
"""Types allowed above and below the market, by whether the OCO buys."""


@dataclass(frozen=True, slots=True)
class ListRequest:
    """A parsed list: its own id, the working order (None for an OCO), and the other orders."""

    client_id: str
    response_type: str
    working: NewOrder | None
    others: list[NewOrder]
    pays: bool = False
    """Whether the working order pays for the others (OPO)."""


def read_oco(params: Params, default_stp: str) -> ListRequest:
    """POST orderList/oco."""
    buy = read_side(params)
    quantity = params.amount("quantity")
    if quantity is None:
        raise mandatory("quantity")
    legs = _legs(params, "", buy=buy, quantity=quantity, default_stp=default_stp)
    return ListRequest(_list_id(params), _response_type(params), None, legs)


def read_old_oco(params: Params, default_stp: str) -> ListRequest:
    """POST order/oco, the deprecated form: a limit maker and a stop-loss (limit)."""
    buy = read_side(params)
    quantity, price = params.amount("quantity"), params.amount("price")
    stop_price, stop_limit = params.amount("stopPrice"), params.amount("stopLimitPrice")
    tif = read_tif(params, "stopLimitTimeInForce")
    for name, value in (("quantity", quantity), ("price", price), ("stopPrice", stop_price)):
        if value is None:
            raise mandatory(name)
    if (stop_limit is None) != (tif is None):
        raise mandatory("stopLimitTimeInForce") if tif is None else not_required("stopLimitTimeInForce")
    stp = read_stp(params, default_stp)
    symbol = params.required("symbol")
    maker = NewOrder(
        symbol=symbol,
        buy=buy,
        type="LIMIT_MAKER",
        qty=quantity,
        price=price,
        stp=stp,
        client_id=params.client_id("limitClientOrderId") or generated_id(),
        iceberg=params.amount("limitIcebergQty"),
    )
    stop = NewOrder(
        symbol=symbol,
        buy=buy,
        type="STOP_LOSS_LIMIT" if stop_limit is not None else "STOP_LOSS",
        qty=quantity,
        price=stop_limit,
        stop_price=stop_price,
        stp=stp,
        tif=tif or "GTC",
        client_id=params.client_id("stopClientOrderId") or generated_id(),
        trailing_delta=params.integer("trailingDelta"),
        iceberg=params.amount("stopIcebergQty"),
    )
    check_shape(maker)
    check_shape(stop)
    legs = [stop, maker] if buy else [maker, stop]
    return ListRequest(_list_id(params), _response_type(params), None, legs)


def read_oto(params: Params, default_stp: str) -> ListRequest:
    """POST orderList/oto."""
    working = _order(params, "working", default_stp, types=("LIMIT", "LIMIT_MAKER"))
    pending = _order(params, "pending", default_stp)
    return ListRequest(_list_id(params), _response_type(params), working, [pending])


def read_otoco(params: Params, default_stp: str) -> ListRequest:
    """POST orderList/otoco."""
    working = _order(params, "working", default_stp, types=("LIMIT", "LIMIT_MAKER"))
    buy = read_side(params, "pendingSide")
    quantity = params.amount("pendingQuantity")
    if quantity is None:
        raise mandatory("pendingQuantity")
    legs = _legs(params, "pending", buy=buy, quantity=quantity, default_stp=default_stp)
    return ListRequest(_list_id(params), _response_type(params), working, legs)


def read_opo(params: Params, default_stp: str) -> ListRequest:
    """POST orderList/opo."""
    working = _order(params, "working", default_stp, types=("LIMIT", "LIMIT_MAKER"))
    pending = _order(params, "pending", default_stp, sized_later=True)
    _check_sides(working, pending)
    return ListRequest(_list_id(params), _response_type(params), working, [pending], pays=True)


def read_opoco(params: Params, default_stp: str) -> ListRequest:
    """POST orderList/opoco."""
    working = _order(params, "working", default_stp, types=("LIMIT", "LIMIT_MAKER"))
    buy = read_side(params, "pendingSide")
    legs = _legs(params, "pending", buy=buy, quantity=None, default_stp=default_stp)
    _check_sides(working, legs[0])
    return ListRequest(_list_id(params), _response_type(params), working, legs, pays=True)


def _check_sides(working: NewOrder, pending: NewOrder) -> None:
    if not working.buy:
        raise ApiError(-1222, "Working order in an OPO list must be a bid.")
    if pending.buy:
        raise ApiError(-1223, "Pending orders in an OPO list must be asks.")


def _legs(
    params: Params, prefix: str, *, buy: bool, quantity: int | None, default_stp: str
) -> list[NewOrder]:
    above_name = f"{prefix}Above" if prefix else "above"
    below_name = f"{prefix}Below" if prefix else "below"
    above_type = read_type(params, f"{above_name}Type")
    if prefix and f"{below_name}Type" not in params:
        raise mandatory(f"{below_name}Type")
    below_type = read_type(params, f"{below_name}Type")
    _check_leg_types(above_type, below_type, buy=buy)
    return [
        _order(params, name, default_stp, kind=kind, buy=buy, quantity=quantity, sized_later=quantity is None)
        for name, kind in ((above_name, above_type), (below_name, below_type))
    ]


def _check_leg_types(above: str, below: str, *, buy: bool) -> None:
    """The relations the venue tests first, each with its own code."""
    side = "buy" if buy else "sell"
    limits = ("LIMIT_MAKER",)
    if above in limits and below in limits:
        raise ApiError(-1168, "At least one OCO order must be contingent.")
    if above in ("LIMIT", "MARKET") or below in ("LIMIT", "MARKET"):
        raise ApiError(-1158, "Order type not supported in OCO.")
    if buy and above in limits:
        raise ApiError(-1165, "A limit order in a buy OCO must be below.")
    if not buy and below in limits:
        raise ApiError(-1166, "A limit order in a sell OCO must be above.")
    wrong = above if above not in ABOVE_TYPES[buy] else below if below not in BELOW_TYPES[buy] else ""
    if not wrong:
        return
    stop = wrong.startswith("STOP_LOSS")
    name = "stop loss" if stop else "take profit"
    place = "above" if stop == buy else "below"
    code = {(True, True): -1196, (True, False): -1197, (False, True): -1198, (False, False): -1199}[stop, buy]
    raise ApiError(code, f"A {name} order in a {side} OCO must be {place}.")


def _order(
    params: Params,
    prefix: str,
    default_stp: str,
    *,
    types: tuple[str, ...] | None = None,
    kind: str | None = None,
    buy: bool | None = None,
    quantity: int | None = None,
    sized_later: bool = False,
) -> NewOrder:
    """One member whose parameters are named `<prefix>Price`, `<prefix>StopPrice` and so on."""
    names = {plain: prefix + suffix for plain, suffix in _PLAIN.items()}
    if kind is None:
        kind = read_type(params, f"{prefix}Type")
    if types is not None and kind not in types:
        raise ApiError(-1014, "Unsupported order combination.")
    if buy is None:
        buy = read_side(params, f"{prefix}Side")
    if quantity is None and not sized_later:
        quantity = params.amount(names["quantity"])
    tif = read_tif(params, names["timeInForce"])
    if kind == "LIMIT" or kind.endswith("_LIMIT"):
        if tif is None:
            raise mandatory(names["timeInForce"])
    elif tif is not None:
        raise not_required(names["timeInForce"])
    strategy_id, strategy_type = read_strategy(params, prefix)
    request = NewOrder(
        symbol=params.required("symbol"),
        buy=buy,
        type=kind,
        tif=tif or "GTC",
        qty=quantity,
        price=params.amount(names["price"]),
        stop_price=params.amount(names["stopPrice"]),
        trailing_delta=params.integer(names["trailingDelta"]),
        iceberg=params.amount(names["icebergQty"]),
        client_id=params.client_id(f"{prefix}ClientOrderId") or generated_id(),
        strategy_id=strategy_id,
        strategy_type=strategy_type,
        stp=read_stp(params, default_stp),
        peg_type=params.text(f"{prefix}PegPriceType"),
        peg_offset_type=params.text(f"{prefix}PegOffsetType"),
        peg_offset=params.integer(f"{prefix}PegOffsetValue"),
    )
    if request.iceberg and kind.endswith("_LIMIT") and request.tif != "GTC":
        iceberg, in_force = names["icebergQty"], names["timeInForce"]
        raise ApiError(-1160, f"Parameter '{iceberg}' is not supported if `{in_force}` is not GTC.")
    check_shape(request, names, sized_later=sized_later)
    return request


def _list_id(params: Params) -> str:
    return params.client_id("listClientOrderId") or generated_id()


def _response_type(params: Params) -> str:
    wanted = params.text("newOrderRespType") or "RESULT"
    if wanted not in ("ACK", "RESULT", "FULL"):
        raise ApiError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
    return wanted
