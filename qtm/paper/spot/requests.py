"""Reading a spot order request: the parameters each type needs and those it must not carry."""

from __future__ import annotations

import uuid

from qtm.paper.errors import ApiError, illegal, mandatory, not_required, rejected
from qtm.paper.params import Params
from qtm.paper.spot.orders import LIMIT_TYPES, STOP_TYPES, NewOrder
from qtm.paper.spot.symbols import ORDER_TYPES, STP_MODES

_TIFS = ("GTC", "IOC", "FOK")


def generated_id() -> str:
    """A client order id for a request that brought none."""
    return uuid.uuid4().hex[:22]


def read_side(params: Params, name: str = "side") -> bool:
    """True for BUY; -1117 otherwise than BUY or SELL."""
    side = params.required(name)
    if side not in ("BUY", "SELL"):
        raise ApiError(-1117, "Invalid side.")
    return side == "BUY"


def read_type(params: Params, name: str = "type", allowed: tuple[str, ...] = ORDER_TYPES) -> str:
    """The order type; -1116 for an unknown one."""
    kind = params.required(name)
    if kind not in allowed:
        raise ApiError(-1116, "Invalid orderType.")
    return kind


def read_tif(params: Params, name: str = "timeInForce") -> str | None:
    """The time in force when sent; -1115 for an unknown one."""
    tif = params.text(name)
    if tif is not None and tif not in _TIFS:
        raise ApiError(-1115, "Invalid timeInForce.")
    return tif


def read_stp(params: Params, default: str) -> str:
    """The self-trade prevention mode, the symbol's default when not sent."""
    mode = params.text("selfTradePreventionMode")
    if mode is None:
        return default
    if mode != "NONE" and mode not in STP_MODES:
        raise ApiError(-1130, "Data sent for parameter 'selfTradePreventionMode' is not valid.")
    return mode


def read_response_type(params: Params, kind: str) -> str:
    """ACK, RESULT or FULL; by default FULL for MARKET and LIMIT, ACK for the rest."""
    wanted = params.text("newOrderRespType")
    if wanted is None:
        return "FULL" if kind in ("MARKET", "LIMIT") else "ACK"
    if wanted not in ("ACK", "RESULT", "FULL"):
        raise ApiError(-1130, "Data sent for parameter 'newOrderRespType' is not valid.")
    return wanted


def read_strategy(params: Params, prefix: str = "") -> tuple[int | None, int | None]:
    """`strategyId` and `strategyType` (-1134 below 1000000)."""
    id_name = f"{prefix}StrategyId" if prefix else "strategyId"
    type_name = f"{prefix}StrategyType" if prefix else "strategyType"
    strategy_id, strategy_type = params.integer(id_name), params.integer(type_name)
    if strategy_type is not None and strategy_type < 1_000_000:
        raise ApiError(-1134, "strategyType was less than 1000000.")
    return strategy_id, strategy_type


def read_order(params: Params, *, default_stp: str) -> NewOrder:
    """Parse POST order (and order.place).

    Raises
    ------
    ApiError
        -1102, -1106, -1111, -1114 .. -1117, -1130 and -1100 as the parameters deserve.
    """
    symbol = params.required("symbol")
    buy = read_side(params)
    kind = read_type(params)
    tif = read_tif(params)
    strategy_id, strategy_type = read_strategy(params)
    request = NewOrder(
        symbol=symbol,
        buy=buy,
        type=kind,
        tif=tif or "GTC",
        qty=params.amount("quantity"),
        quote_qty=params.amount("quoteOrderQty"),
        price=params.amount("price"),
        client_id=params.client_id("newClientOrderId") or generated_id(),
        stop_price=params.amount("stopPrice"),
        trailing_delta=params.integer("trailingDelta"),
        iceberg=params.amount("icebergQty"),
        strategy_id=strategy_id,
        strategy_type=strategy_type,
        resp_type=read_response_type(params, kind),
        stp=read_stp(params, default_stp),
        peg_type=params.text("pegPriceType"),
        peg_offset_type=params.text("pegOffsetType"),
        peg_offset=params.integer("pegOffsetValue"),
    )
    if kind == "LIMIT" or kind.endswith("_LIMIT"):
        if tif is None:
            raise mandatory("timeInForce")
    elif tif is not None:
        raise not_required("timeInForce")
    check_shape(request)
    return request


def read_routed_order(params: Params, *, default_stp: str) -> NewOrder:
    """Parse POST sor/order: LIMIT or MARKET by quantity, nothing conditional.

    Raises
    ------
    ApiError
        As `read_order`; -1116 for other types.
    """
    symbol = params.required("symbol")
    buy = read_side(params)
    kind = read_type(params, allowed=("LIMIT", "MARKET"))
    tif = read_tif(params)
    strategy_id, strategy_type = read_strategy(params)
    request = NewOrder(
        symbol=symbol,
        buy=buy,
        type=kind,
        tif=tif or "GTC",
        qty=params.amount("quantity"),
        price=params.amount("price"),
        client_id=params.client_id("newClientOrderId") or generated_id(),
        iceberg=params.amount("icebergQty"),
        strategy_id=strategy_id,
        strategy_type=strategy_type,
        resp_type=read_response_type(params, kind),
        stp=read_stp(params, default_stp),
        sor=True,
    )
    if request.qty is None:
        raise mandatory("quantity")
    if (tif is None) == (kind == "LIMIT"):
        raise mandatory("timeInForce") if tif is None else not_required("timeInForce")
    check_shape(request)
    return request


def check_shape(request: NewOrder, names: dict[str, str] | None = None, *, sized_later: bool = False) -> None:
    """Which amounts the type requires and forbids.

    `names` maps to an order list's parameter names; the quantity of an order that is `sized_later` is what
    another order brings.
    """

    def called(name: str) -> str:
        return names.get(name, name) if names else name

    kind = request.type
    _check_peg(request)
    if kind == "MARKET":
        if request.qty is None and request.quote_qty is None and not sized_later:
            raise ApiError(
                -1102, "Param 'quantity' or 'quoteOrderQty' must be sent, but both were empty/null!"
            )
        if request.qty is not None and request.quote_qty is not None:
            raise not_required("quoteOrderQty")
        for name, value in (("price", request.price), ("icebergQty", request.iceberg)):
            if value is not None:
                raise not_required(called(name))
    else:
        if request.quote_qty is not None:
            raise not_required("quoteOrderQty")
        if request.qty is None and not sized_later:
            raise mandatory(called("quantity"))
    if kind in LIMIT_TYPES:
        if request.price is None and request.peg_type is None:
            raise mandatory(called("price"))
    elif request.price is not None:
        raise not_required(called("price"))
    if kind in STOP_TYPES:
        if request.stop_price is None and request.trailing_delta is None:
            raise ApiError(
                -1102,
                f"Param '{called('stopPrice')}' or '{called('trailingDelta')}' must be sent, "
                "but both were empty/null!",
            )
    else:
        if request.stop_price is not None:
            raise not_required(called("stopPrice"))
        if request.trailing_delta is not None:
            raise not_required(called("trailingDelta"))
    if request.iceberg:
        if kind in ("STOP_LOSS", "TAKE_PROFIT"):
            raise not_required(called("icebergQty"))
        if request.tif != "GTC":
            raise not_required(called("icebergQty"))
    for name, value in (
        ("quantity", request.qty),
        ("quoteOrderQty", request.quote_qty),
        ("price", request.price),
        ("stopPrice", request.stop_price),
    ):
        if value == 0:
            raise ApiError(-1013, f"Invalid {called(name)}.")


def _check_peg(request: NewOrder) -> None:
    if request.peg_type is None:
        if request.peg_offset is not None or request.peg_offset_type is not None:
            raise not_required("pegOffsetValue" if request.peg_offset is not None else "pegOffsetType")
        return
    if request.peg_type not in ("PRIMARY_PEG", "MARKET_PEG"):
        raise ApiError(-1210, "Invalid pegPriceType.")
    if request.type not in LIMIT_TYPES:
        raise rejected("This order type may not use pegged price.")
    if request.peg_type == "MARKET_PEG" and request.type == "LIMIT_MAKER":
        raise rejected("This price peg cannot be used with this order type.")
    if request.price is not None:
        raise not_required("price")
    if (request.peg_offset is None) != (request.peg_offset_type is None):
        raise ApiError(
            -1128, "Fields [pegOffsetType, pegOffsetValue] must be sent together or omitted entirely."
        )
    if request.peg_offset_type not in (None, "PRICE_LEVEL"):
        raise ApiError(-1211, "Invalid pegOffsetType.")
    if request.peg_offset is not None and not 1 <= request.peg_offset <= 100:
        raise illegal("pegOffsetValue", "1..100")
